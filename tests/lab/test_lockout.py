# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that lock out their author, over real ssh: the host undoes them, and the play reports it.

All changes that wait for their time limit wait at the same time, each kind on a host of its own for each backend. The
hosts, and those that log in through sudo, rotate with the seed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest
from ansible_collections.hpc.ports.tests.lab.wrong_programs import (
    ALL_DROPPED,
    ANSWERS_DROPPED,
    LED_ELSEWHERE,
    LOADS_WHEN_TRIED,
    NAMES_NO_IPSET,
    NEVER_LOADS,
    Program,
)
from ansible_collections.hpc.ports.tests.support.hosts import (
    EVERYTHING,
    FIREWALL,
    FIREWALLD,
    NFTABLES,
    Play,
    executions,
    firewall,
    inside,
    on,
    play,
    play_started,
    restart,
    restoring,
    state,
    table,
    wait_on,
)
from ansible_collections.hpc.ports.tests.support.run import examples, scaled, turn
from ansible_collections.hpc.ports.tests.support.signs import wait_until

CONTROLLER = "10.203.0.1"
NO_WAY_IN = {
    "firewall_endpoints": {"controllers": {"cidrs": ["10.9.9.9/32"]}, "admin_networks": {"cidrs": []}},
    "firewall_flows": {"cluster_ssh": {"enabled": False}},
}
SSH_CLOSED = {"firewall_services": {"ssh": {"ports": ["2222/tcp"]}}}
# Harmless changes of each host: firewalld applies one by calls, the other by a reload.
OTHER_PORT = {"firewall_services": {"node_exporter": {"ports": ["9101/tcp"]}}}
HARMLESS = {"firewall_flows": {"monitoring_exporters": {"enabled": False}}}
RESTRICTED = {"firewall_egress": "restricted", **OTHER_PORT}
# In how many seconds a change is undone that nobody confirms. A reload of firewalld takes seconds where several hosts
# share a machine.
WINDOW = scaled(20)
# In how many seconds a change is confirmed.
ENOUGH = scaled(60)
# As many of each backend as kinds of changes that wait at once, the Debians in turn.
HOSTS = {"nftables": (*NFTABLES, "alpha-login", "desk1"), "firewalld": (*FIREWALLD, "alpha-compute2")}
# By who needs sudo.
LOGINS = {
    name: f"{{{{ 'admin' if ('firewalld' in group_names) == {where} else 'root' }}}}"
    for name, where in (("sudo on firewalld", True), ("sudo on nftables", False))
}


def variables(wanted: Mapping[str, Any], **more: Any) -> str:
    return "-e" + json.dumps({"firewall_confirm_within": ENOUGH, **wanted, **more})


def plays_at_once(*options: Sequence[str]) -> list[Play]:
    """Give hosts their firewalls several times at once, each time with these options."""
    with ExitStack() as stack:
        started = [stack.enter_context(play_started(FIREWALL, *some)) for some in options]
        outputs = [running.communicate(scaled(300))[0] for running in started]
        return [Play(running.wait(), output) for running, output in zip(started, outputs)]


def everything(host: str) -> tuple[list[str], str, str]:
    return *state(host), on(host, EVERYTHING)


# ---- changes that do not stay


class FailingChange(NamedTuple):
    """A change that fails: the wanted variables, a part of the play's message, and the faulty programs by backend."""

    wanted: Mapping[str, Any]
    message: str
    faults: Mapping[str, Program] = {}

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(self.faults or HOSTS)


class Ended(NamedTuple):
    """How a change of one host ended: what the play says of it, and what the host had before and has now."""

    host: str
    run: Play
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    def check(self, *messages: str) -> None:
        """The host failed with these words, and has what it had."""
        message = re.search(rf"^fatal: \[{self.host}\]: FAILED! => (.*)$", self.run.output, re.MULTILINE)
        assert message, self.run.output
        assert [text for text in messages if text not in message[1]] == [], message[1]
        assert self.run.failed[self.host] == 1
        assert self.after == self.before


