# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people use the platform for, done with the real software: each use passes, or raises AssertionError.

A use names the flows that it needs. Without any one of them it must fail; without all others it must not. No use has a
time limit of its own: the caller sets how long each waits.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.hpc.ports.tests.support.hosts import inside
from ansible_collections.hpc.ports.tests.support.run import scaled

# In seconds: a command that takes longer has failed. One that passes takes a second or two, a dropped one never ends.
PATIENCE = scaled(20)


@dataclass(frozen=True)
class Hosts:
    """The hosts, with a time limit for each command."""

    patience: int = PATIENCE

    def output(self, host: str, script: str) -> str:
        """Return what a script prints on a host; AssertionError where it fails, or is not done in time."""
        command = [*inside(host), "timeout", "-k", "1", str(self.patience), "bash", "-ec", script]
        # No pipe: srun leaves a process behind that holds on to its output for half a minute.
        with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=said,
                timeout=self.patience + scaled(30),
                check=False,
            ).returncode
            output, errors = ((file.seek(0), file.read())[1] for file in (printed, said))
        assert code == 0, f"{host}: {script}: exit {code}: {output}{errors}"
        return output

    def connect(self, source: str, target: str, *ports: int) -> None:
        """Read the greeting of each stand-in."""
        for port in ports:
            expect(self.output(source, f"read line < /dev/tcp/{target}/{port}; echo $line"), f"stand-in on port {port}")

    def log_in(self, source: str, target: str) -> None:
        """Log in by ssh, with the key that the source has."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        expect(self.output(source, f"ssh {options} root@{target} hostname"), target)

    def read_nfs(self, client: str, server: str, version: int) -> None:
        """List what the server exports, and read a file of it."""
        url = f"nfs://{server}/export"
        expect(self.output(client, f"nfs-ls '{url}?version={version}'"), "greeting")
        expect(self.output(client, f"nfs-cat '{url}/greeting?version={version}'"), f"read on {server}")


def output(host: str, script: str, patience: int = PATIENCE) -> str:
    """Return what a script prints on a host; AssertionError where it fails, or takes longer than `patience` seconds."""
    return Hosts(patience).output(host, script)


@dataclass(frozen=True)
class Use:
    """One thing that users or daemons do. Uses of one area share daemons; those of two areas share no flow."""

    name: str
    purpose: str
    area: str
    flows: tuple[str, ...]
    run: Callable[[Hosts], None]
    is_stood_in: bool = False


USES: dict[str, Use] = {}
_Run = TypeVar("_Run", bound=Callable[[Hosts], None])


def use(area: str, *flows: str, stand_in: bool = False) -> Callable[[_Run], _Run]:
    """Have a function be a use: its name is the name, its docstring the purpose."""

    def noted(run: _Run) -> _Run:
        purpose = (run.__doc__ or "").strip().rstrip(".")
        USES[run.__name__] = Use(run.__name__, purpose, area, flows, run, stand_in)
        return run

    return noted


def error_of(use: Use, hosts: Hosts) -> str:
    """Do it, and return why it failed, "" where it did not."""
    try:
        use.run(hosts)
    except AssertionError as exc:
        return str(exc) or "failed"
    return ""


def errors_of(uses: Iterable[Use], patience: int = PATIENCE) -> dict[str, str]:
    """Do them, those of one area one after the other, and return why some failed."""
    by_area = defaultdict(list)
    for use in uses:
        by_area[use.area].append(use)

    def errors(area: str) -> dict[str, str]:
        return {use.name: error_of(use, Hosts(patience)) for use in by_area[area]}

    with ThreadPoolExecutor(max(1, len(by_area))) as pool:
        return {name: text for found in pool.map(errors, by_area) for name, text in found.items() if text}


def expect(found: str, *wanted: str) -> None:
    """Raise AssertionError unless the text holds all that is wanted."""
    for text in wanted:
        assert text in found, f"expected {text!r}, got {found!r}"


_CONNECT = """\
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def answers(end):
    try:
        socket.create_connection(end.split(), int(sys.argv[1])).close()
        return True
    except TimeoutError:
        return False

with ThreadPoolExecutor(500) as pool:
    print(*(end for end, found in zip(sys.argv[2:], pool.map(answers, sys.argv[2:])) if found), sep="\\n")
"""


def answering(source: str, ends: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return where a host gets an answer; AssertionError for an unknown name, or an open port without a listener."""
    words = " ".join(f"'{host} {port}'" for host, port in ends)
    found = output(source, f"python3 -c '{_CONNECT}' {scaled(2)} {words}").split()
    return set(zip(found[::2], map(int, found[1::2])))


