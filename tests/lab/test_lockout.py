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
from typing import Any, TextIO

import pytest

from ansible_collections.hpc.ports.tests.lab.hosts import (
    FIREWALL,
    LAB,
    ROOT,
    Play,
    executions,
    firewall,
    on,
    play,
    play_started,
    restart,
    restoring,
    table,
)

# One host of each Debian: nft 0.9.8, 1.0.6 and 1.1.3; systemd 247, 252 and 257.
HOSTS = ("nfs1", "ctl1", "ctl2")
LIMIT = ("--limit", ",".join(HOSTS))
CONTROLLER = "10.203.0.1"
WINDOW = 4  # Seconds.
FILES = "find /etc -path '*hpc-ports*' -exec stat -c '%n %A %U' {} + -a -type f -exec cat {} +"
NO_WAY_IN = {"firewall_endpoints": {"controllers": {"cidrs": ["10.9.9.9/32"]}, "admin_networks": {"cidrs": []}},
             "firewall_flows": {"cluster_ssh": {"enabled": False}}}
SSH_CLOSED = {"firewall_services": {"ssh": {"ports": ["2222/tcp"]}}}
MISSING = f"Ansible comes from {CONTROLLER} to 22/tcp of this host, and no flow lets it in. Add"
UNDONE = (f"The host undid the change after {WINDOW} s, because no new connection confirmed it. It has the ruleset "
          "from before again.")
ROOT_LOGIN = ()
SUDO = ("-eansible_user=admin",)
# A change that concerns each of the hosts and locks nobody out, and time enough to confirm it on a busy machine.
HARMLESS = {"firewall_flows": {"monitoring_exporters": {"enabled": False}}}
ENOUGH = 15


def variables(wanted: dict[str, Any], **more: Any) -> str:
    return "-e" + json.dumps({**wanted, "firewall_confirm_within": ENOUGH, **more})


def state(host: str) -> tuple[list[str], str]:
    return table(host), on(host, FILES)


def states() -> dict[str, tuple[list[str], str]]:
    return {host: state(host) for host in HOSTS}


@pytest.fixture(name="found")
def _found() -> Iterator[dict[str, Any]]:
    """What the hosts have: the test leaves them so."""
    before = states()
    yield before
    assert states() == before


def check_undone(run: Play, *messages: str) -> None:
    """Each of the hosts failed, and each says so."""
    assert run.code != 0
    assert {host: run.failed[host] for host in HOSTS} == dict.fromkeys(HOSTS, 1), run.output
    for message in messages:
        assert run.text.count(message) >= len(HOSTS), run.output


@pytest.mark.parametrize("login", [ROOT_LOGIN, SUDO], ids=["root", "sudo"])
@pytest.mark.parametrize("wanted", [NO_WAY_IN, SSH_CLOSED], ids=["address not allowed", "port closed"])
def test_the_guard_refuses(found: dict[str, Any], login: tuple[str, ...], wanted: dict[str, Any]) -> None:
    run = firewall(*LIMIT, *login, variables(wanted))
    check_undone(run, "This policy would lock you out. " + MISSING)
    assert states() == found


@pytest.mark.parametrize("login", [ROOT_LOGIN, SUDO], ids=["root", "sudo"])
@pytest.mark.parametrize("wanted", [NO_WAY_IN, SSH_CLOSED], ids=["address not allowed", "port closed"])
def test_without_the_guard_the_host_undoes_it(found: dict[str, Any], login: tuple[str, ...], wanted: dict[str, Any]
                                              ) -> None:
    run = firewall(*LIMIT, *login, variables(wanted, firewall_lockout_guard=False, firewall_confirm_within=WINDOW))
    check_undone(run, f"{UNDONE} Likely missing: {MISSING}")
    assert states() == found


def test_where_nothing_was_loaded_before_nothing_is_after() -> None:
    with restoring("nfs1"):
        assert play("remove", "--limit", "nfs1").code == 0
        before = on("nfs1", "nft list ruleset; find /etc | sort")
        run = firewall("--limit", "nfs1", variables(NO_WAY_IN, firewall_lockout_guard=False, firewall_confirm_within=WINDOW))
        assert run.code != 0 and UNDONE in run.text
        assert on("nfs1", "nft list ruleset; find /etc | sort") == before


# ---- faults of our own: a collection whose rules are wrong

# By what they do: a rule that comes before all others of the output chain.
FAULTS = {
    "answers to a new connection are dropped": '"tcp sport 22 tcp flags & (syn | ack) == (syn | ack) drop"',
    "everything that leaves is dropped": '"counter drop"',
}


@pytest.fixture(name="copy", scope="module")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "copy"
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", "output", "__pycache__"))
    return folder


