#!/bin/sh
# pip install into .venv that says every few seconds what it is at, and everything where it fails.
set -u
cd "$(dirname "$0")/.."
log=.venv/pip.log
.venv/bin/pip install "$@" >"$log" 2>&1 &
pip=$!
trap 'kill $pip 2>/dev/null; exit 130' INT TERM
seconds=0
while kill -0 $pip 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    if [ $((seconds % 5)) = 0 ]; then
        doing=$(grep -E '^ *(Collecting|Downloading|Processing|Building|Preparing|Installing) ' "$log" | tail -n 1)
        size=$(du -sm .venv 2>/dev/null | cut -f 1)
        printf '  %3d s, %4d MB: %s\n' "$seconds" "$size" "$(echo "${doing:-Starting pip}" | sed 's/^ *//; s/:.*//' | cut -c 1-80)"
    fi
done
if ! wait $pip; then
    cat "$log" >&2
    exit 1
fi
