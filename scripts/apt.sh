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

# Prints NAME=VERSION of part $2 for apt. Dies when root $1 is offered another version only.
pinned() {
	local root=$1 part=$2 pair name version offered gone=0
	for pair in $(part_versions "$part"); do
		name=${pair%%=*} version=${pair#*=}
		offered=$(in_root -r "$root" apt-cache madison "$name" | awk '{ print $3 }')
		grep -qxF "$version" <<<"$offered" && continue
		say "$name: version $version is gone; the nearest offered is $(nearest "$version" "$offered")"
		gone=1
	done
	((gone == 0)) || die "update scripts/versions to what the archive offers, then test again"
	part_versions "$part"
}

# Of the versions $2 (lines) the lowest above $1, else the highest below.
nearest() {
	local version above='' below=''
	for version in $2; do
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

# Takes apart, in folder $1, the packages of part $2, which nothing installs.
unpack_pinned() {
	local out=$1 packages deb
	in_root apt-get update -q
	packages=$(pinned "$(part_path root)" "$2")
	mkdir "$out/debs"
	# shellcheck disable=SC2086 # One word per package.
	in_root -b "$out:/xnb/new" env -C /xnb/new/debs apt-get download $packages
	for deb in "$out"/debs/*.deb; do dpkg-deb -x "$deb" "$out"; done
	rm -r "$out/debs"
}
