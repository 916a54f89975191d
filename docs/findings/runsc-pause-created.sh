#!/bin/sh
# runsc: pausing a container that was created and never started panics. No race is needed.
runtime=runsc
. "$(dirname "$0")/lib/bundle.sh"
rt create --bundle "$bundle" "$id" || exit 1
if ! rt pause "$id" && grep -q "panic: invalid state transition" "$here/err"; then
    echo "seen: $(grep -o 'panic: invalid state transition.*' "$here/err" | head -1)"
    exit 0
fi
echo "not seen" >&2
exit 1
