#!/bin/sh
# runc: several starts of one container at once. One succeeds; another waits for ever for a FIFO that nobody opens again.
runtime=runc
. "$(dirname "$0")/lib/bundle.sh"
round=0
while [ $round -lt 60 ]; do
    round=$((round + 1))
    rt create --bundle "$bundle" "$id" || exit 1
    rm -f "$here"/pid.*
    for n in 1 2 3 4; do
        (exec "$runtime" --root "$here/root" start "$id" </dev/null >>"$here/out" 2>>"$here/err") &
        echo $! >"$here/pid.$n"
    done
    sleep 2
    for file in "$here"/pid.*; do
        pid=$(cat "$file")
        if grep -qs wait_for_partner /proc/"$pid"/task/*/wchan; then
            echo "seen in round $round: two seconds later a start still waits for somebody to open exec.fifo"
            cat "$here"/pid.* | xargs kill -9 2>/dev/null
            exit 0
        fi
    done
    wait
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
