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
        printf '  %3d s: %s\n' "$seconds" "$(tail -n 1 "$log" | sed 's/^ *//' | cut -c 1-90)"
    fi
done
if ! wait $pip; then
    cat "$log" >&2
    exit 1
fi
