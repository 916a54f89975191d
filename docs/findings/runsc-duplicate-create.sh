#!/bin/sh
# runsc: a create of an id that exists is refused, and the container that was there is gone. No race is needed.
runtime=runsc
. "$(dirname "$0")/lib/bundle.sh"
rt create --bundle "$bundle" "$id" && rt state "$id" || exit 1
if rt create --bundle "$bundle" "$id"; then
    echo "the second create succeeded" >&2
    exit 1
fi
if rt state "$id"; then
    echo "not seen: the container is still there" >&2
    exit 1
fi
echo "seen: the second create was refused, and the container that was there is gone"
