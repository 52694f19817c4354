# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that would lock out whoever makes them, over real ssh: the host undoes them, and the play says so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest

from ansible_collections.hpc.ports.tests.support.hosts import (
    EVERYTHING,
    FIREWALL,
    FIREWALLD,
    NFTABLES,
    ROOT,
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
)

CONTROLLER = "10.203.0.1"
NO_WAY_IN = {"firewall_endpoints": {"controllers": {"cidrs": ["10.9.9.9/32"]}, "admin_networks": {"cidrs": []}},
             "firewall_flows": {"cluster_ssh": {"enabled": False}}}
SSH_CLOSED = {"firewall_services": {"ssh": {"ports": ["2222/tcp"]}}}
MISSING = f"Ansible comes from {CONTROLLER} to 22/tcp of this host, and no flow lets it in. Add"
UNDONE = ("The host undid the change after {0} s, because no new connection confirmed it. It has the ruleset from "
          "before again.")
# A change that concerns each of the hosts and locks nobody out, and time enough to confirm it on a busy machine.
HARMLESS = {"firewall_flows": {"monitoring_exporters": {"enabled": False}}}
ENOUGH = 15


class Login(NamedTuple):
    """How Ansible logs in and on which hosts, and in how many seconds a change is confirmed or undone there.

    A reload of firewalld takes seconds where several hosts share a machine.
    """

    options: tuple[str, ...]
    hosts: tuple[str, ...]
    window: int

    def firewall(self, *options: str, **more: Any) -> Play:
        """Give these hosts their firewalls."""
        return firewall("--limit", ",".join(self.hosts), *self.options, *options, **more)

    def check_undone(self, run: Play, *messages: str) -> None:
        """Each of the hosts failed, and each says so."""
        assert run.code != 0
        assert {host: run.failed[host] for host in self.hosts} == dict.fromkeys(self.hosts, 1), run.output
        for message in messages:
            assert run.text.count(message) >= len(self.hosts), run.output

    @property
    def undone(self) -> str:
        """What is said of a change that nobody confirmed."""
        return UNDONE.format(self.window)


BOTH = (*NFTABLES, *FIREWALLD)
ROOT_LOGIN = Login((), NFTABLES, 4)
SUDO = Login(("-eansible_user=admin",), BOTH, 12)
LOGINS = pytest.mark.parametrize("login", [ROOT_LOGIN, SUDO], ids=["root", "sudo"])
LETHAL = pytest.mark.parametrize("wanted", [NO_WAY_IN, SSH_CLOSED], ids=["address not allowed", "port closed"])


def variables(wanted: dict[str, Any], **more: Any) -> str:
    return "-e" + json.dumps({**wanted, "firewall_confirm_within": ENOUGH, **more})


def states() -> dict[str, tuple[list[str], str]]:
    return {host: state(host) for host in BOTH}


@pytest.fixture(name="found")
def _found() -> Iterator[dict[str, Any]]:
    """What the hosts have: the test leaves them so."""
    before = states()
    yield before
    assert states() == before


@LOGINS
@LETHAL
@pytest.mark.usefixtures("found")
def test_the_guard_refuses(login: Login, wanted: dict[str, Any]) -> None:
    run = login.firewall(variables(wanted))
    login.check_undone(run, "This policy would lock you out. " + MISSING)


@LOGINS
@LETHAL
@pytest.mark.usefixtures("found")
def test_without_the_guard_the_host_undoes_it(login: Login, wanted: dict[str, Any]) -> None:
    run = login.firewall(variables(wanted, firewall_lockout_guard=False, firewall_confirm_within=login.window))
    login.check_undone(run, f"{login.undone} Likely missing: {MISSING}")


def test_where_nothing_was_loaded_before_nothing_is_after() -> None:
    login = SUDO._replace(hosts=("nfs1", "nfs2"))
    with restoring(*login.hosts):
        assert play("remove", "--limit", "nfs1,nfs2").code == 0
        before = {host: (table(host), on(host, EVERYTHING)) for host in login.hosts}
        run = login.firewall(variables(NO_WAY_IN, firewall_lockout_guard=False, firewall_confirm_within=login.window))
        login.check_undone(run, login.undone)
        assert {host: (table(host), on(host, EVERYTHING)) for host in login.hosts} == before


# ---- faults of our own: a collection whose rules are wrong

