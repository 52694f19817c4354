# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change awaits its confirmation, is confirmed, or undone by the host; one at a time, and nobody is locked out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hpc.ports.tests.support.faults import Runs
from ansible_collections.hpc.ports.tests.support.machine import LINK, RULESET, UNIT, Machine
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SAMPLE, SLURM, SSH, WEB, policy

Found = tuple[list[str], Any]
OTHER = policy(SSH, ("in", "nfs", ["2049/tcp"], ANYWHERE))
THIRD = policy(SSH, WEB, mode="observe")
# Long enough that no test sees the end of it.
LONG = 20
KEPT = "Nothing was changed: the ruleset that ran before still runs."
SERVER = "192.0.2.1 22"


@pytest.fixture
def host(machine: Machine) -> Iterator[Served]:
    """A host whose modules run in a server."""
    with closing(Runs(machine)) as runs:
        yield Served(runs)


@pytest.fixture(params=["systemd", "no systemd"])
def any_host(request: pytest.FixtureRequest, host: Served) -> Served:
    """The same, with either clock."""
    if request.param == "no systemd":
        host.host.shell("rmdir /run/systemd/system")
    return host


class Served(Machine):
    """A machine whose modules run in a server, several a second, but for those that need processes above them."""

    def __init__(self, runs: Runs) -> None:
        assert runs.machine.programs
        super().__init__(runs.machine.pair, runs.machine.programs)
        self.runs = runs

    def begin(self, wanted: Any = None, **options: Any) -> dict[str, Any]:
        """Give the host a policy, or a sample, and return the module's result; the change is not confirmed."""
        if {"prefix", "check"} & set(options):
            return super().begin(wanted, **options)
        return self.runs.firewall(wanted or SAMPLE, **options).result or {}

    def confirm(self, token: str) -> dict[str, Any]:
        """Run the module that confirms a change."""
        return self.runs.confirm(token).result or {}


# For a run meanwhile, which cannot be in the server, too.
MEANWHILE = {"prefix": ("env",)}


def table(machine: Machine) -> list[str]:
    """All that the kernel has, counters and all, whatever order it keeps it in."""
    return sorted(machine.host.shell("nft list ruleset").rstrip("}\n").split("\n\n"))


def everything(machine: Machine) -> Found:
    return table(machine), machine.files()


def in_place(machine: Machine) -> dict[str, Any]:
    """Our files that a reboot would see."""
    return {path: found for path, found in machine.files().items() if path in (RULESET, UNIT, LINK)}


def token_of(result: dict[str, Any]) -> str:
    assert "pending" in result, result
    return str(result["pending"]["token"])


def warnings_of(result: dict[str, Any]) -> list[str]:
    """The warnings, as any ansible-core sends them."""
    return [text if isinstance(text, str) else text["event"]["msg"] for text in result.get("warnings", [])]


