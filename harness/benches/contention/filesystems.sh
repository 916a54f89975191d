#!/bin/sh
# Measures every filesystem that can be made here: tmpfs, and ext4, xfs and btrfs by loop mount, and an overlay; needs
# root, and says by name what it skips. Whatever happens, all of it is unmounted and removed at the end.
#
#   filesystems.sh FLOCKWORK [arguments of flockwork bench …]
set -eu

flockwork=$1
shift
base=$(mktemp -d)
mounted=""

clean() {
    trap '' INT TERM
    # The overlay first, as it lies on the others; a filesystem that is busy for a moment is detached.
    for folder in $mounted; do
        umount "$folder" 2>/dev/null || umount --lazy "$folder" || true
    done
    rm -rf "$base"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

skip() {
    echo "skipped $1: $2" >&2
}

# Mounts a new filesystem of a kind: name, size, and the command that makes it.
loop() {
    kind=$1 size=$2
    shift 2
    command -v "$1" >/dev/null || { skip "$kind" "$1 is not installed"; return 0; }
    truncate -s "$size" "$base/$kind.image"
    "$@" "$base/$kind.image" >/dev/null 2>"$base/$kind.log" || { skip "$kind" "$(tail -n 1 "$base/$kind.log")"; return 0; }
    mkdir "$base/$kind"
    if mount -o loop -t "$kind" "$base/$kind.image" "$base/$kind" 2>"$base/$kind.log"; then
        mounted="$base/$kind $mounted"
        roots="$roots --root $base/$kind"
    else
        skip "$kind" "$(tail -n 1 "$base/$kind.log")"
    fi
}

[ "$(id -u)" = 0 ] || { echo "only root may mount filesystems" >&2; exit 96; }
roots=""
mkdir "$base/tmpfs"
if mount -t tmpfs -o size=512m bench "$base/tmpfs"; then
    mounted="$base/tmpfs $mounted"
    roots="$roots --root $base/tmpfs"
else
    skip tmpfs "it cannot be mounted"
fi
loop ext4 512M mkfs.ext4 -q -F
loop xfs 512M mkfs.xfs -q -f
loop btrfs 512M mkfs.btrfs -q -f
mkdir "$base/overlay"
if [ -d "$base/tmpfs" ]; then
    mkdir "$base/tmpfs/lower" "$base/tmpfs/upper" "$base/tmpfs/work"
    options="lowerdir=$base/tmpfs/lower,upperdir=$base/tmpfs/upper,workdir=$base/tmpfs/work"
    if mount -t overlay -o "$options" bench "$base/overlay" 2>"$base/overlay.log"; then
        mounted="$base/overlay $mounted"
        roots="$roots --root $base/overlay"
    else
        skip overlay "$(tail -n 1 "$base/overlay.log")"
    fi
fi
[ -n "$roots" ] || { echo "no filesystem could be made" >&2; exit 96; }
# The paths hold no blanks: mktemp made them.
# shellcheck disable=SC2086
"$flockwork" bench $roots "$@"
