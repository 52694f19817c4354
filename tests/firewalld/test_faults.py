# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/kernel/test_faults.py asks of nftables, asked of firewalld.

Killed or failing at any moment, a run leaves the old or the new policies, or what is between them where firewalld is
changed by calls: there whatever both allow passes, and nothing that neither allows. Our table beside the policies is
as of either, or what is between, whatever the policies are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import LONG as SHARED_FROM
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, FirewalldMachine
from ansible_collections.hpc.ports.tests.support.faults import Fault, Run, State
from ansible_collections.hpc.ports.tests.support.killed import (
    ARMING,
    ERRORS,
    LONG,
    Known,
    Moments,
    Policy,
    check_failed_changes,
    check_killed_changes,
    check_killed_confirmations,
    check_killed_first_changes,
    check_killed_removals,
    check_message,
)
from ansible_collections.hpc.ports.tests.support.messages import KEPT
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.packets import Opening
from ansible_collections.hpc.ports.tests.support.run import SEED, examples, scaled
from ansible_collections.hpc.ports.tests.support.runs import Runs
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# From one to the other by calls: ports and peers of both flows change; RENAMED needs a reload.
OLD_RULES = (
    ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24", "10.64.2.1/32")),
    ("in", "web", ["443/tcp", "8443/tcp"], ("10.64.0.0/24",)),
)
OLD = policy(SSH, *OLD_RULES)
NEW = policy(
    SSH,
    ("in", "nfs", ["2049/tcp", "111/udp"], ("10.64.0.0/24", "10.64.3.0/24")),
    ("in", "web", ["8443/tcp"], ("10.64.2.0/24",)),
)
# Flows that share ipsets, then one has other peers: the ipsets of both change, and which ones are looked up.
FILL = tuple(f"10.7{number // 250}.{number % 250}.0/25" for number in range(SHARED_FROM))
TOGETHER = policy(
    SSH,
    ("in", "nfs", ["2049/tcp"], (*FILL, "10.64.0.0/24", "10.64.2.1/32")),
    ("in", "web", ["443/tcp", "8443/tcp"], (*FILL, "10.64.0.0/24", "10.64.2.1/32")),
)
PARTED = policy(
    SSH,
    ("in", "nfs", ["2049/tcp", "111/udp"], (*FILL, "10.64.0.0/24", "10.64.3.0/24")),
    ("in", "web", ["443/tcp", "8443/tcp"], (*FILL, "10.64.0.0/24", "10.64.2.1/32")),
)
RENAMED = policy(SSH, ("in", "other", ["2049/tcp", "443/tcp"], ("10.64.0.0/24",)), egress="restricted")
# A packet from each network, to each port.
PACKETS = [
    Opening(protocol, source, HOST[4], port, 40_000 + number)
    for number, (source, (port, protocol)) in enumerate(
        product(
            ("10.64.9.9", "10.64.0.7", "10.64.2.1", "10.64.2.9", "10.64.3.9", "10.65.0.1"),
            ((22, "tcp"), (2049, "tcp"), (111, "udp"), (443, "tcp"), (8443, "tcp"), (9, "tcp")),
        )
    )
]
UNIT = "/etc/systemd/system/hpc-ports-undo.service"
SCRIPT = "/etc/hpc-ports/undo/run"
LINK = "/etc/systemd/system/sysinit.target.wants/hpc-ports-undo.service"
# What only reads: killed there, a run has done nothing more than at the operation before.
_READS = re.compile(r"start (systemctl is-|nft -s list|busctl .*( get-property | get\w+| query\w+| check\w+))")


