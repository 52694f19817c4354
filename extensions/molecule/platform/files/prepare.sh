#!/usr/bin/env bash
# Configure the real daemons of this host (the image has the packages), and start those of the platform. What it does not
# name it leaves as Debian has it. start.sh starts NFS and Slurm.
# usage: prepare.sh GROUP...    (those of the host; standard input: its certificates; $STAND_INS: ports of listeners that
# stand in for what Debian has no package of)
set -euo pipefail
here=$(dirname "$0")
host=$(hostname)

# Podman mounts all of it read-only; these settings are each network namespace's own.
let_roles_set_what_the_kernel_does_with_ports() {
  ! mountpoint --quiet /proc/sys/net || return 0
  mount --bind /proc/sys/net /proc/sys/net
  mount -o remount,rw,bind /proc/sys/net
}

# What users started, on ports of their own.
prepare_of_a_user() {
  systemd-run --quiet --unit=of-a-user --working-directory=/tmp python3 -m http.server 20001
}

# The authority's certificate, and the smart card for who has one.
prepare_users_of_the_platform() {
  local files=(ca.crt)
  [ "$host" != laptop1 ] || files+=(card.crt card.key)
  mkdir -p /etc/platform
  base64 --decode <<< "$certificates" | tar --extract --directory=/etc/platform "${files[@]}"
}

prepare_front_door() {
  cp "$here/nginx.conf" /etc/nginx/sites-enabled/default
  systemd-run --quiet --unit=tunnel-server python3 "$here/tunnel_server.py"
  systemctl start nginx.service
}

# It tries for ever: before the port file is applied, the front door may be closed.
prepare_agents() {
  systemd-run --quiet --unit=agent --property=Restart=always --property=RestartSec=1 --property=StartLimitIntervalSec=0 \
    python3 "$here/agent.py"
}

prepare_postgresql() {
  echo "listen_addresses = '*'" > /etc/postgresql/15/main/conf.d/platform.conf
  echo "host platform platform 10.203.0.0/24 scram-sha-256" >> /etc/postgresql/15/main/pg_hba.conf
  systemctl start postgresql@15-main.service
  cd /
  runuser -u postgres -- psql --quiet -c "CREATE ROLE platform LOGIN PASSWORD 'platform'"
  runuser -u postgres -- createdb -O platform platform
}

# Its nodes and their commands have one secret; one of the nodes runs.
prepare_control_plane() {
  echo -n ofthelaboratory > /var/lib/rabbitmq/.erlang.cookie
  chown rabbitmq:rabbitmq /var/lib/rabbitmq/.erlang.cookie
  chmod 400 /var/lib/rabbitmq/.erlang.cookie
  [ "$host" = ctl1 ] || return 0
  # With a name and a password in the configuration it is made with them as it starts.
  printf 'default_user = platform\ndefault_pass = platform\n' > /etc/rabbitmq/rabbitmq.conf
  echo '[rabbitmq_management].' > /etc/rabbitmq/enabled_plugins
  systemctl start rabbitmq-server.service
}

# Names, time and mail: a time server that leaves the clock alone, and a mail server that keeps nothing.
prepare_names_time_and_mail() {
  printf 'no-resolv\nno-hosts\naddress=/platform.example.org/10.203.0.11\n' > /etc/dnsmasq.d/platform.conf
  printf 'local stratum 8\nallow\n' > /etc/chrony/chrony.conf
  systemctl start dnsmasq.service
  systemd-run --quiet --unit=clock chronyd -x -n
  systemd-run --quiet --unit=mail python3 -m aiosmtpd --nosetuid --listen 0.0.0.0:587
}

prepare_scraped() {
  systemctl start prometheus-node-exporter.service
}

prepare_scraping() {
  [ "$host" != monitor1 ] || cp "$here/prometheus.yml" /etc/prometheus/prometheus.yml
  systemctl start prometheus.service
}

prepare_ganesha() {
  let_roles_set_what_the_kernel_does_with_ports
  cp "$here/ganesha.conf" /etc/ganesha/ganesha.conf
}

prepare_gamma() {
  let_roles_set_what_the_kernel_does_with_ports
}

prepare_sql() {
  printf '[mysqld]\nbind-address = *\ninnodb_buffer_pool_size = 64M\n' > /etc/mysql/mariadb.conf.d/90-platform.cnf
  systemctl start mariadb.service
  mysql << 'END'
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'10.203.0.%' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'10.203.0.%';
END
}

# All hosts have one secret.
prepare_slurm() {
  let_roles_set_what_the_kernel_does_with_ports
  printf 'of the laboratory %.0s' 1 2 3 4 > /etc/munge/munge.key
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
  cp "$here/slurm.conf" "$here/cgroup.conf" /etc/slurm/
  [ "$host" != accounting ] || install --owner slurm --group slurm --mode 600 "$here/slurmdbd.conf" /etc/slurm/slurmdbd.conf
  systemctl start munge.service
}

# Also where nobody wants them: who writes them would find nobody who reads.
certificates=$(cat)
read -ra stand_ins <<< "${STAND_INS:-}"
[ "${#stand_ins[@]}" -eq 0 ] || systemd-run --quiet --unit=stand-ins python3 "$here/stand_in.py" "${stand_ins[@]}"
for group in "$@"; do
  [ "$(type -t "prepare_$group")" != function ] || "prepare_$group"
done
