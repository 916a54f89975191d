#!/bin/bash
# pairs.sh FLOCKWORK [SECONDS [LOG [RUNTIMES]]]: tries every pair of operations of a container runtime, and every triple
# with TRIPLES=1, from every status, with its processes killed at their system calls, for so many seconds in all.
#
# Each race adds a line to LOG: runtime, status, operations, exit code, executions, of these with a kill, whether it was under
# control, classes found, how often a replay showed it again, seconds. What is found is kept in LOG.d. What has a line is not
# tried again, so that the rest can be had later; the order is drawn anew each time, those first whose operations all do
# something at that status. Then all lines are printed as tables. A runtime may be named with its program, as in
# runsc=/usr/local/bin/runsc: give each version a LOG of its own. EACH is how long one race may take; with FLOCKWORK empty only
# the tables are printed. Needs root.
set -u
flockwork=${1:+$(realpath "$1")} seconds=${2:-3600} log=$(realpath "${3:-target/runtime-pairs.log}")
runtimes=${4:-runc crun youki runsc} each=${EACH:-60s} triples=${TRIPLES:-}
operations="create start pause resume kill delete state"
declare -A paths=()
for named in $runtimes; do [ "$named" = "${named#*=}" ] || paths[${named%%=*}]=$(realpath "${named#*=}"); done
runtimes=$(for named in $runtimes; do echo "${named%%=*}"; done)
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
mkdir -p "$log.d" && touch "$log" && cd "$place" || exit 1

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

# Those first whose operations all do something, or look, at that status.
hopeful_first() {
    awk '
        BEGIN {
            does["absent"] = "create delete start kill state"; does["created"] = "create start delete kill pause state"
            does["running"] = "create pause kill delete state"; does["paused"] = "pause resume kill delete state"
            does["stopped"] = "create start delete state"
        }
        { rank = 0; looks = 1; count = split($3, operations, ",")
          for (at = 1; at <= count; at++) {
              if (index(does[$2] " ", operations[at] " ") == 0) rank = 1
              if (operations[at] != "state") looks = 0
          }
          if (looks || ($2 == "absent" && $3 !~ /create/)) rank = 2
          print rank, $0 }' | sort -s -n -k 1,1 | cut -d" " -f 2-
}

# The first value of a key of the report, and all classes.
value() { grep -o "\"$1\": *[^,}]*" report | head -n 1 | cut -d: -f2- | tr -d ' "'; }
classes() { grep -o '"class": *"[^"]*"' report | cut -d'"' -f4 | sort -u | paste -sd+; }

try() {
    local runtime=$1 status=$2 together=$3 words=() line code found begun=$SECONDS path=${paths[$1]:-}
    [ -z "$path" ] || words+=(--path "$path")
    while read -r line; do [ -z "$line" ] || words+=(--setup "$line"); done < <(setup "$status")
    words+=(--)
    for line in ${together//,/ }; do words+=("$line c1"); done
    nice -n "${NICE:-19}" "$flockwork" race --subject "$runtime" --faults kill --budget "$each" --root "$place" \
        --results-dir results --format json "${words[@]}" >report 2>errors
    code=$?
    found=$(classes)
    # What was refused, or is not installed, says why in its first line.
    [ -s report ] || found=$(head -n 1 errors | tr ' ' '_' | cut -c 1-120)
    # What there was no time for has not been tried.
    [ $code = 102 ] && [[ $(value executions) =~ ^0?$ ]] ||
        echo "$runtime $status $together $code $(value executions) $(value faulted) $(value controlled)" \
            "${found:--} $(value times)/$(value of) $((SECONDS - begun))" >>"$log"
    [ $code = 102 ] || cat results/*/findings/*/table.txt report errors >"$log.d/$runtime-$status-$together" 2>/dev/null
    rm -rf results
}

[ -z "$flockwork" ] || while read -r runtime status together; do
    [ $SECONDS -lt "$seconds" ] || break
    grep -qF "$runtime $status $together " "$log" || try "$runtime" "$status" "$together"
done < <(cases | shuf | hopeful_first)

sort "$log" | awk '
    function outcome() { return $4 == 0 ? "clean" : $4 == 100 ? "found" : $4 == 102 ? "inconclusive" : "refused" }
    { way = $7 == "true" ? "under control" : "free"
      tried[$1]++; ended[$1, outcome()]++; executions[$1] += $5; killed[$1] += $6; held[$1] += $7 == "true"
      if ($4 == 100) rows[++count] = "| " $1 " | " $2 " | `" $3 "` | `" $8 "`" ($6 > 0 ? ", by a kill" : "") " | " way " | " $5 " | " $9 " |" }
    END {
        print "| runtime | tried | under control | executions | with a kill | found | nothing found | refused |"
        print "|---|---|---|---|---|---|---|---|"
        for (name in tried)
            print "| " name " | " tried[name] " | " held[name] + 0 " | " executions[name] " | " killed[name] " | " \
                ended[name, "found"] + 0 " | " ended[name, "clean"] + ended[name, "inconclusive"] " | " ended[name, "refused"] + 0 " |"
        print "\n| runtime | status | operations | found | ran | in execution | again |\n|---|---|---|---|---|---|---|"
        for (row = 1; row <= count; row++) print rows[row]
    }'
