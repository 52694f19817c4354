# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change awaits its confirmation, is confirmed, or undone by the host; one at a time, and nobody is locked out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import confirm_command, parse_confirmation
from ansible_collections.hpc.ports.tests.kernel.connections import Connections, living
from ansible_collections.hpc.ports.tests.support.machine import LINK, RULESET, UNIT, Machine
from ansible_collections.hpc.ports.tests.support.messages import KEPT
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.runs import Runs, Served
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SAMPLE, SLURM, SSH, WEB, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until

Found = tuple[list[str], Any]
OTHER = policy(SSH, ("in", "nfs", ["2049/tcp"], ANYWHERE))
THIRD = policy(SSH, WEB, mode="observe")
# Long enough that no test sees the end of it.
LONG = scaled(60)
SERVER = "192.0.2.1 22"


@pytest.fixture(params=["systemd", "no systemd"])
def any_host(request: pytest.FixtureRequest, machine: Served) -> Served:
    """A host with either clock."""
    if request.param == "no systemd":
        machine.host.shell("rmdir /run/systemd/system")
    return machine


def table(machine: Machine) -> list[str]:
    """All objects of the kernel, with counters, in any order."""
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


def is_armed(machine: Machine) -> bool:
    return machine.path("/run/hpc-ports/armed").is_symlink()


def wait_until_undone(machine: Machine) -> None:
    wait_until(lambda: not is_armed(machine))


def clocks(token: str) -> list[int]:
    """The processes that count the time of a change."""
    return [pid for pid in processes() if token.encode() in command_of(pid)]


def at_the_lock(machine: Machine) -> list[int]:
    """The modules of this host that have reached the point where they may meet another change."""
    lock = machine.path("/run/hpc-ports/lock").stat()
    return [pid for pid in processes() if b"/plugins/modules/" in command_of(pid) and opens(pid, lock)]


def times_slept(pid: int) -> int:
    """Return the voluntary context switches of a process: one for each look of a waiting change."""
    with suppress(OSError):
        return int(
            Path(f"/proc/{pid}/status").read_text(encoding="utf-8").split("\nvoluntary_ctxt_switches:")[1].split()[0]
        )
    return 0


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


def opens(pid: int, file: os.stat_result) -> bool:
    """Return whether the process has this file open."""
    with suppress(OSError):
        return any(os.path.samestat(os.stat(handle), file) for handle in os.scandir(f"/proc/{pid}/fd"))
    return False