Case = tuple[str, str]  # a kind by name, and a backend
MISSING = f"Ansible connects from {CONTROLLER} to 22/tcp"
NOT_MISSING = f"The policy itself allows {CONTROLLER}"
NOTHING_BEFORE = "nothing was loaded before"
UNDONE = {
    "address not allowed": FailingChange(NO_WAY_IN, MISSING),
    "port closed": FailingChange(SSH_CLOSED, MISSING),
    NOTHING_BEFORE: FailingChange(NO_WAY_IN, MISSING),
    "no new connection comes through": FailingChange(
        RESTRICTED, NOT_MISSING, {"nftables": ANSWERS_DROPPED, "firewalld": LED_ELSEWHERE}
    ),
    "everything that leaves is dropped": FailingChange(RESTRICTED, NOT_MISSING, {"nftables": ALL_DROPPED}),
}
REFUSED = {
    "address not allowed": FailingChange(NO_WAY_IN, MISSING),
    "port closed": FailingChange(SSH_CLOSED, MISSING),
    "does not load": FailingChange(OTHER_PORT, "still runs", {"nftables": NEVER_LOADS, "firewalld": NAMES_NO_IPSET}),
    "does not load, as was not foreseen": FailingChange(
        HARMLESS, "still runs", {"nftables": LOADS_WHEN_TRIED, "firewalld": NAMES_NO_IPSET}
    ),
}


def cases(kinds: Mapping[str, FailingChange]) -> list[Case]:
    return [(name, backend) for name, kind in kinds.items() for backend in kind.backends]


def ended(kinds: Mapping[str, FailingChange], shift: int, login: str, **more: Any) -> dict[Case, Ended]:
    """Make all these changes at once, and return how each ended; hosts that had no firewall before have one again."""
    hosts = {
        (name, backend): HOSTS[backend][(list(kinds).index(name) + shift) % len(HOSTS[backend])]
        for name, backend in cases(kinds)
    }
    with ExitStack() as stack:
        stack.enter_context(
            _nothing_loaded([host for (name, _backend), host in hosts.items() if name == NOTHING_BEFORE])
        )
        for (name, backend), host in hosts.items():
            if backend in kinds[name].faults:
                stack.enter_context(kinds[name].faults[backend].standing_on(host))
        before = {host: everything(host) for host in hosts.values()}
        runs = _changed(
            {
                host: variables(kinds[name].wanted, ansible_user=LOGINS[login], **more)
                for (name, _backend), host in hosts.items()
            }
        )
        return {case: Ended(host, runs[host], before[host], everything(host)) for case, host in hosts.items()}


@contextmanager
def _nothing_loaded(hosts: Sequence[str]) -> Iterator[None]:
    if not hosts:
        yield
        return
    with restoring(*hosts):
        assert play("remove", "--limit", ",".join(hosts)).code == 0
        yield


def _changed(wanted: Mapping[str, str]) -> dict[str, Play]:
    """Give each host its firewall with these options, all at once: one play for those that have the same."""
    hosts = {options: [host for host, own in wanted.items() if own == options] for options in wanted.values()}
    runs = plays_at_once(*([options, "--limit", ",".join(some)] for options, some in hosts.items()))
    return {host: run for some, run in zip(hosts.values(), runs) for host in some}


# The kind of change and of login for each host: the full run tries each kind on each host, with both logins.
TURNS = turn(list(product(range(max(map(len, HOSTS.values()))), LOGINS)))


@pytest.fixture(name="undone", scope="module", params=TURNS, ids=str)
def _undone(request: pytest.FixtureRequest) -> dict[Case, Ended]:
    return ended(UNDONE, *request.param, firewall_lockout_guard=False, firewall_confirm_within=WINDOW)


@pytest.fixture(name="refused", scope="module", params=TURNS, ids=str)
def _refused(request: pytest.FixtureRequest) -> dict[Case, Ended]:
    return ended(REFUSED, *request.param)