class KnownByFirewalld(Known):
    """The states of a host with firewalld, seen once for all tests; what passes is seen by packets, too."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon.runs)
        self.daemon, self.by_calls = daemon, False
        self.passing: list[tuple[Policy | None, set[Opening]]] = []
        self.booted: dict[str, str] = {}
        self.turns = 0

    def begin(self, *policies: Policy | None, by_calls: bool = False) -> KnownByFirewalld:
        """Have the states of these policies known; the host has the last of them then."""
        # Another one runs modules after a boot.
        self.runs = self.daemon.runs
        self.by_calls, self.turns = by_calls, 0
        for wanted in policies:
            if not any(one is wanted for one, _state in self.states):
                self.add(wanted)
        self.runs.apply(policies[-1])
        return self

    def answered(self) -> set[Opening]:
        """Return what passes now."""
        return self.daemon.wires.inward.answered(PACKETS)

    def add(self, wanted: Policy | None) -> None:
        """Give the host this policy, and see its state, and what passes."""
        super().add(wanted)
        self.passing.append((wanted, self.answered()))

    def passes(self, wanted: Policy | None) -> set[Opening]:
        """Return what passes where this policy runs."""
        (found,) = [packets for one, packets in self.passing if one is wanted]
        return found

    def check_whole(self, before: Policy | None, after: Policy | None, run: Run) -> State:
        """The kernel has what one of the two gives, or what is between; a boot finds each file as one of them has."""
        found, one, other = self.runs.state(asks_firewalld=False), self.of(before), self.of(after)
        policies, table = zip(*map(_parts, (found, one, other)))
        assert policies[0] in policies[1:] or self.by_calls, run
        assert table[0] in (*table[1:], table[1] | _idle(table[2], table[1]), table[2] | _idle(table[1], table[2])), run
        passing, ends = self.answered(), (self.passes(before), self.passes(after))
        assert ends[0] & ends[1] <= passing <= ends[0] | ends[1], run
        self.booted = _confirmed(self.runs.state(self.daemon.machine.boot_elsewhere(), asks_firewalld=False))
        for path in {**one.files, **other.files, **self.booted}:
            assert self.booted.get(path) in (one.files.get(path), other.files.get(path)), (path, run)
        return found

    def check_disk(self, before: Policy | None, current: State, run: Run) -> None:
        """A boot finds the files as they were confirmed last."""
        assert self.booted == self.of(before).files, run

    def is_to_be_mended(self, before: Policy | None, current: State) -> bool:
        """Return whether a normal run is next: only some are, as each takes seconds."""
        self.turns += 1
        return super().is_to_be_mended(before, current) and self.turns % 4 == 0


def _parts(state: State) -> tuple[set[str], set[str]]:
    """Return the objects of firewalld, and the ones of our table."""
    published = {text for text in state.table if text.startswith("published ")}
    return set(state.table) - published, published


def _idle(objects: set[str], others: set[str]) -> set[str]:
    """Return the objects that the others have none of the name of, but for base chains."""
    named = {text.split("\n")[0] for text in others}
    return {text for text in objects if text.split("\n")[0] not in named and " hook " not in text}


def _confirmed(state: State) -> dict[str, str]:
    """Return the files without those that wait, and without what an undo has not begun to use or is done with."""
    if {UNIT, LINK, SCRIPT} <= set(state.files):
        raise AssertionError("The boot has put nothing back.")
    return {
        path: text
        for path, text in state.places.items()
        if path not in (UNIT, LINK) and not path.startswith("/etc/hpc-ports/undo/")
    }


def moments_of(usual: int) -> Moments:
    """Return moments: one run that gets through, then some with faults at operations all along it, others each day.

    `usual` is how many at an effort of 1; with HPC_PORTS_EFFORT=100 every operation has its fault.
    """
    count = examples(usual)

    def moments(attempt: Callable[[Fault], Run]) -> Iterator[Run]:
        run = _got_through(attempt)
        yield run
        faults = list(_faults(run.operations))
        chosen = random.Random(SEED).sample(faults, min(count, len(faults)))
        hits = 0
        for fault in sorted(chosen):
            run = attempt(fault)
            hits += bool(run.hit)
            yield run
        # The way back has fewer operations, or others.
        assert hits >= 0.6 * len(chosen) - 1

    return moments


def _got_through(attempt: Callable[[Fault], Run]) -> Run:
    run = attempt(Fault(1_000_000, "before"))
    assert run.result and not run.result.get("failed"), run
    return run


def failures_of(count: int) -> Moments:
    """Return moments: one run that gets through, then so many of each kind that fail at a write, at others each day."""

    def moments(attempt: Callable[[Fault], Run]) -> Iterator[Run]:
        run = _got_through(attempt)
        yield run
        writes = sum(" /etc/" in text or " /run/" in text for text in run.operations if not text.startswith("start "))
        for how in ERRORS:
            for at in sorted(random.Random(f"{SEED}{how}").sample(range(1, writes + 1), min(writes, count))):
                run = attempt(Fault(at, how))
                check_message(run, how)
                yield run

    return moments


def _faults(operations: Iterable[str]) -> Iterator[Fault]:
    """Yield faults at all operations that do something; of the files of one folder that are staged, at those of one."""
    staged: dict[str, str] = {}
    for number, operation in enumerate(operations, 1):
        path = operation.split(" ")[1]
        folder, slash, name = path.rpartition("/")
        is_like_another = name.endswith((".new", ".now")) and staged.setdefault(folder + name[-4:], name) != name
        if _READS.match(operation) or is_like_another:
            continue
        yield Fault(number, "before")
        if operation.startswith(("write", "start")):
            yield Fault(number, "half way")


@pytest.fixture(scope="session")
def states(container: Daemon) -> KnownByFirewalld:
    """What is known of a host, for all tests."""
    return KnownByFirewalld(container)


@pytest.fixture
def known(daemon: Daemon, states: KnownByFirewalld) -> KnownByFirewalld:
    """What is known of a host that never had rules."""
    assert states.daemon is daemon
    return states


@pytest.fixture
def machine(daemon: Daemon) -> FirewalldMachine:
    """That host."""
    return daemon.machine


@pytest.mark.takes_turns
def test_a_change_by_calls_killed(known: KnownByFirewalld) -> None:
    check_killed_changes(known.begin(OLD, NEW, by_calls=True), NEW, OLD, moments_of(24))


@pytest.mark.takes_turns
def test_a_change_of_flows_that_share_ipsets_killed(known: KnownByFirewalld) -> None:
    check_killed_changes(known.begin(TOGETHER, PARTED, by_calls=True), PARTED, TOGETHER, moments_of(8))


@pytest.mark.takes_turns
def test_a_change_by_a_reload_killed(known: KnownByFirewalld) -> None:
    check_killed_changes(known.begin(OLD, RENAMED), RENAMED, OLD, moments_of(12))


@pytest.mark.takes_turns
def test_the_first_change_killed(known: KnownByFirewalld) -> None:
    check_killed_first_changes(known.begin(NEW, None), NEW, moments_of(4))


@pytest.mark.takes_turns
def test_a_removal_killed(known: KnownByFirewalld) -> None:
    check_killed_removals(known.begin(None, NEW), NEW, moments_of(4))


@pytest.mark.takes_turns
def test_a_confirmation_killed(known: KnownByFirewalld) -> None:
    check_killed_confirmations(known.begin(OLD, NEW, by_calls=True), NEW, OLD, moments_of(8))


@pytest.mark.takes_turns
@pytest.mark.parametrize("after", [NEW, RENAMED], ids=["by calls", "by a reload"])
def test_a_change_that_fails_at_a_write(known: KnownByFirewalld, after: Policy) -> None:
    check_failed_changes(known.begin(after, OLD, by_calls=after is NEW), OLD, after, failures_of(examples(3, 1)))


BUSCTL = r"""
case "$*" in *setEntries* | *setPolicySettings* | *" reload")
  echo x >> /run/programs/calls
  if [ "$(wc -l < /run/programs/calls)" -eq AT ]; then echo "Call failed: Connection reset by peer" >&2; exit 1; fi ;;
