# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A kernel for tests, built from the source part. Sourced after env.sh by the scripts that make such parts.

# build_kernel FOLDER PART MAKE-ARGUMENT...: with the configuration scripts/PART.config, and with the
# patches that the running script names on its lines "# files:". Leaves in the folder
#
#   vmlinuz    the image; what is not built in is in
#   modules    the root for depmod and modprobe (lib/modules/RELEASE)
#   objtree    the tree against which an external module is built, as /xnb/PART/objtree
#   release    the kernel release
build_kernel() {
	local out=$1 part=$2 tree=$1/objtree patch file dropped
	shift 2
	mkdir "$tree" "$out/patched"

	# A patched file covers the original for as long as the build runs: the source part stays as it is.
	need_commands patch=patch
	sed -n 's/^# files: *//p' "$0" | tr ' ' '\n' | sed -n '/\.patch$/p' | while read -r patch; do
		sed -n 's,^+++ b/,,p' "$TOP/$patch" | while read -r file; do
			mkdir -p "$out/patched/$(dirname "$file")"
			cp "$(part_path source)/$file" "$out/patched/$file"
		done
		patch -d "$out/patched" -p1 <"$TOP/$patch"
	done

	local compiler=("$@")
	in_tree() { # Always at the same path, so that the finished tree may be moved.
		# shellcheck disable=SC2016 # For the inner shell.
		in_root -b "$out:/xnb/$part" bash -euc '
			cd "$1/patched"
			find . -type f -exec mount --bind {} /xnb/source/{} \;
			exec nice make -C /xnb/source O="$1/objtree" "${@:2}"' make "/xnb/$part" "${compiler[@]}" "$@"
	}

	cp "$TOP/scripts/$part.config" "$tree/fragment"
	in_tree KCONFIG_ALLCONFIG=fragment alldefconfig
	# An option that is gone or lacks what it depends on is dropped without a word.
	dropped=$(grep -E '^(# )?CONFIG_' "$tree/fragment" | while read -r line; do
		option=${line#\# }
		if [[ $line == \#* ]]; then
			grep -q "^${option%% *}=" "$tree/.config" || continue
		else
			grep -qxF "$line" "$tree/.config" && continue
		fi
		printf '%s\n' "$line"
	done)
	if [[ $dropped ]]; then
		say "the configuration did not take these lines of scripts/$part.config:"
		say "$dropped"
		exit 1
	fi
	in_tree -j"$(nproc)" all
	in_tree INSTALL_MOD_PATH="/xnb/$part/modules" INSTALL_MOD_STRIP=1 modules_install
	cp "$tree/arch/x86/boot/bzImage" "$out/vmlinuz"
	cp "$tree/include/config/kernel.release" "$out/release"

	# Of the tree remains what building an external module reads.
	rm -r "$out/patched"
	rm -f "$out"/modules/lib/modules/*/{build,source}
	rm -r "$tree/rust/host"
	find "$tree" -type f \( -name '*.o' -o -name '*.a' -o -name '*.ko' -o -name '*.mod.c' -o -name 'vmlinux*' \
		-o -name '.tmp_*' -o -name 'System.map' -o -name 'bzImage' -o -name '.*.cmd' ! -path '*/rust/*' \) -delete
	find "$tree" -type d -empty -delete
}
