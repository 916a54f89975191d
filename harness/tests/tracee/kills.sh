#!/bin/bash
# kills.sh FLOCKWORK [KILLS [LOG]]: kills a harness that holds programs at a random moment, again and again, and looks for
# what stays: processes, mounts, files, a changed state folder. Ends with 1 if anything does. With a log, runs add up: each adds
# a line of how many harnesses were killed, had ended before, and left something, and all lines together are told.
set -u
flockwork=$(realpath "$1") kills=${2:-1000} log=${3:-}
[ -z "$log" ] || log=$(realpath "$log")
place=$(mktemp -d /dev/shm/flockwork-kills.XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
mkdir "$place/state" "$place/root" && cd "$place" || exit 1
echo 0 >state/count
cat >tool <<'TOOL'
#!/bin/sh
exec 9>>state/lock
flock 9
read -r n <state/count
(echo $((n + 1)) | cat >state/new)
mv state/new state/count
TOOL
chmod +x tool

# Everything that descends from the harness inherits this variable, and nothing else has it.
mark=FLOCKWORK_KILLS=$$.$RANDOM
left() {
    grep -lzxF "$mark" /proc/[0-9]*/environ 2>/dev/null | while read -r environment; do
        status=${environment%environ}status
        grep -q '^State:.*[ZX]' "$status" 2>/dev/null || sed -n 's/^Name:[[:space:]]*//p' "$status" 2>/dev/null
    done
}
# Others may mount as well: what counts are mounts of what lies here.
mounts() { grep -cF "${place##*/}" /proc/self/mountinfo; }

killed=0 early=0 faults=0 most=0
for _ in $(seq "$kills"); do
    # With clones every other time.
    how=off
    [ $((RANDOM % 2)) = 0 ] && how=auto
    env "$mark" "$flockwork" race --state state --root root --results-dir results --strategy random --budget 60s \
        --fork-server $how -- ./tool ./tool >/dev/null 2>&1 &
    harness=$!
    sleep "$((RANDOM % 3)).$((RANDOM % 10))$((RANDOM % 10))"
    there=$(left | wc -l)
    [ "$there" -gt "$most" ] && most=$there
    if kill -KILL $harness 2>/dev/null; then killed=$((killed + 1)); else early=$((early + 1)); fi
    wait $harness 2>/dev/null
    # All of it runs last on this machine, the clearing up too.
    for _ in $(seq 600); do
        stays=$(left)
        [ -z "$stays$(ls -A root)" ] && break
        sleep 0.1
    done
    wrong=
    [ -z "$stays" ] || wrong="processes: $stays"
    [ "$(mounts)" = 0 ] || wrong="$wrong mounts: $(mounts)"
    [ -z "$(ls -A root)" ] || wrong="$wrong files: $(ls -A root)"
    [ "$(cat state/count) $(ls -A state)" = "0 count" ] || wrong="$wrong state: $(ls -A state)"
    if [ -n "$wrong" ]; then
        faults=$((faults + 1))
        echo "stays after kill $killed: $wrong"
    fi
    rm -rf results
done
if [ -n "$log" ]; then
    echo "$killed $early $faults" >>"$log"
    awk '{k += $1; f += $3} END {print k " harnesses killed in all runs, something stayed of " f}' "$log"
fi
echo "$killed harnesses killed, $early had ended before; of at most $most processes at a kill; something stayed of $faults"
# Where no process was ever seen, nothing can be said of those that stay.
[ "$faults" = 0 ] && [ "$most" -gt 3 ]