@contextmanager
def running(function: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Future[Any]]:
    """Call the function meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(function, *arguments, **options)


@contextmanager
def waiting(machine: Served, function: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Future[Any]]:
    """Call the function meanwhile, which starts a module; the block begins when that waits for another change."""
    with running(function, *arguments, **options) as found:
        try:
            wait_until(lambda: found.done() or bool(at_the_lock(machine)))
            assert not found.done(), found.result()
            [pid] = at_the_lock(machine)
            before = times_slept(pid)
            wait_until(lambda: found.done() or times_slept(pid) > before + 3)
            assert not found.done(), found.result()
            yield found
        except BaseException:
            # So that it ends.
            machine.runs.undo_now()
            raise


# ---- confirmed or not


@pytest.mark.parametrize("before", [None, SAMPLE], ids=["never had rules", "has rules"])
def test_what_nobody_confirms_is_undone(any_host: Served, before: Any) -> None:
    if before:
        any_host.apply(before)
        any_host.pair.peer.run("bash", "-c", "for i in 1 2 3; do echo x > /dev/udp/192.0.2.1/999; done")
        assert any_host.counted("denied_in") == 3
    found, places = everything(any_host), in_place(any_host)
    token = token_of(any_host.begin(OTHER, confirm_within=scaled(3)))
    assert any("2049" in line for line in table(any_host)) and in_place(any_host) == places
    wait_until_undone(any_host)
    assert everything(any_host) == found
    assert any_host.confirm(token)["status"] == "reverted"
    assert any_host.confirm("0" * 32)["status"] == "unknown"
    assert everything(any_host) == found
    assert any_host.apply(OTHER)["changed"] and not any_host.apply(OTHER)["changed"]


def test_the_last_eight_that_were_undone_are_remembered(machine: Served) -> None:
    machine.apply()
    tokens = []
    for _number in range(10):
        tokens.append(token_of(machine.begin(OTHER, confirm_within=LONG)))
        machine.runs.undo_now()
    # One is forgotten when the next one is armed, and of the others no more is kept than what they were.
    assert machine.apply(OTHER)["changed"]
    assert [machine.confirm(token)["status"] for token in tokens] == ["unknown"] * 2 + ["reverted"] * 8
    left = machine.host.shell("cd /run/hpc-ports; find . -mindepth 1 -not -name 'listing-*'").split()
    assert set(left) == {
        "./lock",
        *(f"./{token}{name}" for token in tokens[2:] for name in ("", "/about.json", "/undone")),
    }


def test_what_is_confirmed_stays(any_host: Served) -> None:
    any_host.apply()
    token = token_of(any_host.begin(OTHER, confirm_within=LONG))
    assert clocks(token)
    answer = any_host.confirm(token)
    assert (answer["status"], answer["changed"], answer["confirmed_from"]) == ("confirmed", True, "")
    found = everything(any_host)
    # Then there is nothing left that could undo it.
    wait_until(lambda: not clocks(token))
    assert everything(any_host) == found
    assert not any_host.apply(OTHER)["changed"]
    assert any_host.confirm(token)["status"] == "unknown"
    assert any_host.host.shell("ls /run/hpc-ports --ignore 'listing-*'").split() == ["lock"]


def test_a_confirmed_change_cuts_what_it_does_not_allow(machine: Served) -> None:
    wanted = policy(SSH, WEB)
    machine.apply(policy(SSH, WEB, SLURM))
    with Connections(machine.pair) as links:
        good, bad = (links.opened("in", "tcp", "10.64.0.1", "192.0.2.1", port) for port in (443, 6817))
        answer = machine.confirm(token_of(machine.begin(wanted, cut_established=True)))
        assert (answer["status"], answer["cuts"]) == ("confirmed", True)
        # If this run ends here, the next one is told to do it.
        assert machine.begin(wanted, cut_established=True)["cuts"]
        assert "cuts" not in machine.begin(wanted)
        assert living([good, bad], "client") == {good.name, bad.name}
        assert machine.runs.module("firewall_cut", policy=wanted)["connections_cut"] == [bad.name]
        assert living([good, bad], "client") == {good.name}
        assert "cuts" not in machine.begin(wanted, cut_established=True)


def test_a_change_of_the_disk_alone_needs_no_confirmation(machine: Served) -> None:
    machine.apply()
    found = everything(machine)
    machine.host.shell(f"rm {RULESET}")
    result = machine.begin()
    assert result["changed"] and "pending" not in result
    assert everything(machine) == found


# ---- which connection confirms


def over_sudo(connection: str) -> tuple[str, ...]:
    """As sudo does: the variable is only in the environment of the process that started it."""
    return "env", f"SSH_CONNECTION={connection}", "sh", "-c", 'env -u SSH_CONNECTION "$@"; exit $?', "sh"


# No process above it has the variable, wherever these tests run: there is none above it.
OVER_NOTHING = ("unshare", "--pid", "--fork", "--mount-proc", "env", "-u", "SSH_CONNECTION")
ARMED_FROM = f"10.64.9.9 51234 {SERVER}"
AS_ARMED = {"an address of IPv4": ARMED_FROM, "the same within IPv6": "::ffff:10.64.9.9 51234 ::ffff:192.0.2.1 22"}
NEW = f"10.64.9.9 51235 {SERVER}"


def answer_of(result: dict[str, Any]) -> tuple[Any, ...]:
    return result["status"], result["confirmed_from"], result["changed"]


def confirm_over(machine: Machine, token: str, prefix: tuple[str, ...]) -> dict[str, Any]:
    """Start a Python that confirms."""
    return machine.pair.module("firewall_confirm", prefix, machine.programs, token=token)


def test_only_a_new_connection_confirms(machine: Served) -> None:
    token = token_of(machine.begin(transport="ssh", ssh=ARMED_FROM, confirm_within=LONG))
    for connection in AS_ARMED.values():
        assert answer_of(machine.confirm(token, ssh=connection)) == ("not new", "10.64.9.9 port 51234", False)
    assert answer_of(confirm_over(machine, token, OVER_NOTHING)) == ("not new", "", False)
    # The host continues to count.
    assert is_armed(machine) and clocks(token) and not in_place(machine)
    assert answer_of(machine.confirm(token, ssh=NEW)) == ("confirmed", "10.64.9.9 port 51235", True)
    assert in_place(machine)


def test_only_a_new_connection_confirms_through_sudo(machine: Served) -> None:
    """Modules that are started, with processes above them."""
    token = token_of(machine.begin(transport="ssh", prefix=over_sudo(ARMED_FROM), confirm_within=LONG))
    assert answer_of(confirm_over(machine, token, over_sudo(ARMED_FROM))) == ("not new", "10.64.9.9 port 51234", False)
    assert answer_of(confirm_over(machine, token, over_sudo(NEW))) == ("confirmed", "10.64.9.9 port 51235", True)
    assert in_place(machine)


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of modules in an archive, as Ansible sends it."""
    path = tmp_path_factory.mktemp("sent") / "code.zip"
    package = "ansible_collections/hpc/ports/plugins/module_utils"
    files = {file.relative_to(COLLECTIONS) for file in (COLLECTIONS / package).rglob("*.py")}
    folders = {folder for file in files for folder in file.parents if folder.name}
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(COLLECTIONS / file, str(file))
        for folder in folders:
            archive.writestr(f"{folder}/__init__.py", "")
    return path


