# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The environment of every script: the cache, its parts and the build root. Sourced, not run.
#
# The cache lives outside the checkout and outlives it: $XEN_NETBACK_RS_CACHE, by default
# ~/.cache/xen-netback-rs. It holds parts (scripts/parts/NAME makes part NAME), each in a folder
# NAME-KEY, where KEY is a hash of the script that makes it, of its lines in scripts/versions
# and of the parts it needs. A part is made in a temporary folder and renamed when it is whole.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XEN_NETBACK_RS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/xen-netback-rs}
KREL=7.3.4+deb13-amd64 # The stock kernel's release.
SUITE=trixie
# The emulated processor: what Debian needs, and hardware virtualisation. With QEMU's "max" programs in
# PV guests failed at random in every third run, with either backend driver; with this one in none.
QEMU_CPU=phenom,+svm,-fxsr-opt
export TOP CACHE KREL SUITE QEMU_CPU LC_ALL=C

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Prints the comment at the head of the running script, for --help.
usage() { sed -n '3,/^[^#]/{/^#/!q;s/^# \{0,1\}//;p}' "$0"; }

# The parts that part $1 needs, as its script names them on the line "# needs:".
part_needs() { sed -n 's/^# needs: *//p' "$TOP/scripts/parts/$1"; }

# The packages of part $1: NAME VERSION [exact].
part_versions() { awk -v part="$1" '$1 == part { print $2, $3, $4 }' "$TOP/scripts/versions"; }

# Everything that part $1 is made from, as text. More files of the checkout may be named on the
# line "# files:" of its script.
part_recipe() {
	local part files
	files=$(sed -n 's/^# files: *//p' "$TOP/scripts/parts/$1")
	(
		cd "$TOP" || exit
		# shellcheck disable=SC2086 # The line holds several names.
		cat "scripts/parts/$1" $files
	)
	part_versions "$1"
	for part in $(part_needs "$1"); do part_recipe "$part"; done
}

# The folder of part $1, whether it exists or not.
part_path() { printf '%s/%s-%s\n' "$CACHE" "$1" "$(part_recipe "$1" | sha256sum | cut -c1-12)"; }

# Makes the parts named, and what they need, where the cache has none.
need() {
	local part path log start
	for part; do
		path=$(part_path "$part")
		[[ -d $path ]] && continue
		# shellcheck disable=SC2046 # One word per part.
		need $(part_needs "$part")
		[[ $(id -u) == 0 ]] || die "making '$part' takes root: chroot, mount and mknod"
		mkdir -p "$CACHE/log"
		log=$CACHE/log/$part.log
		start=$SECONDS
		(
			flock -n 9 || { say "waiting for another run that makes '$part'"; flock 9; }
			[[ -d $path ]] && exit
			rm -rf "$path.tmp"
			mkdir -p "$path.tmp"
			with_progress "setup: $part" "$log" "$TOP/scripts/parts/$part" "$path.tmp" || exit
			mv -T "$path.tmp" "$path"
		) 9>"$CACHE/.$part.lock" || exit 1
		rm -f "$CACHE/.$part.lock"
		sed -n 's/^note: /setup: /p' "$log" >&2
		say "setup: $part done after $((SECONDS - start)) s"
	done
}

# with_progress TITLE LOG COMMAND...: runs the command with its output in LOG, says every half
# minute that it is still at it, and shows the end of the log when it fails.
with_progress() {
	local title=$1 log=$2 start=$SECONDS pid ticker status=0
	shift 2
	say "$title ... (log: $log)"
	"$@" </dev/null >"$log" 2>&1 9>&- &
	pid=$!
	(
		exec 9>&-
		while sleep 30; do say "$title ... $((SECONDS - start)) s"; done
	) &
	ticker=$!
	# An interrupted run takes its step and the ticker with it.
	trap 'kill "$pid" "$ticker" 2>/dev/null; exit 130' INT TERM
	wait "$pid" || status=$?
	trap - INT TERM
	kill "$ticker" 2>/dev/null
	wait "$ticker" 2>/dev/null || true
	((status == 0)) && return
	say "$title FAILED after $((SECONDS - start)) s; the end of $log:"
	tail -n 15 "$log" | sed 's/^/  | /' >&2
	return "$status"
}

# Runs a command in the build root, in mount and process namespaces of its own: nothing stays
# mounted, nothing stays running. The checkout has the same path as outside; part NAME is
# /xnb/NAME, and what has to be kept goes to the cache, which is /xnb/cache.
#
#   in_root [-r ROOT] [-b FOLDER:PATH]... COMMAND...
in_root() {
	local root='' binds=() option part path
	while getopts 'r:b:' option; do
		case $option in
		r) root=$OPTARG ;;
		b) binds+=("$OPTARG") ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	OPTIND=1
	[[ $(id -u) == 0 ]] || die "the build root takes root: chroot and mount"
	[[ $root ]] || root=$(part_path root)
	binds+=("$TOP:$TOP" "$CACHE:/xnb/cache" /dev:/dev)
	for path in "$TOP"/scripts/parts/*; do
		part=${path##*/}
		path=$(part_path "$part")
		[[ ! -d $path || $path == "$root" ]] || binds=("$path:/xnb/$part" "${binds[@]}")
	done
	unshare --mount --pid --fork --kill-child --propagation private \
		bash "$TOP/scripts/enter-root" "$root" "$PWD" "${#binds[@]}" "${binds[@]}" "$@"
}
