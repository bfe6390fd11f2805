# SPDX-License-Identifier: GPL-2.0
#
# Commands for people. The kernel's build system reads Kbuild instead. Every command prepares
# what it needs; scripts/setup tells what and where.

SHELL := /bin/bash
.DEFAULT_GOAL := modules
.PHONY: modules demo test lint format host-test kunit integration hostile conformance bench shell install clean help

##@ The module

# KDIR: any kernel build tree with CONFIG_RUST=y; without it, a tree prepared for the stock kernel.
ifdef KDIR
modules: ## the module, for the Debian 13 kernel 7.3.4, in build/stock; KDIR=TREE for another kernel
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(MO),MO=$(MO)) modules
else
modules:
	@scripts/build-module stock
endif

install: ## the module and its modprobe configuration, on a machine that runs that kernel
	@scripts/install

clean: ## removes what was built; the environment in the cache stays
	rm -rf build

##@ Try it

demo: ## a guest's network through the module, on Xen in QEMU: shows what happens, and figures
	@scripts/demo

shell: ## a prompt in that dom0, with a guest running and attached
	@scripts/shell

##@ Tests: each ends with "N passed, N failed"

test: ## all of them
	@scripts/test

lint: ## style, rules of the code, warnings
	@scripts/lint

format: ## puts the Rust source into the style that lint asks for
	@scripts/in-root sh -c 'find drivers rust tests -name "*.rs" | xargs rustfmt --config-path /xnb/source/.rustfmt.toml'

host-test: ## the pure logic, models of what is concurrent, corpus of the fuzz targets
	@scripts/host-test

kunit: ## in the debug kernel, as Xen's dom0 in QEMU, and in the KASAN kernel: KERNEL=debug|kasan for one
	@scripts/kunit $(KERNEL)

integration: ## with real guests in QEMU: T="NAME..." for some, KERNEL=debug, DRIVER=c, LONG=1
	@scripts/integration --kernel $(or $(KERNEL),stock) --driver $(or $(DRIVER),rust) \
		$(if $(LONG),--long) $(T)

hostile: ## frontends that break every rule: T="ATTACK..." for some, KERNEL=debug, LONG=1
	@scripts/hostile --kernel $(or $(KERNEL),stock) $(if $(LONG),--long) $(T)

conformance: ## what an outsider sees, compared with the C driver: T="RECORD..." for some
	@scripts/conformance $(if $(LONG),--long) $(T)

##@ Speed

bench: ## both drivers side by side: T="CASE..." for some, LONG=1 for the whole matrix, ICOUNT=1 in instruction time
	@scripts/bench $(if $(LONG),--long) $(if $(ICOUNT),--instruction-time) \
		$(if $(PROFILE),--profile "$(PROFILE)") $(foreach case,$(T),'$(case)')

##@

help: ## this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
