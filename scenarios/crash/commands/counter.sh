#!/bin/sh
# A counter in a file, under a lock: `counter.sh SAVE add NUMBER` and `counter.sh SAVE read`, where SAVE says what is synced.
cd "$STATE" || exit 9
exec 9>>lock
flock 9
if [ "$2" = read ]; then cat count 2>/dev/null || echo 0; exit 0; fi
n=$(cat count 2>/dev/null || echo 0)
echo $((n + $3)) >new
case $1 in file | both) sync new ;; esac
mv new count
case $1 in both) sync . ;; esac
echo $((n + $3))