def kept_answer(machine: Machine, token: str, connection: str) -> dict[str, Any] | None:
    """Return the answer of the code that the host kept."""
    prefix = over_sudo(connection)
    done = machine.host.run(*prefix, "sh", "-c", confirm_command(token), check=False, path=machine.programs)
    return parse_confirmation(done.stdout)


def test_the_code_that_the_host_kept_confirms_over_a_new_connection(
    machine: Served, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.pair, "python_path", str(archive))
    token = token_of(machine.begin(transport="ssh", prefix=over_sudo(ARMED_FROM), confirm_within=LONG))
    refused = kept_answer(machine, token, ARMED_FROM)
    assert refused and answer_of(refused) == ("not new", "10.64.9.9 port 51234", False)
    assert is_armed(machine) and not in_place(machine)
    confirmed = kept_answer(machine, token, NEW)
    assert confirmed and answer_of(confirmed) == ("confirmed", "10.64.9.9 port 51235", True)
    assert in_place(machine) and not is_armed(machine)
    # The code goes with the change.
    assert machine.host.shell("ls /run/hpc-ports --ignore 'listing-*'").split() == ["lock"]
    assert kept_answer(machine, token, NEW) is None


def test_code_that_came_without_an_archive_is_not_kept(machine: Served) -> None:
    token = token_of(machine.begin(OTHER, confirm_within=LONG))
    assert kept_answer(machine, token, NEW) is None
    assert machine.confirm(token)["status"] == "confirmed"


def test_what_the_same_connection_confirms_is_undone(machine: Served) -> None:
    found = everything(machine)
    token = token_of(machine.begin(transport="ssh", ssh=ARMED_FROM, confirm_within=LONG))
    assert machine.confirm(token, ssh=ARMED_FROM)["status"] == "not new"
    machine.runs.undo_now()
    assert everything(machine) == found


def test_a_change_over_no_connection_is_confirmed_over_any(machine: Served) -> None:
    token = token_of(machine.begin(transport="podman", ssh=ARMED_FROM, confirm_within=LONG))
    assert machine.confirm(token, ssh=ARMED_FROM)["status"] == "confirmed"


# ---- one at a time

WAITED = "Another run changed this host{} and awaited confirmation: this run waited for it."


def begun(machine: Served) -> str:
    """Give the host `OTHER` over an ssh connection; return its token."""
    return token_of(machine.begin(OTHER, transport="ssh", ssh=ARMED_FROM, confirm_within=LONG))