esac
exec /usr/bin/busctl "$@"
"""


@pytest.mark.takes_turns
@pytest.mark.parametrize("after, calls", [(NEW, 6), (RENAMED, 1)], ids=["by calls", "by a reload"])
def test_a_change_of_which_a_call_fails_is_undone(
    known: KnownByFirewalld, machine: FirewalldMachine, after: Policy, calls: int
) -> None:
    known.begin(OLD)
    for at in random.Random(SEED).sample(range(1, calls + 1), min(calls, examples(calls))):
        machine.host.shell("rm -f /run/programs/*")
        machine.program("busctl", BUSCTL.replace("AT", str(at)))
        run = known.runs.firewall(after, confirm_within=LONG)
        assert run.result and run.result.get("failed"), (at, run)
        assert run.result["msg"].startswith("'busctl ") and run.result["msg"].endswith(
            "failed with exit code 1: Call failed: Connection reset by peer. " + KEPT
        ), run.result["msg"]
        known.check_is(OLD, run)


# ---- policies that lock out, and hosts that go down

LETHAL = {
    "by calls": policy(("in", "management_ssh", ["22/tcp"], ("10.99.0.0/16",)), *OLD_RULES),
    "by a reload": policy(("in", "web", ["443/tcp"], ANYWHERE), egress="restricted"),
}


@pytest.mark.takes_turns
@pytest.mark.parametrize("way", LETHAL)
def test_a_policy_that_locks_out_is_undone_by_the_clock(
    known: KnownByFirewalld, machine: FirewalldMachine, way: str
) -> None:
    known.begin(OLD)
    run = known.runs.firewall(LETHAL[way], confirm_within=scaled(5), lockout_guard=False)
    assert run.result and "pending" in run.result, run
    ssh = next(packet for packet in PACKETS if (packet.source, packet.port) == ("10.64.9.9", 22))
    assert ssh in known.passes(OLD)
    # Where the clock was faster than this, it is open again.
    assert ssh not in known.answered() or not known.runs.state().armed
    machine.host.wait("[ ! -L /run/hpc-ports/armed ]")
    known.check_is(OLD, run)
    assert known.answered() == known.passes(OLD)
    assert known.runs.confirm(run.result["pending"]["token"]).result["status"] == "reverted"  # type: ignore[index]


@pytest.mark.takes_turns
@pytest.mark.parametrize("way", LETHAL)
def test_firewalld_killed_before_a_change_is_confirmed(known: KnownByFirewalld, daemon: Daemon, way: str) -> None:
    """It leaves its rules in the kernel; the undo starts it with what was confirmed last."""
    known.begin(OLD)
    run = known.runs.firewall(LETHAL[way], confirm_within=LONG, lockout_guard=False)
    assert run.result and "pending" in run.result, run
    daemon.host.shell("systemctl kill --signal=KILL firewalld")
    daemon.host.wait("systemctl is-failed --quiet firewalld")
    assert not any(packet.port == 9 for packet in known.answered())
    known.runs.undo_now()
    daemon.wait_for_firewalld()
    known.check_is(OLD, run)
    assert known.answered() == known.passes(OLD)


@pytest.mark.takes_turns
def test_a_boot_within_a_reload_brings_what_was_confirmed_last(daemon: Daemon, runs: Runs) -> None:
    runs.apply(OLD)
    before = runs.state()
    whole = runs.firewall(RENAMED, confirm_within=LONG)
    runs.undo_now()
    # So that the next run has nothing more to do.
    daemon.host.shell("rm -r /run/hpc-ports")
    armed = whole.operations[whole.operations.index(ARMING) + 1 :]
    (at,) = [number for number, text in enumerate(armed, 1) if text.endswith(" reload")]
    assert runs.firewall(RENAMED, Fault(at, "half way", ARMING), confirm_within=LONG).result is None
    assert UNIT in runs.state().files and runs.state().table != before.table
    daemon.boot()
    daemon.wait_for_firewalld()
    found = daemon.runs.state()
    assert (found.table, found.firewalld, found.places) == (before.table, before.firewalld, before.places)
    assert daemon.runs.apply(RENAMED)["changed"] and not daemon.runs.apply(RENAMED)["changed"]
