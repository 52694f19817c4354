#!/usr/bin/env bash
# Start NFS and Slurm on this host, the database daemon before the controller, and this before the nodes.
# usage: start.sh GROUP...
set -euo pipefail

# Repeat a command until it succeeds, as long as that may take; show what it said where that is too long.
# usage: await COMMAND...
await() {
  local said
  for _attempt in {1..120}; do
    ! said=$("$@" 2>&1) || return 0
    sleep 0.5
  done
  echo "$* said in the end: $said" >&2
  return 1
}

answers() {
  timeout 2 bash -c "< /dev/tcp/$1/$2"
}

# It serves, and there is something to read.
start_ganesha() {
  systemctl start rpcbind.service nfs-ganesha.service
  echo "read on $(hostname)" > /root/greeting
  await nfs-cp /root/greeting "nfs://127.0.0.1/export/greeting?version=4"
}

knows_the_cluster() {
  sacctmgr --noheader --parsable2 show cluster format=cluster | grep -x alpha
}

# When the controller is connected to slurmdbd, create an account for root.
start_slurm_database() {
  [ "$(hostname)" = accounting ] || return 0
  systemctl start slurmdbd.service
  await knows_the_cluster
  sacctmgr --immediate add account lab
  sacctmgr --immediate add user root account=lab
}

start_slurm_controller() {
  await sacctmgr --noheader show cluster
  systemctl start slurmctld.service
}

start_slurm_compute() {
  await answers head 6817
  systemctl start slurmd.service
}

for group in "$@"; do
  [ "$(type -t "start_$group")" != function ] || "start_$group"
done
