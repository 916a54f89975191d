#!/bin/bash
# pairs.sh FLOCKWORK [SECONDS [LOG [RUNTIMES]]]: tries every pair of operations of a container runtime, and every triple
# with TRIPLES=1, from every status, with its processes killed at their system calls, for so many seconds in all.
#
# Each race adds a line to LOG: runtime, status, operations, how it ended, executions, of these with a kill, what was found. What
# has a line is not tried again, so that the rest can be had later; the order is drawn anew each time. Then all lines are
# printed as a table. Needs root.
set -u
flockwork=$(realpath "$1") seconds=${2:-3600} log=$(realpath "${3:-target/runtime-pairs.log}")
runtimes=${4:-runc crun youki runsc} each=${EACH:-60s} triples=${TRIPLES:-}
operations="create start pause resume kill delete state"
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
touch "$log" && cd "$place" || exit 1

# What brings a container to a status.
setup() {
    case $1 in
    absent) ;;
    created) printf '%s\n' 'create c1' ;;
    running) printf '%s\n' 'create c1' 'start c1' ;;
    paused) printf '%s\n' 'create c1' 'start c1' 'pause c1' ;;
    stopped) printf '%s\n' 'create c1' 'start c1' 'kill c1' ;;
    esac
}

cases() {
    for runtime in $runtimes; do
        for status in absent created running paused stopped; do
            for one in $operations; do
                for other in $operations; do
                    [[ $other < $one ]] && continue
                    if [ -z "$triples" ]; then
                        echo "$runtime $status $one,$other"
                        continue
                    fi
                    for third in $operations; do
                        [[ $third < $other ]] || echo "$runtime $status $one,$other,$third"
                    done
                done
            done
        done
    done
}

# One value, or all, of a key of the report.
value() { grep -o "\"$1\":[^,}]*" report | head -n 1 | cut -d: -f2- | tr -d '"'; }
classes() { grep -o '"class":"[^"]*"' report | cut -d'"' -f4 | sort -u | paste -sd+; }

while read -r runtime status together; do
    [ $SECONDS -lt "$seconds" ] || break
    grep -qF "$runtime $status $together " "$log" && continue
    words=()
    while read -r line; do [ -z "$line" ] || words+=(--setup "$line"); done < <(setup "$status")
    words+=(--)
    for one in ${together//,/ }; do words+=("$one c1"); done
    nice -n 19 "$flockwork" race --subject "$runtime" --faults kill --budget "$each" --root "$place" \
        --results-dir results --format json "${words[@]}" >report 2>errors
    code=$?
    found=$(classes)
    # What was refused, or is not installed, says why in its first line.
    [ -s report ] || found=$(head -n 1 errors | tr ' ' '_' | cut -c 1-120)
    echo "$runtime $status $together $code $(value executions) $(value faulted) ${found:--}" >>"$log"
    rm -rf results
done < <(cases | shuf)

echo "| runtime | status | operations | outcome | executions, with a kill | found |"
echo "|---|---|---|---|---|---|"
sort "$log" | awk '{
    outcome = $4 == 0 ? "clean" : $4 == 100 ? "found" : $4 == 102 ? "nothing found" : "exit code " $4
    print "| " $1 " | " $2 " | " $3 " | " outcome " | " $5 ", " $6 " | " ($7 == "-" ? "" : $7) " |"
}'
