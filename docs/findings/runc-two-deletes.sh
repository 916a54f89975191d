#!/bin/sh
# runc: two deletes of one stopped container at once. Both say that they succeeded.
runtime=runc
. "$(dirname "$0")/lib/bundle.sh"
round=0
while [ $round -lt 100 ]; do
    round=$((round + 1))
    rm -f "$here"/ok.*
    rt create --bundle "$bundle" "$id" && rt start "$id" && rt kill "$id" KILL || exit 1
    until "$runtime" --root "$here/root" state "$id" | grep -q '"stopped"'; do :; done
    for n in 1 2; do (rt delete "$id" && : >"$here/ok.$n") & done
    wait
    if [ -e "$here/ok.1" ] && [ -e "$here/ok.2" ]; then
        echo "seen in round $round: two deletes of one container succeeded"
        exit 0
    fi
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