def wait_until(fits: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < end
        time.sleep(0.1)


def wait_until_undone(machine: Machine) -> None:
    wait_until(lambda: machine.host.run("test", "-L", "/run/hpc-ports/armed", check=False).returncode != 0)


def clocks(token: str) -> list[int]:
    """The processes that count the time of a change."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass
    return found


@contextmanager
def running(function: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Future[Any]]:
    """Call the function meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(function, *arguments, **options)


# ---- confirmed or not

@pytest.mark.parametrize("before", [None, SAMPLE], ids=["never had rules", "has rules"])
def test_what_nobody_confirms_is_undone(any_host: Served, before: Any) -> None:
    if before:
        any_host.apply(before)
        any_host.pair.peer.run("bash", "-c", "for i in 1 2 3; do echo x > /dev/udp/192.0.2.1/999; done")
        assert any_host.counted("denied_in") == 3
    found, places = everything(any_host), in_place(any_host)
    token = token_of(any_host.begin(OTHER, confirm_within=3))
    assert any("2049" in line for line in table(any_host)) and in_place(any_host) == places
    wait_until_undone(any_host)
    assert everything(any_host) == found
    assert any_host.confirm(token)["status"] == "reverted"
    assert any_host.confirm("0" * 32)["status"] == "unknown"
    assert everything(any_host) == found
    assert any_host.apply(OTHER)["changed"] and not any_host.apply(OTHER)["changed"]


def test_the_last_eight_that_were_undone_are_remembered(host: Served) -> None:
    host.apply()
    tokens = []
    for number in range(10):
        tokens.append(token_of(host.begin(OTHER, confirm_within=LONG)))
        host.runs.undo_now()
    # One is forgotten when the next one is armed, and of the others no more is kept than what they were.
    assert host.apply(OTHER)["changed"]
    assert [host.confirm(token)["status"] for token in tokens] == ["unknown"] * 2 + ["reverted"] * 8
    left = host.host.shell("cd /run/hpc-ports; find . -mindepth 1").split()
    assert set(left) == {"./lock", *(f"./{token}{name}" for token in tokens[2:]
                                     for name in ("", "/about.json", "/undone"))}


def test_what_is_confirmed_stays(any_host: Served) -> None:
    any_host.apply()
    began = time.monotonic()
    token = token_of(any_host.begin(OTHER, confirm_within=3))
    assert clocks(token)
    answer = any_host.confirm(token)
    assert (answer["status"], answer["changed"], answer["confirmed_from"]) == ("confirmed", True, "")
    found = everything(any_host)
    wait_until(lambda: not clocks(token), seconds=2)
    time.sleep(max(0.0, began + 5 - time.monotonic()))
    assert everything(any_host) == found
    assert not any_host.apply(OTHER)["changed"]
    assert any_host.confirm(token)["status"] == "unknown"
    assert any_host.host.shell("ls /run/hpc-ports").split() == ["lock"]


def test_a_change_of_the_disk_alone_needs_no_confirmation(host: Served) -> None:
    host.apply()
    found = everything(host)
    host.host.shell(f"rm {RULESET}")
    result = host.begin()
    assert result["changed"] and "pending" not in result
    assert everything(host) == found


# ---- which connection confirms

def over_ssh(connection: str) -> tuple[str, ...]:
    return ("env", f"SSH_CONNECTION={connection}")


def over_ssh_and_sudo(connection: str) -> tuple[str, ...]:
    """As sudo does: the variable is only in the environment of the process that started it."""
    return (*over_ssh(connection), "sh", "-c", 'env -u SSH_CONNECTION "$@"; exit $?', "sh")


# No process above it has the variable, wherever these tests run: there is none above it.
OVER_NOTHING = ("unshare", "--pid", "--fork", "--mount-proc", "env", "-u", "SSH_CONNECTION")
ARMED_FROM = f"10.64.9.9 51234 {SERVER}"
NOT_NEW: tuple[tuple[tuple[str, ...], str], ...] = (
    (over_ssh(ARMED_FROM), "10.64.9.9 port 51234"),
    (over_ssh_and_sudo(ARMED_FROM), "10.64.9.9 port 51234"),
    (over_ssh("::ffff:10.64.9.9 51234 ::ffff:192.0.2.1 22"), "10.64.9.9 port 51234"),
    (OVER_NOTHING, ""),
)


def confirm_over(machine: Machine, token: str, prefix: tuple[str, ...]) -> dict[str, Any]:
    return machine.pair.module("confirm", prefix, machine.programs, token=token)


@pytest.mark.parametrize("over", [over_ssh, over_ssh_and_sudo])
def test_only_a_new_connection_confirms(machine: Machine, over: Callable[[str], tuple[str, ...]]) -> None:
    token = token_of(machine.begin(transport="ssh", prefix=over(ARMED_FROM), confirm_within=LONG))
    for prefix, confirmed_from in NOT_NEW:
        answer = confirm_over(machine, token, prefix)
        assert (answer["status"], answer["confirmed_from"], answer["changed"]) == ("not new", confirmed_from, False)
        assert not in_place(machine)
    answer = confirm_over(machine, token, over(f"10.64.9.9 51235 {SERVER}"))
    assert (answer["status"], answer["confirmed_from"], answer["changed"]) == (
        "confirmed", "10.64.9.9 port 51235", True)
    assert in_place(machine)


def test_what_the_same_connection_confirms_is_undone(machine: Machine) -> None:
    found = everything(machine)
    token = token_of(machine.begin(transport="ssh", prefix=over_ssh(ARMED_FROM), confirm_within=4))
    assert confirm_over(machine, token, over_ssh(ARMED_FROM))["status"] == "not new"
    wait_until_undone(machine)
    assert everything(machine) == found


def test_a_change_over_no_connection_is_confirmed_over_any(machine: Machine) -> None:
    token = token_of(machine.begin(transport="podman", prefix=over_ssh(ARMED_FROM), confirm_within=LONG))
    assert confirm_over(machine, token, over_ssh(ARMED_FROM))["status"] == "confirmed"


# ---- one at a time

WAITED = "Another run changed this host{} and awaited its confirmation: this one waited for it."


def begun(machine: Machine, seconds: int) -> str:
    """Give the host `OTHER` over an ssh connection; return its token."""
    return token_of(machine.begin(OTHER, transport="ssh", prefix=over_ssh(ARMED_FROM), confirm_within=seconds))


def test_a_run_waits_until_another_is_confirmed(any_host: Served) -> None:
    any_host.apply()
    token = begun(any_host, LONG)
    there = any_host.objects()
    with running(any_host.begin, THIRD, confirm_within=2, **MEANWHILE) as second:
        time.sleep(2)
        assert not second.done() and any_host.objects() == there
        assert confirm_over(any_host, token, over_ssh(f"10.64.9.9 51235 {SERVER}"))["status"] == "confirmed"
        confirmed = in_place(any_host)
        result = second.result(20)
    assert warnings_of(result) == [WAITED.format(" from 10.64.9.9")]
    assert result["changes"]["flows_removed"] == ["in_nfs"]
    wait_until_undone(any_host)
    assert (any_host.objects(), in_place(any_host)) == (there, confirmed)


def test_a_run_waits_until_another_is_undone(any_host: Served) -> None:
    any_host.apply()
    found = everything(any_host)
    token = begun(any_host, 3)
    result = any_host.begin(THIRD, confirm_within=2)
    assert warnings_of(result) == [WAITED.format(" from 10.64.9.9")]
    assert result["changes"]["flows_removed"] == ["in_slurm_control", "out_dns"]
    # Who made the first change may still ask.
    assert any_host.confirm(token)["status"] == "reverted"
    wait_until_undone(any_host)
    assert everything(any_host) == found


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_removal_waits_for_a_change(any_host: Served, confirmed: bool) -> None:
    never = everything(any_host)
    any_host.apply()
    token = token_of(any_host.begin(OTHER, confirm_within=LONG if confirmed else 3))
    with running(any_host.remove) as removal:
        time.sleep(1)
        assert not removal.done() and in_place(any_host)
        if confirmed:
            any_host.confirm(token)
        result = removal.result(20)
    assert warnings_of(result) == [WAITED.format("")]
    assert result["changes"]["flows_removed"] == (
        ["in_management_ssh", "in_nfs"] if confirmed else
        ["in_management_ssh", "in_slurm_control", "in_web", "out_dns"])
    assert everything(any_host) == never


def test_check_mode_waits_for_nobody(host: Served) -> None:
    host.apply()
    host.begin(OTHER, confirm_within=LONG)
    began = time.monotonic()
    assert host.begin(check=True)["changes"]["flows_removed"] == ["in_nfs"]
    assert time.monotonic() - began < LONG / 2


@pytest.fixture
def pair_of_runs(machine: Machine) -> Iterator[tuple[Runs, Runs]]:
    """Two who change the same host."""
    with closing(Runs(machine)) as one, closing(Runs(machine)) as other:
        yield one, other


def test_two_at_the_same_moment_ten_times(pair_of_runs: tuple[Runs, Runs]) -> None:
    one, other = pair_of_runs
    states = []
    for wanted in (OTHER, SAMPLE):
        one.apply(wanted)
        states.append(one.state())
    for number in range(10):
        # Where the host has SAMPLE, the second of the two may find nothing to do.
        before = states.index(one.state())
        with running(one.apply, OTHER) as first:
            changed = [False, bool(other.apply(SAMPLE)["changed"])]
            changed[0] = bool(first.result(60)["changed"])
        # As if one had come after the other.
        after = states.index(one.state())
        assert changed[after] and changed[1 - after] == (before == after), (number, before, after, changed)


def be_impatient(runs: Runs) -> None:
    runs.settings = {"_PATIENCE": 1.0, "_GRACE": 1.0}


@pytest.mark.parametrize("wanted", [OTHER, None], ids=["change", "removal"])
def test_a_lock_that_is_held_for_ever(host: Served, wanted: Any) -> None:
    host.apply()
    found = everything(host)
    runs = host.runs
    be_impatient(runs)
    with subprocess.Popen([*host.host.prefix, "flock", "/run/hpc-ports/lock", "cat"], stdin=subprocess.PIPE):
        wait_until(lambda: host.host.run("flock", "-n", "/run/hpc-ports/lock", "true", check=False).returncode != 0)
        run = runs.firewall(wanted)
        assert run.result and run.result["msg"] == (
            "Another process has held /run/hpc-ports/lock for 1 s: a run that changes this host, or the host that "
            "undoes a change. Nothing was changed. See what holds it (fuser /run/hpc-ports/lock), and run again.")
    assert everything(host) == found
    assert runs.apply(wanted)["changed"]


# ---- when the host does not come to undo it

@pytest.fixture
def stopped(any_host: Served) -> Served:
    """A host that has rules and whose one change awaits confirmation, but whose clock was killed."""
    any_host.apply()
    be_impatient(any_host.runs)
    token = token_of(any_host.begin(OTHER, confirm_within=2))
    any_host.host.shell("for file in /run/*.timer; do [ ! -e $file ] || kill $(cat $file); done")
    for clock in clocks(token):
        os.kill(clock, signal.SIGKILL)
    wait_until(lambda: not clocks(token))
    return any_host


def test_the_next_run_undoes_what_is_long_overdue(stopped: Served) -> None:
    began = time.monotonic()
    result = stopped.begin(THIRD, confirm_within=LONG)
    assert warnings_of(result) == [WAITED.format("")] and 1 < time.monotonic() - began < 20
    assert result["changes"]["flows_removed"] == ["in_slurm_control", "out_dns"]
    stopped.runs.undo_now()
    assert "in_slurm_control" in "\n".join(stopped.objects())
    assert not stopped.apply()["changed"]


def test_a_reboot_brings_what_was_confirmed_last(stopped: Served) -> None:
    token = stopped.runs.state().armed
    stopped.host.shell(f"rm -r /run/hpc-ports; nft flush ruleset; nft -f {RULESET}")
    loaded = stopped.objects()
    assert any("slurm" in text for text in loaded) and not any("nfs" in text for text in loaded)
    assert stopped.confirm(token)["status"] == "unknown"
    staged = {f"{kind} {Path(path).parent}/.{Path(path).name}.new"
              for kind, path in (("file", RULESET), ("file", UNIT), ("link", LINK)) if path in in_place(stopped)}
    result = stopped.apply()
    assert set(result["changes"]["objects"]) == staged and result["changed"]
    assert stopped.objects() == loaded
    assert stopped.host.shell("find /etc -name '*.new'") == ""
    assert not stopped.apply()["changed"]


# ---- nobody is locked out

def refusal(client: str, port: int, advice: str) -> str:
    return (f"This policy would lock you out. Ansible comes from {client} to {port}/tcp of this host, and no flow lets "
            f"it in. {advice} Nothing was changed. With firewall_lockout_guard: false it is applied all the same, and "
            "the host undoes it unless a new connection confirms it.")


def add_controller(client: str) -> str:
    return refusal(client, 22, f"Add {client} to firewall_endpoints.controllers, where the flow management_ssh comes "
                               "from.")


LINK_LOCAL = policy(("in", "management_ssh", ["22/tcp"], ("fe80::/10",)))
TRUSTING = policy(SSH, interfaces=("fab0",))
# What sshd says, and the refusal; none where it passes.
CLIENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "allowed": (policy(SSH), f"10.64.9.9 51234 {SERVER}", ""),
    "allowed, IPv6": (policy(SSH), "fd64::9 51234 2001:db8::1 22", ""),
    "allowed, IPv4 within IPv6": (policy(SSH), "::ffff:10.64.9.9 51234 ::ffff:192.0.2.1 22", ""),
    "allowed, restricted egress": (policy(SSH, egress="restricted"), f"10.64.9.9 51234 {SERVER}", ""),
    "allowed, link-local": (LINK_LOCAL, "fe80::9%eth0 51234 fe80::1%eth0 22", ""),
    "observed only": (policy(SSH, mode="observe"), f"10.64.9.8 51234 {SERVER}", ""),
    "trusted interface": (TRUSTING, "192.0.3.2 51234 192.0.3.1 22", ""),
    "trusted interface, link-local": (TRUSTING, "fe80::9%fab0 51234 fe80::1%fab0 22", ""),
    "another interface": (TRUSTING, "192.0.2.2 51234 192.0.2.1 22", add_controller("192.0.2.2")),
    "another interface, link-local": (
        TRUSTING, "fe80::9%eth0 51234 fe80::1%eth0 22", add_controller("fe80::9")),
    "address missing": (policy(SSH), f"10.64.9.8 51234 {SERVER}", add_controller("10.64.9.8")),
    "IPv4 within IPv6 missing": (
        policy(SSH), "::ffff:10.64.9.8 51234 ::ffff:192.0.2.1 22", add_controller("10.64.9.8")),
    "port missing": (policy(SSH), "10.64.9.9 51234 192.0.2.1 2222", refusal(
        "10.64.9.9", 2222, "Add 2222/tcp to firewall_services.ssh.ports, and 10.64.9.9 to "
                           "firewall_endpoints.controllers unless it is there.")),
    "port of another flow": (policy(SSH, SLURM), "10.64.9.9 51234 192.0.2.1 6817", refusal(
        "10.64.9.9", 6817, "Add 10.64.9.9 to an endpoint that a flow to this port comes from: slurm_control.")),
}


