// SPDX-License-Identifier: GPL-2.0

#include <asm/barrier.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/page.h>
#include <xen/grant_table.h>
#include <xen/page.h>
#include <xen/xen.h>

__rust_helper bool rust_helper_xen_domain(void)
{
	return xen_domain();
}

__rust_helper unsigned long rust_helper_virt_to_gfn(void *addr)
{
	return virt_to_gfn(addr);
}

__rust_helper struct page *rust_helper_virt_to_page(void *addr)
{
	return virt_to_page(addr);
}

__rust_helper struct address_space *rust_helper_page_mapping(struct page *page)
{
	return page_folio(page)->mapping;
}

__rust_helper struct xen_page_foreign *rust_helper_xen_page_foreign(struct page *page)
{
	return xen_page_foreign(page);
}

__rust_helper int rust_helper_HYPERVISOR_grant_table_op(unsigned int cmd, void *uop,
							unsigned int count)
{
	return HYPERVISOR_grant_table_op(cmd, uop, count);
}

__rust_helper void rust_helper_virt_mb(void)
{
	virt_mb();
}

__rust_helper void rust_helper_virt_rmb(void)
{
	virt_rmb();
}

__rust_helper void rust_helper_virt_wmb(void)
{
	virt_wmb();
}
