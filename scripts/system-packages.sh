#!/usr/bin/env bash
# Install the Debian packages of a list in system-packages.txt that are missing, or print the command that would.
#   scripts/system-packages.sh SECTION...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
policy=/usr/sbin/policy-rc.d

wanted() { # the packages of the named sections, without their comments
    awk -v sections=" $* " '
        /^\[/ { inside = index(sections, " " substr($1, 2, length($1) - 2) " ") }
        !/^\[/ && inside && NF && $1 !~ /^#/ { print $1 }' "$here/system-packages.txt"
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
if command -v dpkg-query >/dev/null; then
    for package in $(wanted "$@"); do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || exit 0
else
    mapfile -t missing < <(wanted "$@")
    echo "This is not a Debian system; what needs these packages is left out: ${missing[*]}" >&2
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    root=()
elif sudo -n true 2>/dev/null; then
    root=(sudo -n)
else
    echo "Some Debian packages are missing, and this user may not install them. To install them:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# Packages of servers start them when they are installed. Tests start their own, so for the time of the
# installation a policy forbids it; a policy that was there before comes back untouched.
kept=$(mktemp -u "$policy.XXXXXX")
restore() {
    if [ -e "$kept" ]; then
        "${root[@]}" mv -f "$kept" "$policy"
    else
        "${root[@]}" rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    "${root[@]}" mv "$policy" "$kept"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
"${root[@]}" chmod 755 "$policy"

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
"${apt[@]}" update
# What this release does not have keeps nothing else from being installed.
known=() unknown=()
for package in "${missing[@]}"; do
    if [ -n "$(apt-cache policy "$package" | sed -n '/Candidate: [^(]/p')" ]; then
        known+=("$package")
    else
        unknown+=("$package")
    fi
done
[ ${#known[@]} -eq 0 ] || "${apt[@]}" install --no-install-recommends "${known[@]}"
if [ ${#unknown[@]} -gt 0 ]; then
    echo "This release has no such packages; what needs them is left out: ${unknown[*]}" >&2
    exit 1
fi