def test_a_run_waits_until_another_is_confirmed(any_host: Served) -> None:
    any_host.apply()
    token = begun(any_host)
    there = any_host.objects()
    with waiting(any_host, any_host.started.begin, THIRD, confirm_within=LONG) as second:
        assert any_host.objects() == there
        assert any_host.confirm(token, ssh=NEW)["status"] == "confirmed"
        confirmed = in_place(any_host)
        result = second.result(60)
    assert warnings_of(result) == [WAITED.format(" from 10.64.9.9")]
    assert result["changes"]["flows_removed"] == ["in_nfs"]
    any_host.runs.undo_now()
    assert (any_host.objects(), in_place(any_host)) == (there, confirmed)


def test_a_run_waits_until_another_is_undone(any_host: Served) -> None:
    any_host.apply()
    found = everything(any_host)
    token = begun(any_host)
    with waiting(any_host, any_host.started.begin, THIRD, confirm_within=LONG) as second:
        any_host.runs.undo_now()
        result = second.result(60)
    assert warnings_of(result) == [WAITED.format(" from 10.64.9.9")]
    assert result["changes"]["flows_removed"] == ["in_slurm_control", "out_dns"]
    # Who made the first change may still ask.
    assert any_host.confirm(token)["status"] == "reverted"
    any_host.runs.undo_now()
    assert everything(any_host) == found


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_removal_waits_for_a_change(any_host: Served, confirmed: bool) -> None:
    never = everything(any_host)
    any_host.apply()
    token = token_of(any_host.begin(OTHER, confirm_within=LONG))
    with waiting(any_host, any_host.started.remove) as removal:
        assert in_place(any_host)
        if confirmed:
            any_host.confirm(token)
        else:
            any_host.runs.undo_now()
        result = removal.result(60)
    assert warnings_of(result) == [WAITED.format("")]
    assert result["changes"]["flows_removed"] == (
        ["in_management_ssh", "in_nfs"] if confirmed else ["in_management_ssh", "in_slurm_control", "in_web", "out_dns"]
    )
    assert everything(any_host) == never


def test_check_mode_waits_for_nobody(machine: Served) -> None:
    machine.apply()
    token = token_of(machine.begin(OTHER, confirm_within=LONG))
    assert machine.begin(check=True)["changes"]["flows_removed"] == ["in_nfs"]
    assert machine.runs.state().armed == token


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
    runs.settings = {"PATIENCE": 1.0}