# ---- Front door ------------------------------------------------------------------------------------------------------

_CURL = "curl --silent --show-error --cacert /etc/platform/ca.crt"


@use("front door", "platform_https")
def user_opens_the_web_ui(hosts: Hosts) -> None:
    """A user opens the web UI over HTTPS."""
    expect(hosts.output("laptop1", f"{_CURL} https://ctl1/"), "the platform")


@use("front door", "platform_http")
def user_is_redirected(hosts: Hosts) -> None:
    """A user who opens the web UI without https is redirected."""
    expect(hosts.output("laptop1", f"{_CURL} --head http://ctl1/"), "301", "Location: https://ctl1/")


@use("front door", "cac_login")
def user_logs_in_with_a_smart_card(hosts: Hosts) -> None:
    """A user logs in with the certificate of a smart card; a login without it is refused."""
    card = "--cert /etc/platform/card.crt --key /etc/platform/card.key"
    expect(hosts.output("laptop1", f"{_CURL} {card} https://ctl1:8443/"), "CN=card")
    expect(hosts.output("laptop1", f"{_CURL} https://ctl1:8443/"), "No required SSL certificate was sent")


@use("front door", "agent_tunnel")
def agent_opens_its_tunnel(hosts: Hosts) -> None:
    """An agent on a node opens its WebSocket to the platform."""
    hosts.output(
        "node1", "systemctl restart agent.service; rm -f /run/agent; until [ -s /run/agent ]; do sleep 0.2; done"
    )


@use("front door", "workspace_platform")
def workspace_uses_the_platform(hosts: Hosts) -> None:
    """Software in a workspace calls the platform's API."""
    expect(hosts.output("workspace1", f"{_CURL} https://ctl1/"), "the platform")


# ---- Databases and services of the control plane ---------------------------------------------------------------------


def _query(hosts: Hosts, client: str, server: str) -> None:
    found = hosts.output(
        client,
        "PGPASSWORD=platform psql --no-align --tuples-only "
        f"--host {server} --username platform --command 'SELECT 6 * 7' platform",
    )
    assert found.strip() == "42", found


@use("databases", "control_plane_databases")
def control_plane_queries_postgresql(hosts: Hosts) -> None:
    """A control-plane host queries PostgreSQL on another control-plane host."""
    _query(hosts, "ctl2", "ctl1")


@use("databases", "control_plane_databases", stand_in=True)
def control_plane_uses_mongodb(hosts: Hosts) -> None:
    """A control-plane host uses MongoDB on another control-plane host."""
    hosts.connect("ctl2", "ctl1", 27017)


@use("databases", "platform_databases")
def control_plane_queries_a_database_outside(hosts: Hosts) -> None:
    """A control-plane host queries PostgreSQL on a database host."""
    _query(hosts, "ctl1", "db1")


@use("databases", "platform_databases", stand_in=True)
def control_plane_uses_mongodb_outside(hosts: Hosts) -> None:
    """A control-plane host uses MongoDB on a database host."""
    hosts.connect("ctl2", "db1", 27017)


@use("databases", "platform_database_replication", stand_in=True)
def mongodb_replicates(hosts: Hosts) -> None:
    """Members of a MongoDB replica set reach each other."""
    hosts.connect("db1", "db2", 27017)
    hosts.connect("db2", "db1", 27017)


@use("control plane", "control_plane_services")
def message_passes_the_queue(hosts: Hosts) -> None:
    """A control-plane host sends and receives a message through RabbitMQ."""
    account = "--server ctl1 --username platform --password platform"
    found = hosts.output(
        "ctl2",
        f"amqp-declare-queue {account} --queue work > /dev/null; "
        f"amqp-publish {account} --routing-key work --body 'a message'; "
        f"amqp-get {account} --queue work",
    )
    expect(found, "a message")


@use("control plane", "control_plane_services", stand_in=True)
def control_plane_uses_vault_cacher_and_internal_api(hosts: Hosts) -> None:
    """Control-plane hosts use Vault, the cloud cacher and the internal API."""
    hosts.connect("ctl2", "ctl1", 8200, 3000, 8888)


@use("control plane", "control_plane_legacy_api", stand_in=True)
def control_plane_uses_the_legacy_api(hosts: Hosts) -> None:
    """Control-plane hosts use the legacy API."""
    hosts.connect("ctl2", "ctl1", 4006)


