#!/bin/sh
# crun: a create is killed, and the id is deleted by force. Its cgroup stays.
runtime=crun
. "$(dirname "$0")/lib/bundle.sh"
round=0
while [ $round -lt 200 ]; do
    round=$((round + 1))
    "$runtime" --root "$here/root" $flags create --bundle "$bundle" "$id" </dev/null >>"$here/out" 2>>"$here/err" &
    pid=$!
    sleep 0.00$((round % 9 + 1))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ $? = 137 ] && rt delete --force "$id" && sleep 0.2 && [ -d "/sys/fs/cgroup/findings-$id" ]; then
        echo "seen in round $round: delete --force succeeded, and the cgroup is still there"
        exit 0
    fi
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