# By what they do: a rule that comes before all others of each chain at a hook.
FAULTS = {
    "answers to a new connection are dropped": '"tcp sport 22 tcp flags & (syn | ack) == (syn | ack) drop"',
    "everything that leaves is dropped": '"counter drop"',
}
# firewalld itself accepts answers before it asks any policy. No flow lets anybody in: what its policy drops, the one
# that was checked allows.
FIREWALLD_FAULT = ("product(_VERSIONS, _COPIES, rule.ports)]", "product(_VERSIONS, _COPIES, ())]")


@pytest.fixture(name="copy", scope="module")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "copy"
    # Not what other tests write meanwhile, either.
    ignored = shutil.ignore_patterns(".git", "output", "__pycache__", ".*_cache", ".hypothesis", ".ansible")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
    return folder


def with_fault(copy: Path, rule: str, firewalld: tuple[str, str]) -> Path:
    """Have the collection in the folder put a rule of nft before all others, and replace something for firewalld."""
    _replace(copy, "nftables", "    return Chain((*_always(", f"    return Chain(({rule}, *_always(")
    _replace(copy, "firewalld", *firewalld)
    return copy


def _replace(copy: Path, module: str, old: str, new: str) -> None:
    path = Path("plugins", "module_utils", f"{module}.py")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (copy / path).write_text(text.replace(old, new), encoding="utf-8")


@LOGINS
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("found")
def test_a_ruleset_that_cuts_the_answers_is_undone(copy: Path, fault: str, login: Login) -> None:
    wanted = variables({"firewall_egress": "restricted"}, firewall_confirm_within=login.window)
    run = login.firewall(wanted, root=with_fault(copy, FAULTS[fault], FIREWALLD_FAULT))
    login.check_undone(run, f"{login.undone} The policy itself lets {CONTROLLER} in.")


@pytest.mark.usefixtures("found")
def test_a_ruleset_that_does_not_load_is_refused(copy: Path) -> None:
    """On firewalld, nfs2 comes there by calls, the others by a reload: they get a policy for what leaves."""
    missing = ('source=("address", "fe80::/10")', 'source=("ipset", "nothing")')
    run = SUDO.firewall(variables({"firewall_egress": "restricted"}),
                        root=with_fault(copy, '"tcp dport @nothing drop"', missing))
    SUDO.check_undone(run, "Nothing was changed: the ruleset that ran before still runs.")


# ---- confirmed

@LOGINS
def test_a_harmless_change_is_confirmed_by_a_second_module_execution(counting: str, login: Login) -> None:
    with restoring(*login.hosts):
        for host in login.hosts:
            executions(host)
        run = login.firewall(variables(HARMLESS), counting)
        assert run.code == 0, run.output
        assert {host: run.changed[host] for host in login.hosts} == dict.fromkeys(login.hosts, 1)
        assert {host: executions(host) for host in login.hosts} == dict.fromkeys(login.hosts, ["firewall", "confirm"])
        after = states()
        time.sleep(ENOUGH + 1)
        assert states() == after
        timers = [on(host, "systemctl list-units --all --no-legend 'hpc-ports-revert-*'") for host in login.hosts]
        assert set(timers) == {""}


