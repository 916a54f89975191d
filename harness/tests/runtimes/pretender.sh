#!/bin/sh
# A runtime of files alone, called as crun is, with a known fault: a state that meets a create halfway leaves a file behind, which
# no delete removes. Whatever it does is the same in every execution, so that executions can be compared.
[ "$1" = --version ] && echo "pretender 1" && exit 0
root=$2 operation=$4
shift 4
case $operation in
create) shift 2 ;;
delete) [ "$1" = --force ] && rm -rf "$root/$2" && exit 0 ;;
esac
id=$1 status=
[ -e "$root/$id/status" ] && read -r status <"$root/$id/status"
case $operation in
create)
    mkdir "$root/$id" 2>/dev/null || { echo "container \`$id\` already exists" >&2 && exit 1; }
    : >"$root/$id.making"
    echo created >"$root/$id/status"
    rm "$root/$id.making"
    exit
    ;;
state) [ -e "$root/$id.making" ] && : >"$root/$id.stale" ;;
esac
[ -n "$status" ] || { echo "error opening file \`$root/$id/status\`: No such file or directory" >&2 && exit 1; }
case $operation in
state) echo "{\"id\": \"$id\", \"status\": \"$status\"}" ;;
start) echo running >"$root/$id/status" ;;
kill) echo stopped >"$root/$id/status" ;;
delete) rm -r "$root/$id" ;;
esac