def test_a_policy_that_would_lock_out_who_applies_it_is_refused(machine: Machine) -> None:
    found = everything(machine)
    for case, (wanted, connection, message) in CLIENTS.items():
        for check in (True, False) if message else (True,):
            result = machine.begin(wanted, transport="ssh", prefix=over_ssh_and_sudo(connection), check=check)
            assert (result.get("msg", ""), warnings_of(result)) == (message, []), case
    assert everything(machine) == found


def test_without_the_guard_it_is_applied_and_undone(machine: Machine) -> None:
    found = everything(machine)
    result = machine.begin(policy(SSH), transport="ssh", prefix=over_ssh(f"10.64.9.8 51234 {SERVER}"),
                           lockout_guard=False, confirm_within=2)
    wait_until_undone(machine)
    assert everything(machine) == found
    answer = machine.confirm(token_of(result))
    assert (answer["status"], answer["seconds"], answer["client"], answer["advice"]) == (
        "reverted", 2, "10.64.9.8",
        "Ansible comes from 10.64.9.8 to 22/tcp of this host, and no flow lets it in. Add 10.64.9.8 to "
        "firewall_endpoints.controllers, where the flow management_ssh comes from.")


def test_a_connection_that_cannot_be_seen_is_warned_of(machine: Machine) -> None:
    for transport in ("ssh", "ansible.netcommon.libssh"):
        result = machine.begin(policy(SSH), transport=transport, prefix=OVER_NOTHING, check=True)
        assert warnings_of(result) == [
            "Cannot tell from where Ansible connects to this host: no process above the module has SSH_CONNECTION. The "
            "policy was not checked against that connection; the host still undoes the change unless it is confirmed."]


