#!/bin/sh
# runc: several creates of one id at once. One says that it succeeded, and then there is no container.
runtime=runc
. "$(dirname "$0")/lib/bundle.sh"
round=0
while [ $round -lt 100 ]; do
    round=$((round + 1))
    rm -f "$here"/ok.*
    for n in 1 2 3 4 5 6 7 8; do (rt create --bundle "$bundle" "$id" && : >"$here/ok.$n") & done
    wait
    if ls "$here"/ok.* >/dev/null 2>&1 && ! rt state "$id"; then
        echo "seen in round $round: create succeeded, and state says that there is no container"
        exit 0
    fi
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