@pytest.mark.parametrize("case", cases(UNDONE), ids=" on ".join)
def test_the_host_undoes_what_nobody_confirms(case: Case, undone: dict[Case, Ended]) -> None:
    undone[case].check(f"undid the change after {WINDOW} s", UNDONE[case[0]].message)


@pytest.mark.parametrize("case", cases(REFUSED), ids=" on ".join)
def test_what_would_lock_out_or_does_not_load_is_refused(case: Case, refused: dict[Case, Ended]) -> None:
    refused[case].check("Nothing was changed", REFUSED[case[0]].message)


# ---- confirmed


@pytest.mark.parametrize("hosts, login", turn(list(product(zip(NFTABLES, FIREWALLD), LOGINS))), ids=str)
def test_a_harmless_change_is_confirmed_over_a_second_connection(hosts: tuple[str, str], login: str) -> None:
    with restoring(*hosts):
        for host in hosts:
            executions(host)
        kept = {host: int(on(host, HAVE_KEPT)) for host in hosts}
        run = firewall("--limit", ",".join(hosts), variables(HARMLESS, ansible_user=LOGINS[login]))
        assert run.code == 0, run.output
        assert {host: run.changed[host] for host in hosts} == dict.fromkeys(hosts, 1)
        assert {host: executions(host) for host in hosts} == dict.fromkeys(hosts, ["firewall", "firewall_confirm"])
        assert {host: int(on(host, HAVE_KEPT)) for host in hosts} == {host: times + 1 for host, times in kept.items()}
        # Nothing is left on a host that could still undo it: the unit ends by itself, as its folder is gone.
        wait_until(lambda: not any(on(host, CLOCKS) for host in hosts))


# How many changes the host has confirmed with the code that it kept.
HAVE_KEPT = (
    "journalctl --sync; journalctl --quiet --output=cat | grep -c 'the code that the host kept: confirmed' || true"
)
# What undoes a change: the link to it, the program, and the unit that waits.
CLOCKS = "find /run/hpc-ports -name armed -o -name revert; systemctl list-units --all --no-legend 'hpc-ports-revert-*'"


def test_through_a_jump_host_its_address_counts(tmp_path: Path) -> None:
    """The platform may come in where a cluster is entered, and so does Ansible here."""
    host, address = "alpha-login", "10.203.0.11"
    assert address in on("ctl1", "hostname -I").split()
    # Not the connections without the jump host that Ansible keeps open.
    jump = (
        "--limit",
        host,
        "-e",
        json.dumps(
            {
                "ansible_control_path_dir": str(tmp_path),
                "ansible_ssh_extra_args": (
                    "-o ProxyCommand='ssh -i {{ ansible_ssh_private_key_file }} -o StrictHostKeyChecking=no"
                    f" -o LogLevel=ERROR -o UserKnownHostsFile=/dev/null -W %h:%p root@{address}'"
                ),
            }
        ),
    )
    before = state(host)
    run = firewall(*jump, variables(NO_WAY_IN))
    assert f"Ansible connects from {address} to 22/tcp" in run.text, run.output
    assert state(host) == before
    with restoring(host):
        run = firewall("-v", *jump, variables({"firewall_mode": "observe"}))
        assert (run.code, run.changed[host]) == (0, 1), run.output
        assert f'"confirmed_from": "{address} port ' in run.text


