# What every script here begins with: a bundle of a static busybox, a root of its own, and a clean end.
# Sourced with $runtime set; sets $here (a fresh folder), $bundle and $id, and the functions `rt` and `forget`.
set -u
lacks() { echo "lacks $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || lacks root
command -v "$runtime" >/dev/null || lacks "$runtime"
command -v busybox >/dev/null || lacks "a static busybox"
here=$(mktemp -d "${TMPDIR:-/tmp}/findings-XXXXXX")
bundle=$here/bundle
mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/dev" "$bundle/rootfs/proc" "$bundle/rootfs/sys" "$here/root"
cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
id=c$$
cat >"$bundle/config.json" <<JSON
{ "ociVersion": "1.0.2",
  "process": { "terminal": false, "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/bin"],
               "args": ["/bin/busybox", "sleep", "1000000"] },
  "root": { "path": "rootfs", "readonly": true },
  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" },
              { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" } ],
  "linux": { "cgroupsPath": "/findings-$id",
             "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" } ] } }
JSON
case $runtime in
crun) flags="--cgroup-manager=cgroupfs" ;;
runsc) flags="--platform=ptrace --network=none" ;;
*) flags= ;;
esac
if [ "$runtime" = crun ] && [ -d /sys/fs/cgroup/unified ] && [ -z "${UNIFIED:-}" ]; then
    # crun refuses a machine with cgroups of both versions: it gets to see the second alone.
    rm -rf "$here"
    UNIFIED=1 exec unshare -m sh -c 'mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec sh "$0" "$@"' "$0" "$@"
fi
# What a container keeps open must be no pipe of ours.
rt() { RUST_BACKTRACE=0 "$runtime" --root "$here/root" $flags "$@" </dev/null >>"$here/out" 2>>"$here/err"; }
forget() {
    rt delete --force "$1" || true
    for group in /sys/fs/cgroup/findings-"$id" /sys/fs/cgroup/*/findings-"$id"; do
        [ -d "$group" ] || continue
        [ ! -e "$group/freezer.state" ] || echo THAWED >"$group/freezer.state"
        while read -r pid; do kill -9 "$pid"; done <"$group/cgroup.procs"
        for try in 1 2 3 4 5 6 7 8 9 10; do rmdir "$group" 2>/dev/null && break; sleep 0.05; done
    done
    # A sandbox may be in no cgroup of ours: its arguments name our root.
    for line in /proc/[0-9]*/cmdline; do
        pid=${line#/proc/}; pid=${pid%/cmdline}
        [ "$pid" != $$ ] && { tr '\0' '\n' <"$line" | grep -q "^--root=*$here/\|^$here/root"; } 2>/dev/null && kill -9 "$pid"
    done
    rm -rf "$here/root/$1" "$here/root/$1"_sandbox*
}
trap 'forget "$id" 2>/dev/null; rm -rf "$here"' EXIT
