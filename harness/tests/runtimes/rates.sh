#!/bin/bash
# rates.sh FLOCKWORK [SECONDS [LOG [SEEDS]]]: how soon each finding of scenarios/runtimes shows, for so many seconds in all:
# rounds that run freely, rounds whose commands are stopped at random moments, and executions under control, each with seeds 1
# to SEEDS.
#
# Each run adds a line to LOG: finding, way, seed, exit code, rounds or executions, seconds. What has a line is not run again, so
# that the rest can be had later. Then the medians are printed as a table; a run that found nothing counts as longer than any
# that did. With FLOCKWORK empty only the table is printed. EACH is how long one run may take, EACH_KILLS one with kills or of runsc under control. Needs root.
set -u
flockwork=${1:+$(realpath "$1")} seconds=${2:-3600} log=$(realpath "${3:-target/runtime-rates.log}") seeds=${4:-10}
each=${EACH:-30s} scenarios=$(realpath "$(dirname "$0")/../../../scenarios/runtimes")
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
touch "$log" && cd "$place" || exit 1

# Each finding: its scenario, and what shows it under control, the setup and a kill included; nothing where nothing does.
findings() {
    cat <<'ALL'
runc-two-creates|runc||create c1;create c1
runc-lost-winner|runc||create c1;create c1
runc-orphan|runc||create c1;create c1
runc-two-deletes|runc|create c1;start c1;kill c1|delete c1;delete c1
runc-stale-delete|runc|create c1;start c1;kill c1|create c1;delete c1;delete c1
runc-start-hangs|runc|create c1|start c1;start c1
crun-two-deletes|crun||create c1;delete c1
crun-start-dies|crun|create c1|start c1;kill c1
crun-start-hangs|crun|create c1|start c1;kill c1
crun-killed-create|crun||create c1;state c2;--faults kill
youki-torn-state|youki|create c1|start c1;state c1
youki-two-starts|youki|create c1|start c1;start c1
youki-killed-create|youki||create c1;state c2;--faults kill
runsc-duplicate-create|runsc||
runsc-two-pauses|runsc|create c1;start c1|pause c1;pause c1
runsc-pause-created|runsc||
runsc-killed-create|runsc||create c1;state c2;--faults kill
ALL
}

value() { grep -o "\"$1\": *[^,}]*" report | head -n 1 | cut -d: -f2- | tr -d ' "'; }

try() {
    local finding=$1 way=$2 seed=$3 runtime=$4 setup=$5 together=$6 words=() one each=$each
    local all=(--seed "$seed" --root "$place" --results-dir results --format json)
    case $way in
    free) words=(run "$scenarios/$finding.toml" "${all[@]}") ;;
    perturbed) words=(run "$scenarios/$finding.toml" "${all[@]}" --set 'rounds.perturb="0ms..10ms"') ;;
    controlled)
        # Kills come last, in a quarter of the time; and each delete of runsc takes seconds.
        [ "${together%;--faults kill}" = "$together" ] && [ "$runtime" != runsc ] || each=${EACH_KILLS:-120s}
        words=(race --subject "$runtime" "${all[@]}" --budget "$each")
        while IFS= read -r -d ';' one; do words+=(--setup "$one"); done <<<"${setup:+$setup;}"
        [ "${together%;--faults kill}" = "$together" ] || words+=(--faults kill)
        words+=(--)
        while IFS= read -r -d ';' one; do words+=("$one"); done <<<"${together%;--faults kill};"
        ;;
    esac
    [ "$way" = controlled ] || words+=(--set "rounds.budget={rounds=1000,time=\"$each\"}")
    nice -n "${NICE:-19}" "$flockwork" "${words[@]}" >report 2>errors
    local code=$? count
    # What could not be run says why, and counts as nothing.
    [ -s report ] || { echo "$finding $way $seed: $(head -n 1 errors)" >&2; return; }
    if [ "$way" = controlled ]; then
        count=$(value found_by_schedule)
        [ $code = 100 ] && code=0 || code=1
        [ -n "$count" ] || count=$(value executions)
    else
        count=$(grep -o '"rounds": *[0-9][0-9]*' report | head -n 1 | tr -dc 0-9)
    fi
    echo "$finding $way $seed $code ${count:-0} $(value duration_s)" >>"$log"
    rm -rf results
}

[ -z "$flockwork" ] || while read -r seed way line; do
    [ $SECONDS -lt "$seconds" ] || break
    IFS='|' read -r finding runtime setup together <<<"$line"
    [ "$way" != controlled ] || [ -n "$together" ] || continue
    # What is a race already is not played in rounds.
    [ "$way" = controlled ] || ! grep -q '^kind = "race"' "$scenarios/$finding.toml" || continue
    grep -qF "$finding $way $seed " "$log" || try "$finding" "$way" "$seed" "$runtime" "$setup" "$together"
done < <(for seed in $(seq 1 "$seeds"); do
    findings | while read -r line; do for way in free perturbed controlled; do echo "$seed $way $line"; done; done
done)

# Not found counts as more than anything.
sort "$log" | awk '
    function median(list, count,   values, at, other, kept) {
        split(list, values, " ")
        for (at = 2; at <= count; at++)
            for (other = at; other > 1 && values[other - 1] + 0 > values[other] + 0; other--) {
                kept = values[other]; values[other] = values[other - 1]; values[other - 1] = kept
            }
        return values[int((count + 1) / 2)]
    }
    { key = $1 " " $2; count[key]++; names[$1]; hit = $4 == 0
      found[key] += hit; rounds[key] = rounds[key] " " (hit ? $5 : 1e9); times[key] = times[key] " " (hit ? $6 : 1e9) }
    function cell(key) {
        if (!count[key]) return "not tried"
        if (2 * found[key] <= count[key]) return sprintf("found with %d of %d seeds", found[key], count[key])
        return sprintf("%d, %.1f s; %d of %d seeds", median(rounds[key], count[key]), median(times[key], count[key]), found[key], count[key])
    }
    END {
        print "| scenario | free | perturbed | under control |"; print "|---|---|---|---|"
        for (name in names) print "| `" name "` | " cell(name " free") " | " cell(name " perturbed") " | " cell(name " controlled") " |"
    }' | { read -r head; read -r rule; printf '%s\n%s\n' "$head" "$rule"; sort; }