def test_a_connection_that_is_no_ssh_is_let_be(machine: Machine) -> None:
    for transport in ("local", "containers.podman.podman", ""):
        result = machine.begin(policy(SSH), transport=transport, prefix=over_ssh(f"10.64.9.8 51234 {SERVER}"),
                               check=True)
        assert not result.get("failed") and warnings_of(result) == []


# ---- where nothing can be armed

UNARMED: dict[str, tuple[str, str]] = {
    "a file in the way": ("touch /run/hpc-ports", "Cannot write /run/hpc-ports: File exists."),
    "read-only": ("mkdir /run/hpc-ports; mount -t tmpfs -o ro tmpfs /run/hpc-ports",
                  "Cannot write /run/hpc-ports/lock: Read-only file system."),
    "full": ("mkdir /run/hpc-ports; mount -t tmpfs -o size=4k tmpfs /run/hpc-ports",
             r"Cannot write /run/hpc-ports/[0-9a-f]{32}/[a-z.]+: No space left on device."),
}


@pytest.mark.parametrize("case", UNARMED)
def test_nothing_is_changed_where_no_way_back_can_be_kept(host: Served, case: str) -> None:
    program, message = UNARMED[case]
    host.apply()
    host.host.shell(f"rm -r /run/hpc-ports; {program}")
    check_unchanged(host, f"{message} {KEPT}")


def check_unchanged(machine: Machine, message: str) -> None:
    found = everything(machine)
    result = machine.begin(OTHER)
    assert result["failed"]
    assert re.fullmatch(message, result["msg"]), result["msg"]
    assert everything(machine) == found


def test_nothing_is_changed_where_no_timer_can_be_started(host: Served) -> None:
    host.apply()
    host.program("systemd-run", "echo 'Failed to connect to bus: No such file or directory' >&2; exit 1")
    check_unchanged(host, "'systemd-run .*' failed with exit code 1: Failed to connect to bus: No such file or "
                          f"directory. {KEPT}")
    host.program("systemd-run", "exit 0")
    assert host.apply(OTHER)["changed"]