@pytest.mark.parametrize("wanted", [OTHER, None], ids=["change", "removal"])
def test_a_lock_that_is_held_for_ever(machine: Served, wanted: Any) -> None:
    machine.apply()
    found = everything(machine)
    runs = machine.runs
    be_impatient(runs)
    command = [*machine.host.prefix, "flock", "/run/hpc-ports/lock", "sh", "-c", "echo held; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        run = runs.firewall(wanted)
        assert run.result and run.result["msg"] == (
            "Another process has held /run/hpc-ports/lock for 1 s: a run that changes this host, or the host that "
            "undoes a change. Nothing was changed. See which process holds it (fuser /run/hpc-ports/lock), and run "
            "again."
        )
    assert everything(machine) == found
    assert runs.apply(wanted)["changed"]


# ---- when the host cannot undo it


@pytest.fixture
def stopped(any_host: Served) -> Served:
    """A host that has rules and whose one change awaits confirmation, but whose clock was killed."""
    any_host.apply()
    token = token_of(any_host.begin(OTHER, confirm_within=LONG))
    for clock in clocks(token):
        os.kill(clock, signal.SIGKILL)
    wait_until(lambda: not clocks(token))
    return any_host


def test_the_next_run_undoes_what_is_long_overdue(stopped: Served) -> None:
    with waiting(stopped, stopped.started.begin, THIRD, confirm_within=LONG) as second:
        # As if much time had passed; whole at any moment.
        stopped.host.shell(
            'cd /run/hpc-ports/armed; sed \'s/"deadline": [0-9.]*/"deadline": 1/\' about.json > other; '
            "mv other about.json"
        )
        result = second.result(60)
    assert warnings_of(result) == [WAITED.format("")]
    assert result["changes"]["flows_removed"] == ["in_slurm_control", "out_dns"]
    stopped.runs.undo_now()
    assert "in_slurm_control" in "\n".join(stopped.objects())
    assert not stopped.apply()["changed"]


def _written_by_another_version(machine: Machine) -> None:
    """Give the note of the change that waits the number of another format; whole at any moment."""
    machine.host.shell(
        'cd /run/hpc-ports/armed; sed \'s/"format": 2/"format": 3/\' about.json > other; mv other about.json'
    )
    assert '"format": 3' in machine.host.shell("cat /run/hpc-ports/armed/about.json")


@pytest.mark.parametrize("how", ["confirm", "apply"])
def test_a_change_of_another_version_is_undone_and_said(any_host: Served, how: str) -> None:
    any_host.apply(SAMPLE)
    before = everything(any_host)
    token = token_of(any_host.begin(OTHER, confirm_within=LONG))
    _written_by_another_version(any_host)
    if how == "confirm":
        result = any_host.confirm(token)
        assert result["status"] == "other format"
    else:
        result = any_host.begin(THIRD, confirm_within=LONG)
        assert result["failed"]
    assert result["msg"].startswith("Invalid format of the change that awaited confirmation: got 3, expected 2.")
    assert not is_armed(any_host) and everything(any_host) == before
    assert any_host.apply(OTHER)["changed"] and not any_host.apply(OTHER)["changed"]


def test_a_reboot_brings_what_was_confirmed_last(stopped: Served) -> None:
    token = stopped.runs.state().armed
    stopped.host.shell(f"rm -r /run/hpc-ports; nft flush ruleset; nft -f {RULESET}")
    loaded = stopped.objects()
    assert any("slurm" in text for text in loaded) and not any("nfs" in text for text in loaded)
    assert stopped.confirm(token)["status"] == "unknown"
    staged = {
        f"{kind} {Path(path).parent}/.{Path(path).name}.new"
        for kind, path in (("file", RULESET), ("file", UNIT), ("link", LINK))
        if path in in_place(stopped)
    }
    result = stopped.apply()
    assert set(result["changes"]["objects"]) == staged and result["changed"]
    assert stopped.objects() == loaded
    assert stopped.host.shell("find /etc -name '*.new'") == ""
    assert not stopped.apply()["changed"]


# ---- nobody is locked out


def refusal(client: str, port: int = 22) -> str:
    """Return what it says of the connection; the rest is in the unit test of the guard."""
    return f"Ansible connects from {client} to {port}/tcp of this host, "


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
    "another interface": (TRUSTING, "192.0.2.2 51234 192.0.2.1 22", refusal("192.0.2.2")),
    "another interface, link-local": (TRUSTING, "fe80::9%eth0 51234 fe80::1%eth0 22", refusal("fe80::9")),
    "address missing": (policy(SSH), f"10.64.9.8 51234 {SERVER}", refusal("10.64.9.8")),
    "IPv4 within IPv6 missing": (policy(SSH), "::ffff:10.64.9.8 51234 ::ffff:192.0.2.1 22", refusal("10.64.9.8")),
    "port missing": (policy(SSH), "10.64.9.9 51234 192.0.2.1 2222", refusal("10.64.9.9", 2222)),
    "port of another flow": (policy(SSH, SLURM), "10.64.9.9 51234 192.0.2.1 6817", refusal("10.64.9.9", 6817)),
}


def test_a_policy_that_would_lock_out_who_applies_it_is_refused(machine: Served) -> None:
    found = everything(machine)
    for case, (wanted, connection, message) in CLIENTS.items():
        for check in (True, False) if message else (True,):
            result = machine.begin(wanted, transport="ssh", ssh=connection, check=check)
            assert ("msg" in result, warnings_of(result)) == (bool(message), []), case
            assert message in result.get("msg", ""), case
    assert everything(machine) == found


def test_through_sudo_it_is_refused_as_well(machine: Served) -> None:
    """A module that is started, with processes above it."""
    wanted, connection, message = CLIENTS["address missing"]
    assert message in machine.begin(wanted, transport="ssh", prefix=over_sudo(connection))["msg"]


def test_without_the_guard_it_is_applied_and_undone(machine: Served) -> None:
    found = everything(machine)
    result = machine.begin(
        policy(SSH), transport="ssh", ssh=f"10.64.9.8 51234 {SERVER}", lockout_guard=False, confirm_within=LONG
    )
    machine.runs.undo_now()
    assert everything(machine) == found
    answer = machine.confirm(token_of(result))
    assert (answer["status"], answer["seconds"], answer["client"]) == ("reverted", LONG, "10.64.9.8")
    assert answer["advice"].startswith("Ansible connects from 10.64.9.8 to 22/tcp of this host, ")