def test_through_a_jump_host_its_address_counts(tmp_path: Path) -> None:
    address = "10.203.0.11"
    assert address in on("ctl1", "hostname -I").split()
    jump = ("--limit", "nfs1", "-e", json.dumps({"ansible_ssh_extra_args": (
        "-o ProxyCommand='ssh -i {{ ansible_ssh_private_key_file }} -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        f" -o UserKnownHostsFile=/dev/null -W %h:%p root@{address}'")}))
    # Not the connections without the jump host that Ansible keeps open.
    environment = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path)}
    both = {"firewall_endpoints": {"controllers": {"cidrs": [f"{address}/32", f"{CONTROLLER}/32"]}}}
    with restoring("nfs1"):
        assert firewall("--limit", "nfs1", variables(both)).code == 0
        before = state("nfs1")
        run = firewall(*jump, variables(NO_WAY_IN), **environment)
        assert f"Ansible comes from {address} to 22/tcp of this host, and no flow lets it in." in run.text, run.output
        assert state("nfs1") == before
        run = firewall("-v", *jump, variables({**both, "firewall_mode": "observe"}), **environment)
        assert (run.code, run.changed["nfs1"]) == (0, 1), run.output
        assert f'"confirmed_from": "{address} port ' in run.text


def test_a_restart_within_the_window_brings_what_was_confirmed_last(found: dict[str, Any]) -> None:
    hosts = ("nfs1", "nfs2")
    with play_started(FIREWALL, "--limit", ",".join(hosts),
                      variables(NO_WAY_IN, firewall_lockout_guard=False, firewall_confirm_within=60)) as process:
        for host in hosts:
            _await_change(host, found[host])
        restart(*hosts)
        assert {host: table(host) for host in hosts} == {host: found[host][0] for host in hosts}
        output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    forgot = ("The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and "
              "has the ruleset that was confirmed last. Run again.")
    assert " ".join(output.split()).count(forgot) >= len(hosts), output
    with restoring(*hosts):
        # What the interrupted change had staged is still there.
        run = firewall("--limit", ",".join(hosts))
        assert [run.changed[host] for host in hosts] == [1, 1]


def _await_change(host: str, before: tuple[list[str], str]) -> None:
    """Wait until a change of the host was made and awaits its confirmation."""
    for _attempt in range(300):
        if on(host, "test ! -e /run/hpc-ports/armed/made || echo made") and state(host) != before:
            return
        time.sleep(0.1)
    raise AssertionError(f"No change awaits its confirmation on {host}")


@pytest.mark.parametrize("host, rounds", [("desk1", 10), ("alpha-compute2", 1)], ids=["nftables", "firewalld"])
def test_two_controllers_at_once(host: str, rounds: int) -> None:
    """Each says the truth: both rulesets were there, one after the other, and the host has one of them whole."""
    with restoring(host):
        ends = []
        for wanted in (HARMLESS, {}):
            assert firewall("--limit", host, variables(wanted)).code == 0
            ends.append(state(host))
        assert ends[0] != ends[1]
        waited = 0
        for _round in range(rounds):
            runs = [play_started(FIREWALL, "--limit", host, variables(wanted)) for wanted in (HARMLESS, {})]
            with runs[0] as first, runs[1] as second:
                outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
                assert (first.returncode, second.returncode) == (0, 0), outputs
            assert state(host) in ends
            waited += sum("awaited its confirmation: this one waited for it" in " ".join(text.split())
                          for text in outputs)
        print(f"{waited} runs waited for the other")


# ---- living connections

SERVER = """
import socket
listener = socket.create_server(("", 9100))
print("ready", flush=True)
connection = listener.accept()[0]
while data := connection.recv(1):
    connection.sendall(data)
"""
CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 9100))
connection.settimeout(5)
for line in sys.stdin:
    try:
        connection.sendall(b"x")
        print("answered" if connection.recv(1) else "closed", flush=True)
    except OSError as exc:
        print("cut", type(exc).__name__, flush=True)
"""


@contextmanager
def program(host: str, text: str, *arguments: str) -> Iterator[tuple[TextIO, TextIO]]:
    """Have Python run a program on a host, for two minutes at most; return its input and its output."""
    with subprocess.Popen([*inside(host), "timeout", "120", "python3", "-c", text, *arguments], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdin, process.stdout


def said(client: tuple[TextIO, TextIO]) -> str:
    client[0].write("go\n")
    client[0].flush()
    return client[1].readline().strip()


@pytest.mark.parametrize("host", ["desk1", "alpha-compute2"], ids=["nftables", "firewalld"])
def test_a_connection_that_no_flow_allows_any_more_is_cut_if_asked(host: str) -> None:
    """monitor1 reads an exporter of the host, and the flow for that is turned off."""
    address = on(host, "hostname -I").split()[0]
    with restoring(host), program(host, SERVER) as server:
        assert server[1].readline() == "ready\n"
        with program("monitor1", CLIENT, address) as client:
            assert said(client) == "answered"
            assert firewall("--limit", host, variables(HARMLESS)).code == 0
            assert said(client) == "answered"
            assert firewall("--limit", host).code == 0
            cut = variables(HARMLESS, firewall_cut_established=True)
            run = firewall("--limit", host, "-v", cut)
            expected = rf'"connections_cut": \["tcp 10.203.0.71:[0-9]+ -> {address}:9100"\]'
            assert run.code == 0 and re.search(expected, run.text), run.output
            assert said(client).startswith("cut")
