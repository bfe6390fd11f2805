# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian packages of pinned versions. Sourced after env.sh by the scripts that make parts.

# Installs on this machine the packages of the commands that it lacks: COMMAND=PACKAGE...
need_commands() {
	local pair missing=()
	for pair; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	((${#missing[@]})) || return 0
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The Debian mirror that this machine uses: the first entry of its sources for its own release.
mirror() {
	local codename found
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	# shellcheck disable=SC2016 # apt expands these.
	found=$(apt-get indextargets --format '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)' |
		awk -v codename="$codename" \
			'$1 == "Packages" && $2 == "main" && ($3 == codename || $3 == "stable") && !n++ { print $4 }')
	[[ $found ]] || die "no Debian mirror in this machine's apt sources for '$codename'"
	printf '%s\n' "$found"
}

# How this machine reaches it: the settings that another root needs too.
acquire_settings() {
	apt-config dump Acquire | grep -E '^Acquire::(Check-|https?::|ftp::|Retries|ForceIPv|Allow)' || true
}

# Prints NAME=VERSION of part $2 for apt. When root $1, entered with the options $3..., is not offered the
# version named in scripts/versions, the nearest one is taken, and a note says so: within a release of Debian
# the one does what the other did. What is marked "exact" there has no substitute.
pinned() {
	local root=$1 part=$2 name version exact offers found gone=0
	shift 2
	while read -r name version exact; do
		# What is offered under names that match: NAME VERSION.
		offers=$(in_root -r "$root" "$@" apt-cache madison "$(matching "$root" "$name" "$@")" </dev/null |
			awk '{ print $1, $3 }')
		found=$(nearest "$version" "$(cut -d' ' -f2 <<<"$offers")")
		if [[ $found != "$version" ]]; then
			say "note: $name: version $version is gone; the nearest offered is $found"
			[[ $found != none && ! $exact ]] || gone=1
		fi
		awk -v version="$found" '$2 == version { print $1 "=" $2; exit }' <<<"$offers"
	done < <(part_versions "$part")
	((gone == 0)) || die "update scripts/versions to what the archive offers, then test again"
}

# Prints the package that the pattern $2 names, of those which root $1 knows, the last one first.
matching() {
	local root=$1 pattern=$2
	shift 2
	[[ $pattern == *'*'* ]] || { printf '%s\n' "$pattern"; return; }
	# shellcheck disable=SC2053 # It is a pattern.
	in_root -r "$root" "$@" apt-cache pkgnames "${pattern%%'*'*}" </dev/null | sort -rV |
		while read -r name; do [[ $name == $pattern ]] && printf '%s\n' "$name"; done | head -n 1
}

# Of the versions $2 (lines) $1 itself, else the lowest above it, else the highest below.
nearest() {
	local version above='' below=''
	for version in $2; do
		[[ $version != "$1" ]] || { printf '%s\n' "$1"; return; }
		if dpkg --compare-versions "$version" gt "$1"; then
			[[ $above ]] && dpkg --compare-versions "$above" lt "$version" || above=$version
		else
			[[ $below ]] && dpkg --compare-versions "$below" gt "$version" || below=$version
		fi
	done
	printf '%s\n' "${above:-${below:-none}}"
}

# Installs part $2's packages in root $1; what is downloaded is not kept.
install_pinned() {
	local root=$1 packages
	in_root -r "$root" apt-get update -q
	packages=$(pinned "$root" "$2")
	# shellcheck disable=SC2086 # One word per package.
	in_root -r "$root" apt-get install -y -q --no-install-recommends $packages
	in_root -r "$root" apt-get clean
}

# Takes apart, in folder $1, the packages of part $2, which nothing installs. They are from the build
# root's own suites, or from the suites $3... of the same mirror.
unpack_pinned() {
	local out=$1 part=$2 root packages deb suite options=()
	shift 2
	root=$(part_path root)
	mkdir -p "$out/debs"
	if (($#)); then
		# What the root knows of its own suites stays as it is.
		mkdir "$out/lists"
		cp -a "$root/etc/apt" "$out/apt"
		for suite; do printf 'deb %s %s main\n' "$(mirror)" "$suite"; done >"$out/apt/sources.list"
		options=(-b "$out/apt:/etc/apt" -b "$out/lists:/var/lib/apt/lists")
	fi
	in_root "${options[@]}" apt-get update -q -o Acquire::Languages=none
	packages=$(pinned "$root" "$part" "${options[@]}")
	# shellcheck disable=SC2086 # One word per package.
	in_root "${options[@]}" -b "$out:/xnb/new" env -C /xnb/new/debs apt-get download $packages
	for deb in "$out"/debs/*.deb; do dpkg-deb -x "$deb" "$out"; done
	rm -rf "$out"/{debs,apt,lists}
}
