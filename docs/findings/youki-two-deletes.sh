#!/bin/sh
# youki: several deletes of one container at once. Two say that they deleted it.
runtime=youki
. "$(dirname "$0")/lib/bundle.sh"
round=0
while [ $round -lt 60 ]; do
    round=$((round + 1))
    rm -f "$here"/ok.*
    rt create --bundle "$bundle" "$id" || exit 1
    for n in 1 2 3 4; do (rt delete "$id" && : >"$here/ok.$n") & done
    wait
    if [ "$(ls "$here" | grep -c '^ok\.')" -gt 1 ]; then
        echo "seen in round $round: $(ls "$here" | grep -c '^ok\.') deletes of one container succeeded"
        exit 0
    fi
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