def with_first_rule(copy: Path, rule: str) -> Path:
    """Have the collection in the folder put a rule before all others of each chain at a hook."""
    path = Path("plugins", "module_utils", "nftables.py")
    text = (ROOT / path).read_text(encoding="utf-8")
    changed = text.replace("    return Chain((*_always(", f"    return Chain(({rule}, *_always(")
    assert changed != text
    (copy / path).write_text(changed, encoding="utf-8")
    return copy


@pytest.mark.parametrize("login", [ROOT_LOGIN, SUDO], ids=["root", "sudo"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_ruleset_that_cuts_the_answers_is_undone(found: dict[str, Any], copy: Path, fault: str,
                                                   login: tuple[str, ...]) -> None:
    wanted = variables({"firewall_egress": "restricted"}, firewall_confirm_within=WINDOW)
    run = firewall(*LIMIT, *login, wanted, root=with_first_rule(copy, FAULTS[fault]))
    check_undone(run, f"{UNDONE} The policy itself lets {CONTROLLER} in.")
    assert states() == found


def test_a_ruleset_that_does_not_load_is_refused(found: dict[str, Any], copy: Path) -> None:
    run = firewall(*LIMIT, variables({}), root=with_first_rule(copy, '"tcp dport @nothing drop"'))
    check_undone(run, "Nothing was changed: the ruleset that ran before still runs.")
    assert states() == found


# ---- confirmed

@pytest.mark.parametrize("login", [ROOT_LOGIN, SUDO], ids=["root", "sudo"])
def test_a_harmless_change_is_confirmed_by_a_second_module_execution(counting: str, login: tuple[str, ...]) -> None:
    with restoring(*HOSTS):
        for host in HOSTS:
            executions(host)
        run = firewall(*LIMIT, *login, variables(HARMLESS), counting)
        assert run.code == 0, run.output
        assert {host: run.changed[host] for host in HOSTS} == dict.fromkeys(HOSTS, 1)
        assert {host: executions(host) for host in HOSTS} == dict.fromkeys(HOSTS, ["firewall", "confirm"])
        after = states()
        time.sleep(ENOUGH + 1)
        assert states() == after
        timers = [on(host, "systemctl list-units --all --no-legend 'hpc-ports-revert-*'") for host in HOSTS]
        assert timers == ["", "", ""]


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
    with play_started(FIREWALL, "--limit", "nfs1",
                      variables(NO_WAY_IN, firewall_lockout_guard=False, firewall_confirm_within=60)) as process:
        for _attempt in range(300):
            if on("nfs1", "readlink /run/hpc-ports/armed || true") and state("nfs1") != found["nfs1"]:
                break
            time.sleep(0.1)
        restart("nfs1")
        assert table("nfs1") == found["nfs1"][0]
        output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert ("The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and has "
            "the ruleset that was confirmed last. Run again.") in " ".join(output.split())
    with restoring("nfs1"):
        # What the interrupted change had staged is still there.
        assert firewall("--limit", "nfs1").changed["nfs1"] == 1


def test_two_controllers_at_once_ten_times() -> None:
    """Each says the truth: both rulesets were there, one after the other, and the host has one of them whole."""
    with restoring("desk1"):
        ends = []
        for wanted in (HARMLESS, {}):
            assert firewall("--limit", "desk1", variables(wanted)).code == 0
            ends.append(state("desk1"))
        assert ends[0] != ends[1]
        waited = 0
        for _round in range(10):
            runs = [play_started(FIREWALL, "--limit", "desk1", variables(wanted))
                    for wanted in (HARMLESS, {})]
            with runs[0] as first, runs[1] as second:
                outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
                assert (first.returncode, second.returncode) == (0, 0), outputs
            assert state("desk1") in ends
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
    with subprocess.Popen(["podman", "exec", "-i", f"{LAB}-{host}", "timeout", "120", "python3", "-c", text, *arguments],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdin, process.stdout


def said(client: tuple[TextIO, TextIO]) -> str:
    client[0].write("go\n")
    client[0].flush()
    return client[1].readline().strip()


def test_a_connection_that_no_flow_allows_any_more_is_cut_if_asked() -> None:
    """monitor1 reads an exporter of desk1, and the flow for that is turned off."""
    address = on("desk1", "hostname -I").split()[0]
    with restoring("desk1"), program("desk1", SERVER) as server:
        assert server[1].readline() == "ready\n"
        with program("monitor1", CLIENT, address) as client:
            assert said(client) == "answered"
            assert firewall("--limit", "desk1", variables(HARMLESS)).code == 0
            assert said(client) == "answered"
            assert firewall("--limit", "desk1").code == 0
            cut = variables(HARMLESS, firewall_cut_established=True)
            run = firewall("--limit", "desk1", "-v", cut)
            assert run.code == 0 and re.search(r'"connections_cut": \["tcp 10.203.0.71:[0-9]+ -> 10.203.0.81:9100"\]',
                                               run.text), run.output
            assert said(client).startswith("cut")
