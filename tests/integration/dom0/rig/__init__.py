# SPDX-License-Identifier: GPL-2.0
"""What scenarios are written with. Runs in dom0."""
