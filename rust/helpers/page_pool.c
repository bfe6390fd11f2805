// SPDX-License-Identifier: GPL-2.0

#include <net/page_pool/helpers.h>

__rust_helper struct page *rust_helper_page_pool_dev_alloc(struct page_pool *pool,
							   unsigned int *offset,
							   unsigned int *size)
{
	return page_pool_dev_alloc(pool, offset, size);
}
