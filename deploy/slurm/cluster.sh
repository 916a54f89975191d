#!/usr/bin/env bash
# A Slurm cluster of one node, on loopback, in a folder of its own: for the test of the array script. Needs root.
#
#     cluster.sh FOLDER COMMAND...    runs COMMAND with the cluster up, and takes it down
#
# It never touches the machine's own Slurm: its configuration, key, sockets, ports and state lie in FOLDER.
set -euo pipefail

folder=$(realpath "${1:?usage: cluster.sh FOLDER COMMAND...}")
shift
mkdir -p "$folder"/{ctld,slurmd,log,munge}
chmod 711 "$folder"
chmod 700 "$folder/munge"
cpus=$(nproc)
port=$((20000 + $$ % 20000))
host=$(hostname -s)

started=()
stop() {
    # In the reverse order: what was started last ends first.
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        kill "${started[$i]}" 2>/dev/null || true
        wait "${started[$i]}" 2>/dev/null || true
    done
}
trap stop EXIT

dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
chmod 600 "$folder/munge/key"
munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/log/munged" &
started+=($!)
for _ in $(seq 100); do [ -S "$folder/munge.socket" ] && break; sleep 0.1; done

cat >"$folder/slurm.conf" <<CONF
ClusterName=flockwork
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$folder/ctld
SlurmdSpoolDir=$folder/slurmd
SlurmctldPidFile=$folder/ctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=1
JobRequeue=1
ReturnToService=2
MinJobAge=600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$folder/slurm.conf"
slurmctld -D &
started+=($!)
slurmd -D -N "$host" &
started+=($!)
for _ in $(seq 300); do
    sinfo --noheader --format=%t 2>/dev/null | grep -q idle && break
    sleep 0.1
done
sinfo >&2
"$@"
