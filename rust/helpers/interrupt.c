// SPDX-License-Identifier: GPL-2.0

#include <linux/interrupt.h>

__rust_helper int rust_helper_irq_set_affinity_and_hint(unsigned int irq,
							const struct cpumask *m)
{
	return irq_set_affinity_and_hint(irq, m);
}

__rust_helper int rust_helper_irq_update_affinity_hint(unsigned int irq,
						       const struct cpumask *m)
{
	return irq_update_affinity_hint(irq, m);
}
