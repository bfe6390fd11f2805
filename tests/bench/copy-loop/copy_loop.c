// SPDX-License-Identifier: GPL-2.0
/*
 * The ceiling of a backend that copies: GNTTABOP_copy between pages of this domain and pages that it
 * has granted to itself, in the sizes and batches of a network backend and without any network.
 *
 * Every load measures once and says in the log what it saw; the module does not stay.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <xen/grant_table.h>
#include <xen/interface/grant_table.h>
#include <xen/page.h>
#include <xen/xen.h>
#include <asm/xen/hypercall.h>

#define PAGES 64
#define MAX_OPS 128

static unsigned int msecs = 300;
module_param(msecs, uint, 0);
MODULE_PARM_DESC(msecs, "Time for each measurement");

static ushort domid;
module_param(domid, ushort, 0);
MODULE_PARM_DESC(domid, "The domain where this runs");

static struct page *granted[PAGES], *local;
static grant_ref_t refs[PAGES];
static struct gnttab_copy ops[MAX_OPS];
static unsigned int op_count;

/* One operation between a place in the local pages and one in the granted pages. */
static void add(bool to_grant, size_t at_grant, size_t at_local, size_t len)
{
	struct gnttab_copy *op = &ops[op_count++];
	struct gnttab_copy_ptr grant = { }, here = { };

	grant.u.ref = refs[at_grant / XEN_PAGE_SIZE % PAGES];
	grant.domid = domid;
	grant.offset = at_grant % XEN_PAGE_SIZE;
	here.u.gmfn = virt_to_gfn(page_address(local) + at_local % (PAGES * XEN_PAGE_SIZE));
	here.domid = DOMID_SELF;
	here.offset = at_local % XEN_PAGE_SIZE;
	op->source = to_grant ? here : grant;
	op->dest = to_grant ? grant : here;
	op->flags = to_grant ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
	op->len = len;
}

/* Calls with the operations that were added, and forgets them. */
static int measure(const char *what)
{
	u64 bytes = 0, calls = 0, start = ktime_get_ns(), took;
	unsigned int i, count = op_count;

	op_count = 0;
	do {
		for (i = 0; i < 16; i++) {
			HYPERVISOR_grant_table_op(GNTTABOP_copy, ops, count);
			calls++;
		}
		took = ktime_get_ns() - start;
		cond_resched();
	} while (took < msecs * NSEC_PER_MSEC);
	for (i = 0; i < count; i++) {
		if (ops[i].status != GNTST_okay)
			return -EIO;
		bytes += ops[i].len;
	}
	pr_info("%s: %llu Mbit/s, %llu ns per operation\n", what, div64_u64(calls * bytes * 8000, took),
		div64_u64(took, calls * count));
	return 0;
}

static void add_each(bool to_grant, size_t len)
{
	for (size_t at = 0; at < PAGES * XEN_PAGE_SIZE; at += XEN_PAGE_SIZE)
		add(to_grant, at, at, len);
}

static int run(void)
{
	int err;

	add_each(false, XEN_PAGE_SIZE);
	err = measure("from a guest, pages");
	if (err)
		return err;
	add_each(true, XEN_PAGE_SIZE);
	err = measure("to a guest, pages");
	if (err)
		return err;
	/* Pages of the guest are filled from two of the host's, where these start elsewhere. */
	for (size_t at = 0; at < (PAGES - 1) * XEN_PAGE_SIZE; at += XEN_PAGE_SIZE) {
		add(true, at, at + 1000, XEN_PAGE_SIZE - 1000);
		add(true, at + XEN_PAGE_SIZE - 1000, at + XEN_PAGE_SIZE, 1000);
	}
	err = measure("to a guest, pages in two pieces");
	if (err)
		return err;
	add_each(false, 1514);
	err = measure("from a guest, 1514 bytes");
	if (err)
		return err;
	add_each(false, 60);
	return measure("from a guest, 60 bytes");
}

static int __init copy_loop_init(void)
{
	unsigned int pages = 0, i;
	int err = -ENOMEM;

	if (!xen_domain())
		return -ENODEV;
	local = alloc_pages(GFP_KERNEL, get_order(PAGES * PAGE_SIZE));
	if (!local)
		return -ENOMEM;
	for (; pages < PAGES; pages++) {
		struct page *page = alloc_page(GFP_KERNEL);
		int ref;

		if (!page)
			goto out;
		ref = gnttab_grant_foreign_access(domid, xen_page_to_gfn(page), 0);
		if (ref < 0) {
			__free_page(page);
			err = ref;
			goto out;
		}
		granted[pages] = page;
		refs[pages] = ref;
	}
	err = run();
	/* There is nothing to stay for. */
	if (!err)
		err = -EAGAIN;
out:
	for (i = 0; i < pages; i++)
		gnttab_end_foreign_access(refs[i], granted[i]);
	__free_pages(local, get_order(PAGES * PAGE_SIZE));
	return err;
}
module_init(copy_loop_init);

MODULE_DESCRIPTION("Measures copies by grant");
MODULE_LICENSE("GPL");