def test_a_connection_that_cannot_be_seen_is_warned_of(machine: Served) -> None:
    for transport in ("ssh", "ansible.netcommon.libssh"):
        result = machine.begin(policy(SSH), transport=transport, prefix=OVER_NOTHING, check=True)
        assert warnings_of(result) == [
            "Cannot determine from which address Ansible connects to this host: no process above the module has "
            "SSH_CONNECTION. The policy was not checked against this connection. The host still undoes the change "
            "unless a "
            "new connection confirms it."
        ]


def test_a_connection_that_is_no_ssh_is_let_be(machine: Served) -> None:
    for transport in ("containers.podman.podman", ""):
        result = machine.begin(policy(SSH), transport=transport, ssh=f"10.64.9.8 51234 {SERVER}", check=True)
        assert not result.get("failed") and warnings_of(result) == []


# ---- Ansible on the host itself


def test_on_the_host_itself_the_ssh_connection_above_is_guarded(machine: Served) -> None:
    """A module that is started, with a login and sudo above it."""
    found = everything(machine)
    result = machine.begin(policy(SSH), transport="local", prefix=over_sudo(f"10.64.9.8 51234 {SERVER}"))
    assert "from 10.64.9.8 to 22/tcp of this host" in result["msg"] and result["client"] == "10.64.9.8"
    assert everything(machine) == found


def test_on_the_host_itself_the_same_session_confirms(machine: Served) -> None:
    result = machine.begin(policy(SSH), transport="local", prefix=over_sudo(ARMED_FROM), confirm_within=LONG)
    assert [text for text in warnings_of(result) if "10.64.9.9" in text]
    assert answer_of(confirm_over(machine, token_of(result), over_sudo(ARMED_FROM))) == ("confirmed", "", True)
    assert in_place(machine)


def test_on_the_host_itself_with_no_ssh_above_nothing_is_proved(machine: Served) -> None:
    result = machine.begin(policy(SSH), transport="local", prefix=OVER_NOTHING, confirm_within=LONG)
    assert [text for text in warnings_of(result) if text.startswith("Nothing proves")]
    assert answer_of(confirm_over(machine, token_of(result), OVER_NOTHING)) == ("confirmed", "", True)


# ---- where nothing can be armed

UNARMED: dict[str, tuple[str, str]] = {
    "a file in the way": ("touch /run/hpc-ports", "Cannot write /run/hpc-ports: File exists."),
    "read-only": (
        "mkdir /run/hpc-ports; mount -t tmpfs -o ro tmpfs /run/hpc-ports",
        "Cannot write /run/hpc-ports/lock: Read-only file system.",
    ),
    "full": (
        "mkdir /run/hpc-ports; mount -t tmpfs -o size=4k tmpfs /run/hpc-ports",
        r"Cannot write /run/hpc-ports/[0-9a-f]{32}/[a-z.]+: No space left on device.",
    ),
}


@pytest.mark.parametrize("case", UNARMED)
def test_nothing_is_changed_where_no_way_back_can_be_kept(machine: Served, case: str) -> None:
    program, message = UNARMED[case]
    machine.apply()
    machine.host.shell(f"rm -r /run/hpc-ports; {program}")
    check_unchanged(machine, f"{message} {KEPT}")


def check_unchanged(machine: Served, message: str) -> None:
    found = everything(machine)
    result = machine.begin(OTHER)
    assert result["failed"]
    assert re.fullmatch(message, result["msg"]), result["msg"]
    assert everything(machine) == found


def test_nothing_is_changed_where_no_clock_can_be_started(machine: Served) -> None:
    machine.apply()
    machine.program("systemd-run", "echo 'Failed to connect to bus: No such file or directory' >&2; exit 1")
    check_unchanged(
        machine,
        f"'systemd-run .*' failed with exit code 1: Failed to connect to bus: No such file or directory. {KEPT}",
    )
    machine.program("systemd-run", "exit 0")
    assert machine.apply(OTHER)["changed"]
