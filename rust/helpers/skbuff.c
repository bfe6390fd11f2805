// SPDX-License-Identifier: GPL-2.0

#include <linux/skbuff.h>
#include <net/busy_poll.h>

__rust_helper void *rust_helper_skb_frag_address(const skb_frag_t *frag)
{
	return skb_frag_address(frag);
}

__rust_helper void rust_helper_skb_add_rx_frag(struct sk_buff *skb, int i,
					       struct page *page, int off,
					       int size,
					       unsigned int truesize)
{
	skb_add_rx_frag(skb, i, page, off, size, truesize);
}

__rust_helper void rust_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

__rust_helper void rust_helper_skb_mark_napi_id(struct sk_buff *skb,
						const struct napi_struct *napi)
{
	skb_mark_napi_id(skb, napi);
}

__rust_helper void rust_helper_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}

__rust_helper void rust_helper___skb_set_sw_hash(struct sk_buff *skb, __u32 hash,
						 bool is_l4)
{
	__skb_set_sw_hash(skb, hash, is_l4);
}

__rust_helper void rust_helper_skb_record_rx_queue(struct sk_buff *skb, u16 rx_queue)
{
	skb_record_rx_queue(skb, rx_queue);
}