@use("control plane", "rabbitmq_management")
def operator_opens_the_management_ui(hosts: Hosts) -> None:
    """An operator on a control-plane host opens the management UI of RabbitMQ."""
    expect(hosts.output("ctl2", f"{_CURL} --user platform:platform http://ctl1:15672/api/whoami"), '"name":"platform"')


@use("control plane", "rabbitmq_cluster")
def rabbitmq_nodes_reach_each_other(hosts: Hosts) -> None:
    """A RabbitMQ node, or its command-line tool, connects to a RabbitMQ node on another host."""
    ping = f"rabbitmq-diagnostics --node rabbit@ctl1 --timeout {hosts.patience} ping"
    expect(hosts.output("ctl2", ping), "Ping succeeded")


# ---- Storage ---------------------------------------------------------------------------------------------------------


@use("storage", "nfs")
def node_reads_by_nfs_4(hosts: Hosts) -> None:
    """A node lists and reads files over NFS version 4."""
    hosts.read_nfs("node1", "nfs1", 4)


@use("storage", "nfs", "nfs_v3")
def node_reads_by_nfs_3(hosts: Hosts) -> None:
    """A node lists and reads files over NFS version 3: rpcbind and mountd, then NFS."""
    hosts.read_nfs("node1", "nfs1", 3)


@use("storage", "cluster_nfs")
def node_reads_from_its_controller(hosts: Hosts) -> None:
    """A compute node reads a file system that its controller exports."""
    hosts.read_nfs("node2", "head", 4)


@use("storage", "nfs_external")
def trusted_network_reads_by_nfs(hosts: Hosts) -> None:
    """A machine of a trusted network reads over NFS version 4."""
    hosts.read_nfs("admin1", "nfs1", 4)


@use("storage", "platform_shared_storage")
def control_plane_reads_its_storage(hosts: Hosts) -> None:
    """A control-plane host reads the platform's shared file system."""
    hosts.read_nfs("ctl1", "nfs1", 4)


# ---- Monitoring ------------------------------------------------------------------------------------------------------


def _scraped(hosts: Hosts, job: str) -> None:
    """Wait until each target of the job has answered a scrape that began after now."""
    up = f"up{{job='{job}'}}"
    query = f"count({up} == 1 and timestamp({up}) > $now) == count({up})"
    ask = f'curl --silent --get --data-urlencode "query={query}" http://127.0.0.1:9090/api/v1/query'
    hosts.output("monitor1", f"now=$(date +%s.%N); until {ask} | grep -q '\"value\"'; do sleep 0.2; done")


@use("monitoring", "monitoring_exporters")
def prometheus_scrapes_exporters(hosts: Hosts) -> None:
    """Prometheus scrapes the exporters of nodes."""
    _scraped(hosts, "exporters")


@use("monitoring", "monitoring_nodes")
def prometheus_scrapes_prometheus(hosts: Hosts) -> None:
    """Prometheus on a monitoring server scrapes the Prometheus of a cluster."""
    _scraped(hosts, "nodes")


@use("monitoring", "monitoring_nodes", stand_in=True)
def monitoring_collects_logs(hosts: Hosts) -> None:
    """A monitoring server fetches from Fluentd on a node."""
    hosts.connect("monitor1", "head", 24224)


@use("monitoring", "monitoring_push", stand_in=True)
def node_sends_logs(hosts: Hosts) -> None:
    """A node sends logs to Fluentd on a monitoring server."""
    hosts.connect("node1", "monitor1", 24224)


# ---- Logging in ------------------------------------------------------------------------------------------------------


@use("logging in", "cluster_ssh")
def platform_logs_in_to_a_cluster(hosts: Hosts) -> None:
    """The platform logs in to the login node."""
    hosts.log_in("ctl1", "login1")


@use("logging in", "admin_ssh")
def administrator_logs_in_to_a_node(hosts: Hosts) -> None:
    """An administrator logs in to a compute node."""
    hosts.log_in("admin1", "node1")


@use("logging in", "cluster_user_ssh")
def user_logs_in(hosts: Hosts) -> None:
    """A user logs in to the login node."""
    hosts.log_in("laptop1", "login1")


@use("logging in", "cluster_node_ssh")
def user_logs_in_to_a_node(hosts: Hosts) -> None:
    """A user on the login node logs in to a compute node."""
    hosts.log_in("login1", "node1")


@use("logging in", "workspace_ssh")
def platform_logs_in_to_a_workspace(hosts: Hosts) -> None:
    """The platform logs in to a workspace."""
    hosts.log_in("ctl1", "workspace1")


