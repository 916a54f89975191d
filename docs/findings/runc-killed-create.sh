#!/bin/sh
# runc: a create is killed, and the id is deleted by force. Its cgroups stay.
runtime=runc
. "$(dirname "$0")/lib/bundle.sh"
has_cgroup() { for group in /sys/fs/cgroup/findings-"$id" /sys/fs/cgroup/*/findings-"$id"; do [ ! -d "$group" ] || return 0; done; return 1; }
round=0
while [ $round -lt 200 ]; do
    round=$((round + 1))
    "$runtime" --root "$here/root" create --bundle "$bundle" "$id" </dev/null >>"$here/out" 2>>"$here/err" &
    pid=$!
    sleep 0.0$((round % 4 + 1))$((round % 9))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ $? = 137 ] && rt delete --force "$id" && sleep 0.3 && has_cgroup; then
        echo "seen in round $round: delete --force succeeded, and the cgroups are still there"
        exit 0
    fi
    forget "$id"
done
echo "not seen in $round rounds" >&2
exit 1
