#!/bin/bash
# executions.sh FLOCKWORK [EXECUTIONS [LOG]]: runs programs that are right under control, in random orders, beside two that keep
# the machine busy, until the log tells of so many executions. Each run of flockwork adds a line: how many executions, how many
# diverged, its exit code, the pair, its seed. Whoever is killed goes on where the log ends. Ends with 1 if anything was found,
# hung, or stays.
set -u
flockwork=$(realpath "$1") wanted=${2:-100000} log=${3:-/dev/null}
corpus=$(realpath "$(dirname "$0")/../../../scenarios/field")
[ "$log" = /dev/null ] || log=$(realpath "$log")
place=$(mktemp -d /dev/shm/flockwork-executions.XXXXXX) || exit 1
# Busy, but last: no test of speed.
for _ in 1 2; do nice -n 19 sh -c 'while :; do :; done' & busy="${busy:-} $!"; done
trap 'kill $busy 2>/dev/null; rm -rf "$place"' EXIT
mark=FLOCKWORK_EXECUTIONS=$$.$RANDOM
pairs="04-lost-update 05-lock-released-by-child 13-shared-lock-upgrade 21-check-then-create-shell"
for pair in $pairs; do
    cp -r "$corpus/$pair/fixed" "$place/$pair" && mkdir -p "$place/$pair/state" || exit 1
    if [ -f "$place/$pair/tool.c" ]; then (cd "$place/$pair" && gcc -O1 -o tool tool.c) || exit 1; fi
done
count() { [ -s "$log" ] && awk '{n += $1} END {print n + 0}' "$log" || echo 0; }
# Without a log, what this run did counts.
[ "$log" = /dev/null ] && log=$place/log
touch "$log"
wrong=0 done=$(count)
while [ "$done" -lt "$wanted" ]; do
    for pair in $pairs; do
        seed=$((RANDOM * 32768 + RANDOM)) how=off
        [ $((seed % 2)) = 0 ] && how=auto
        cd "$place/$pair" || exit 1
        case $pair in
        04-*) set -- './tool add x' './tool add y' ;;
        21-*) set -- './tool claim n alice' './tool claim n bob' ;;
        *) set -- './tool inc' './tool inc' ;;
        esac
        env "$mark" timeout 900 "$flockwork" race --state state --env TOOL_DIR=state --results-dir results --format json \
            --strategy random --executions 500 --budget 600s --seed "$seed" --fork-server $how -- "$@" >out.json 2>err.txt
        code=$?
        field() { grep -o "\"$1\": *[0-9]*" out.json | head -1 | grep -o '[0-9]*$' || echo 0; }
        executions=$(field executions) diverged=$(field diverged)
        stays=$(grep -lzxF "$mark" /proc/[0-9]*/environ 2>/dev/null | wc -l)
        # A sample is no proof: 102 says that, and nothing else may be said.
        case $code in 0 | 102) ;; *) wrong=$((wrong + 1)); echo "$pair, seed $seed: exit code $code"; tail -3 err.txt ;; esac
        [ "$stays" = 0 ] || { wrong=$((wrong + 1)); echo "$pair, seed $seed: $stays processes stay"; }
        [ "${executions:-0}" -gt 0 ] || { wrong=$((wrong + 1)); echo "$pair, seed $seed: nothing ran"; }
        echo "${executions:-0} ${diverged:-0} $code $pair $seed" >>"$log"
        rm -rf results
    done
    [ "$wrong" -lt 10 ] || break
    done=$(count)
done
awk '{n += $1; d += $2} END {print n " executions, " d " diverged and told"}' "$log"
[ "$wrong" = 0 ]