# ---- Workspaces ------------------------------------------------------------------------------------------------------


@use("workspaces", "workspace_services", stand_in=True)
def platform_uses_ide_and_api(hosts: Hosts) -> None:
    """The platform reaches the IDE and the API of a workspace."""
    hosts.connect("ctl1", "workspace1", 3000, 3001, 3003, 3004)


@use("workspaces", "workspace_cluster_api", stand_in=True)
def node_uses_the_api_of_a_workspace(hosts: Hosts) -> None:
    """A node reports to the API of a workspace."""
    hosts.connect("node1", "workspace1", 3004)


@use("workspaces", "workspace_user_services")
def platform_shows_what_a_user_started(hosts: Hosts) -> None:
    """The platform shows a web server that a user started in a workspace."""
    expect(hosts.output("ctl1", f"{_CURL} http://workspace1:20001/"), "Directory listing")


# ---- Names, time, mail -----------------------------------------------------------------------------------------------


@use("services", "dns")
def node_resolves_a_name(hosts: Hosts) -> None:
    """A node asks the resolver, over UDP and over TCP."""
    for transport in ("+notcp", "+tcp"):
        ask = f"dig +short +time={hosts.patience} +tries=1 {transport} @10.203.0.71 platform.example.org"
        expect(hosts.output("node1", ask), "10.203.0.11")


@use("services", "ntp")
def node_asks_the_time(hosts: Hosts) -> None:
    """A node asks the time server."""
    ask = f"chronyd -x -Q -t {hosts.patience} 'server 10.203.0.71 iburst maxsamples 1' 2>&1"
    expect(hosts.output("node1", ask), "System clock wrong by")


@use("services", "smtp")
def platform_sends_mail(hosts: Hosts) -> None:
    """The platform sends a mail."""
    hosts.output(
        "ctl1",
        "echo Subject: news | curl --silent --show-error --mail-from platform@example.org "
        "--mail-rcpt user@example.org --upload-file - smtp://services1:587",
    )


# ---- PBS -------------------------------------------------------------------------------------------------------------


@use("pbs", "pbs_batch", stand_in=True)
def pbs_server_is_reached(hosts: Hosts) -> None:
    """A node, and commands on the login node, reach the PBS server."""
    hosts.connect("pbs2", "pbs1", 15001)
    hosts.connect("pbs3", "pbs1", 15001)


@use("pbs", "pbs_mom", stand_in=True)
def pbs_server_reaches_a_mom(hosts: Hosts) -> None:
    """The PBS server starts a job on a node."""
    hosts.connect("pbs1", "pbs2", 15002, 15003)


@use("pbs", "pbs_comm", stand_in=True)
def mom_reaches_pbs_comm(hosts: Hosts) -> None:
    """A node joins the network of pbs_comm."""
    hosts.connect("pbs2", "pbs1", 17001)


@use("pbs", "pbs_interactive", stand_in=True)
def mom_reaches_qsub(hosts: Hosts) -> None:
    """A node connects to qsub -I on the login node, on an ephemeral port."""
    hosts.connect("pbs2", "pbs3", 40000)


# ---- Slurm -----------------------------------------------------------------------------------------------------------

_JOB = ("slurm_control", "slurm_launch")
_SRUN = (*_JOB, "slurm_srun")
_ACCOUNTING = ("slurm_accounting", "slurm_accounting_sql")


_UNTIL_ENDED = "while squeue --noheader --jobs $job | grep -q .; do sleep 0.3; done"


def _batch_output(hosts: Hosts, script: str) -> str:
    """Return what a batch job on both nodes prints: the file is on its first node, as no file system is shared."""
    job = hosts.output(
        "login1",
        "job=$(sbatch --parsable --chdir=/tmp --nodelist=node1,node2 -N2 --output=/tmp/%j.out "
        f"--wrap {script!r}); {_UNTIL_ENDED}; echo $job",
    ).strip()
    return hosts.output("node1", f"cat /tmp/{job}.out")


@use("slurm", *_SRUN)
def job_on_two_nodes(hosts: Hosts) -> None:
    """srun starts a job on two nodes at once."""
    expect(hosts.output("login1", "srun -N2 --nodelist=node1,node2 hostname"), "node1\n", "node2\n")


@use("slurm", *_SRUN)
def interactive_job(hosts: Hosts) -> None:
    """An interactive srun sends input to the node and receives its output, over ports of SrunPortRange."""
    job = "sh -c 'read word; echo $word on $(hostname)'"
    expect(hosts.output("login1", f"echo typed | srun --nodelist=node2 {job}"), "typed on node2")