def test_a_restart_within_the_window_brings_what_was_confirmed_last() -> None:
    hosts = ("nfs1", "nfs2")
    before = {host: table(host) for host in hosts}
    wanted = variables(NO_WAY_IN, firewall_lockout_guard=False, firewall_confirm_within=ENOUGH)
    with play_started(FIREWALL, "--limit", ",".join(hosts), wanted) as running:
        for host in hosts:
            wait_on(host, "test -e /run/hpc-ports/armed/made")
        assert all(table(host) != before[host] for host in hosts)
        restart(*hosts)
        assert {host: table(host) for host in hosts} == before
        interrupted = Play(running.wait(scaled(120)), running.printed[0])
    assert interrupted.failed == dict.fromkeys(hosts, 1), interrupted.output
    assert interrupted.text.count("does not know the change") >= len(hosts), interrupted.output
    # What the interrupted change had staged is still there.
    run = firewall("--limit", ",".join(hosts))
    assert (run.code, [run.changed[host] for host in hosts]) == (0, [1, 1])


@pytest.mark.takes_turns(2)
def test_two_controllers_at_once() -> None:
    """Each says the truth: both rulesets were there, one after the other, and the host has one of them whole."""
    hosts = ("desk1", "alpha-compute2")
    limit = ("--limit", ",".join(hosts))
    ends = {host: [state(host)] for host in hosts}
    with restoring(*hosts):
        assert firewall(*limit, variables(HARMLESS)).code == 0
        for host in hosts:
            ends[host].append(state(host))
            assert ends[host][0] != ends[host][1]
        waited = 0
        for _round in range(min(10, examples(10))):
            runs = plays_at_once(*([*limit, variables(wanted)] for wanted in (HARMLESS, {})))
            assert [run.code for run in runs] == [0, 0], [run.output for run in runs]
            assert all(state(host) in ends[host] for host in hosts)
            waited += sum(run.text.count("this one waited for it") for run in runs)
        print(f"{waited} changes waited for the other")


# ---- living connections

SERVER = """
import select, socket, sys
sources = [sys.stdin, socket.create_server(("", 9100))]
print("ready", flush=True)
while sys.stdin not in (ready := select.select(sources, [], [])[0]):
    if sources[1] in ready:
        sources.append(sources[1].accept()[0])
    else:
        ready[0].sendall(ready[0].recv(1))
"""
CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 9100))
connection.settimeout(float(sys.argv[2]))
for line in sys.stdin:
    try:
        connection.sendall(b"x")
        print("answered" if connection.recv(1) else "closed", flush=True)
    except OSError as exc:
        print("cut", type(exc).__name__, flush=True)
"""


@contextmanager
def program(host: str, text: str, *arguments: str) -> Iterator[tuple[TextIO, TextIO]]:
    """Have Python run a program on a host until its input ends; return its input and its output."""
    command = [*inside(host), "python3", "-c", text, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdin, process.stdout


def answer_of(client: tuple[TextIO, TextIO]) -> str:
    client[0].write("go\n")
    client[0].flush()
    return client[1].readline().strip()


def test_a_connection_that_no_flow_allows_any_more_is_cut_if_asked() -> None:
    """monitor1 reads an exporter of each host: first its port is another one, then the flow is turned off."""
    hosts = {host: on(host, "hostname -I").split()[0] for host in ("desk1", "alpha-compute2")}
    limit = ("--limit", ",".join(hosts))
    with restoring(*hosts), ExitStack() as stack:
        servers = [stack.enter_context(program(host, SERVER)) for host in hosts]
        assert [server[1].readline() for server in servers] == ["ready\n"] * len(hosts)
        clients = [
            stack.enter_context(program("monitor1", CLIENT, address, str(scaled(5)))) for address in hosts.values()
        ]
        assert list(map(answer_of, clients)) == ["answered"] * len(hosts)
        assert firewall(*limit, variables(OTHER_PORT)).code == 0
        assert list(map(answer_of, clients)) == ["answered"] * len(hosts)
        run = firewall(*limit, "-v", variables(HARMLESS, firewall_cut_established=True))
        assert run.code == 0, run.output
        for address in hosts.values():
            assert re.search(rf'"connections_cut": \["tcp 10.203.0.71:[0-9]+ -> {address}:9100"\]', run.text), (
                run.output
            )
        assert [answer_of(client).split()[0] for client in clients] == ["cut"] * len(hosts)
