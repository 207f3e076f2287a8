#!/bin/sh
# Name the folder in memory for the tests' files, where it has room for them and programs in it can run; else
# nothing, and they lie on the disk.
set -eu

root=/dev/shm
gigabytes=8

free=$(df --output=avail --block-size=1G "$root" 2>/dev/null | tail -n 1 | tr -d ' ')
[ "${free:-0}" -ge "$gigabytes" ] || exit 0
program=$(mktemp "$root/dicomdock.XXXXXX")
trap 'rm -f "$program"' EXIT
printf '#!/bin/sh\n' >"$program"
chmod +x "$program"
if "$program" 2>/dev/null; then echo "$root"; fi