@use("slurm", *_JOB)
def batch_job(hosts: Hosts) -> None:
    """A batch job runs and writes its output."""
    expect(_batch_output(hosts, "echo batch on $(hostname)"), "batch on node1")


@use("slurm", *_SRUN)
def srun_in_a_batch_job(hosts: Hosts) -> None:
    """srun inside a batch job starts tasks on both nodes."""
    expect(_batch_output(hosts, "srun -N2 hostname"), "node1\n", "node2\n")


@use("slurm", *_SRUN)
def queued_job_wakes(hosts: Hosts) -> None:
    """An srun that has to wait for nodes is woken by the controller."""
    found = hosts.output(
        "login1",
        "srun --exclusive --nodelist=node1,node2 -N2 sleep 2 & "
        "until squeue --noheader --states=running | grep -q .; do sleep 0.2; done; "
        "srun --exclusive --nodelist=node1,node2 -N2 hostname; wait",
    )
    expect(found, "node1\n", "node2\n")


@use("slurm", "slurm_control")
def job_is_cancelled(hosts: Hosts) -> None:
    """A waiting batch job is cancelled and leaves nothing behind."""
    # Held: one that starts at once would be ended over slurmd as well.
    hosts.output(
        "login1", f"job=$(sbatch --hold --parsable --chdir=/tmp --wrap 'sleep 300'); scancel $job; {_UNTIL_ENDED}"
    )


@use("slurm", *_SRUN)
def node_is_drained_and_back(hosts: Hosts) -> None:
    """A drained node takes no job, and takes jobs again when it is back."""
    hosts.output("login1", "scontrol update nodename=node2 state=drain reason=test")
    try:
        refused = hosts.output("login1", "srun --immediate=1 --nodelist=node2 hostname 2>&1 || true")
        assert "node2\n" not in refused, refused
    finally:
        hosts.output("login1", "scontrol update nodename=node2 state=resume")
    expect(hosts.output("login1", "srun --nodelist=node2 hostname"), "node2\n")


@use("slurm", *_ACCOUNTING)
def account_is_shown(hosts: Hosts) -> None:
    """sacct on the login node shows jobs, and sacctmgr shows who may run them."""
    expect(hosts.output("login1", "sacctmgr --noheader --parsable2 show cluster format=cluster"), "alpha")
    found = hosts.output(
        "login1", "sacct --noheader --parsable2 --allusers --format=jobid,state --starttime=now-1hour 2>&1"
    )
    assert "refused" not in found and "timed out" not in found and "COMPLETED" in found, found


@use("slurm", *_SRUN, *_ACCOUNTING)
def account_is_shown_inside_a_job(hosts: Hosts) -> None:
    """sacct inside a job shows jobs."""
    show = "sacctmgr --noheader --parsable2 show cluster format=cluster"
    expect(hosts.output("login1", f"srun --nodelist=node1 {show}"), "alpha")


@use("slurm", *_SRUN, *_ACCOUNTING)
def new_account_may_run_jobs(hosts: Hosts) -> None:
    """The database daemon reports a new account to the controller, and the account may run jobs immediately."""
    script = (
        "name=new$RANDOM; sacctmgr --immediate add account $name > /dev/null; "
        "sacctmgr --immediate add user root account=$name > /dev/null; "
        "for attempt in $(seq 10); do srun --account=$name --nodelist=node1 hostname && break; sleep 0.5; done"
    )
    expect(hosts.output("login1", script), "node1\n")


@use("slurm", "slurm_srun_controller", "slurm_launch")
def job_from_the_controller(hosts: Hosts) -> None:
    """srun runs on the controller of a cluster without a login node."""
    expect(hosts.output("head", "srun -N2 --nodelist=node1,node2 hostname"), "node1\n", "node2\n")


@use("user traffic", "cluster_user_traffic")
def users_software_talks_between_nodes(hosts: Hosts) -> None:
    """Another node and the controller connect to a program that a user started on a node."""
    for source in ("node1", "head"):
        expect(hosts.output(source, f"{_CURL} http://node2:20001/"), "Directory listing")


@use("user traffic", "cluster_user_traffic_controller")
def users_software_talks_to_the_controller(hosts: Hosts) -> None:
    """Nodes connect to a program that a user started on the controller."""
    expect(hosts.output("node1", f"{_CURL} http://head:20001/"), "Directory listing")
