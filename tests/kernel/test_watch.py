# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flushes our table while the watch runs, on a host with a systemd that starts that one unit for real."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch_program
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    ruleset_beside_firewalld,
    script_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.watch import LINK, PROGRAM, SERVICE, UNIT
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import staged_path
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.support.machine import PROGRAMS, RULESET, SYSTEMCTL, Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.run import SEED, examples, scaled
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE, SSH, WEB, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until

OTHER = policy(SSH, WEB)
JOURNAL = "/run/journal"
# What the host promises, seconds.
GONE_AT_MOST = 2
# A file such as Debian's: others' rules come and go with it.
CONF = "flush ruleset\ntable inet filter {\nchain input { type filter hook input priority filter; }\n}\n"
OLD = "flush ruleset\ntable inet hpc_ports {\nchain input { type filter hook input priority filter; accept; }\n}\n"
_STARTS_THE_WATCH = f"""
end() {{ pkill -F /run/watch.pid 2> /dev/null; while pkill -0 -F /run/watch.pid 2> /dev/null; do sleep 0.01; done; }}
case "$*" in
  "restart {SERVICE}")
    end
    setsid $(sed -n 's/^ExecStart=//p' {UNIT}) >> {JOURNAL} 2>&1 < /dev/null &
    echo $! > /run/watch.pid
    until [ -e /run/hpc-ports/watch ] && ! flock -n /run/hpc-ports/watch true; do sleep 0.01; done ;;
  "stop {SERVICE}") end ;;
esac
"""
START, STOP = f"{PROGRAMS}/systemctl restart {SERVICE}", f"{PROGRAMS}/systemctl stop {SERVICE}"


@pytest.fixture(name="host")
def _host(pair: Pair) -> Iterator[Machine]:
    """A host whose watch runs, with the rules of the sample."""
    machine = Machine(pair)
    machine.program("systemctl", _STARTS_THE_WATCH + SYSTEMCTL)
    result = machine.apply(watch=True)
    assert result.get("changed"), result
    yield machine
    machine.host.shell(STOP)


def runs(machine: Machine) -> bool:
    """Return whether the program exists."""
    return machine.host.run("pkill", "-0", "-F", "/run/watch.pid", check=False).returncode == 0


def has_rules(machine: Machine) -> bool:
    with machine.host.entered():
        return watch_program.are_loaded(watch_program.NFTABLES)


def journal(machine: Machine) -> str:
    return machine.host.shell(f"cat {JOURNAL}")


def undo(machine: Machine) -> None:
    """Have the host undo the change that is armed, as its clock will; do nothing where there is none."""
    machine.host.shell("[ ! -e /run/hpc-ports/armed ] || sh /run/hpc-ports/armed/revert now")


@contextmanager
def never_open_for_long(machine: Machine) -> Iterator[None]:
    """See that the host is never without its rules for longer than it promises."""
    longest, done, ended = [0.0], threading.Event(), threading.Event()

    def look() -> None:
        with machine.host.entered():
            last = time.monotonic()
            while not done.wait(0.01):
                now = time.monotonic()
                last = now if watch_program.are_loaded(watch_program.NFTABLES) else last
                longest[0] = max(longest[0], now - last)
        ended.set()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    # A look that fails ends the thread, and nothing was measured.
    assert ended.is_set() and longest[0] <= scaled(GONE_AT_MOST), longest


FLUSHES = (
    "nft flush ruleset",
    "nft delete table inet hpc_ports",
    f"printf '{CONF}' | nft -f -",
    "nft 'flush table inet hpc_ports; delete map inet hpc_ports in_tcp; delete chain inet hpc_ports input'",
    "nft flush table inet hpc_ports",
    "nft flush chain inet hpc_ports input",
    "nft flush chain inet hpc_ports prerouting",
    "nft flush chain inet hpc_ports arriving",
    # What `nft list ruleset` has once written, with another ruleset of ours, and one that ours does not fit into.
    f"printf '{OLD}' | nft -f -",
    f"printf '{OLD.replace('filter; accept', '7; accept')}' | nft -f -",
)


def test_what_is_flushed_is_put_back(host: Machine) -> None:
    before = host.objects()
    for how in FLUSHES:
        host.host.shell(f": > {JOURNAL}")
        with never_open_for_long(host):
            host.host.shell(how.replace("\n", "\\n"))
            wait_until(lambda: "Loaded" in journal(host))
        assert host.objects() == before, how
        said = [line for line in journal(host).splitlines() if line.startswith("<")]
        assert said[0].startswith("<4>The table inet hpc_ports is gone. nft (process "), how
        assert said[1] == f"<4>Loaded {RULESET} again."
    # What the watch loads is what a run loads: nothing is left to do.
    assert not host.begin(watch=True)["changed"]


CONTAINERS = policy(SSH, WEB, egress="restricted", filtered=("docker*",))


@pytest.mark.parametrize("chain", ["translated", "output", "forward", "entering", "leaving", "serving"])
def test_a_chain_that_judges_only_some_packets_is_put_back(host: Machine, chain: str) -> None:
    assert host.apply(CONTAINERS, watch=True)["changed"]
    before = host.objects()
    host.host.shell(f"nft flush chain inet hpc_ports {chain}")
    wait_until(lambda: "Loaded" in journal(host))
    assert host.objects() == before
    # A policy without forwarded packets has no such chains, and lacks none.
    assert host.apply(SAMPLE, watch=True)["changed"]
    assert not host.begin(watch=True)["changed"]
    assert journal(host).count("is gone") == 1


def test_the_chains_of_an_unconfirmed_change_are_put_back(host: Machine) -> None:
    """Those that only the confirmed rules have are not missing, and those that only the new rules have are."""
    result = host.begin(CONTAINERS, watch=True, confirm_within=scaled(60))
    wanted = host.objects()
    host.nft("flush chain inet hpc_ports forward\n")
    wait_until(lambda: "Loaded" in journal(host))
    assert host.objects() == wanted
    host.confirm(result["pending"]["token"])
    result = host.begin(OTHER, watch=True, confirm_within=scaled(60))
    wanted = host.objects()
    host.nft("flush chain inet hpc_ports arriving\n")
    wait_until(lambda: journal(host).count("Loaded") == 2)
    assert host.objects() == wanted
    assert host.confirm(result["pending"]["token"])["status"] == "confirmed"


def test_the_chains_beside_firewalld_are_put_back(pair: Pair, tmp_path: Path) -> None:
    """Each of them: firewalld accepts what it would let through, or judges it by other rules."""
    ruleset = ruleset_beside_firewalld(parse_policy(CONTAINERS))
    names = [name for name in ruleset.chains if not name.startswith(("in_", "out_"))]
    assert len(names) == 8
    paths = [tmp_path / name for name in watch_program.WatchedHost._fields]
    watched = watch_program.WatchedHost(*map(str, paths))
    Path(watched.published).write_text(script_of(ruleset), encoding="utf-8")
    # Its policy is there, and firewalld has its rules.
    Path(watched.policy).touch()
    chains = "".join(f"chain {chain.decode()} {{\naccept\n}}\n" for _table, chain in watch_program.FIREWALLD)
    with pair.host.entered():
        kernel.load(f"table inet firewalld {{\n{chains}}}\n")
        kernel.load(script_of(ruleset))
        before = kernel.running_state(table=ruleset.table)
        for name in names:
            kernel.load(f"flush chain {ruleset.table} {name}\n")
            watch_program.put_back(watched, watch_program.Loss())
            assert kernel.running_state(table=ruleset.table) == before, name


def test_without_the_folder_of_the_changes(host: Machine) -> None:
    before = host.objects()
    host.host.shell("rm -r /run/hpc-ports; nft flush ruleset")
    wait_until(lambda: "Loaded" in journal(host))
    assert host.objects() == before
    # Nothing tells any more that the watch runs: another one is started.
    assert host.apply(watch=True)["changed"]
    assert not host.begin(watch=True)["changed"]


def test_tables_of_others_come_and_go(host: Machine) -> None:
    host.nft("table inet filter {\nchain input { type filter hook input priority 0; }\n}\n")
    host.nft("delete table inet filter\n")
    host.nft("add table ip hpc_ports_not\ndelete table ip hpc_ports_not\n")
    host.nft("flush ruleset\n")
    wait_until(lambda: "Loaded" in journal(host))
    assert journal(host).count("Loaded") == 1


def test_a_removal_is_not_undone(host: Machine) -> None:
    files = host.files()
    assert {PROGRAM, UNIT, LINK} <= set(files)
    assert host.remove()["changed"]
    assert not runs(host) and not has_rules(host)
    assert not [path for path in host.files() if "hpc-ports" in path]
    assert journal(host) == ""


def test_a_change_that_awaits_its_confirmation_stays_and_is_confirmed(host: Machine) -> None:
    result = host.begin(OTHER, watch=True, confirm_within=scaled(60))
    wanted = host.objects()
    host.nft("flush ruleset\n")
    wait_until(lambda: "Loaded" in journal(host))
    assert host.objects() == wanted
    assert host.confirm(result["pending"]["token"])["status"] == "confirmed"
    host.nft("flush ruleset\n")
    wait_until(lambda: journal(host).count("Loaded") == 2)
    assert host.objects() == wanted


def test_a_change_that_is_not_confirmed_is_undone(host: Machine) -> None:
    before = host.objects()
    host.begin(OTHER, watch=True, confirm_within=scaled(60))
    host.nft("flush ruleset\n")
    wait_until(lambda: "Loaded" in journal(host))
    undo(host)
    assert host.objects() == before
    assert not host.begin(watch=True)["changed"]


def test_flushes_at_any_moment(host: Machine) -> None:
    """Also while a change is made, unconfirmed, and being confirmed; such a change may fail, but never open."""
    randomness = random.Random(SEED)
    wanted = [SAMPLE, OTHER]
    flusher = threading.Event()

    def flush(times: int) -> None:
        for _time in range(times):
            flusher.wait(randomness.random() * 0.3)
            host.nft("flush ruleset\n")

    with never_open_for_long(host):
        for number in range(examples(20)):
            thread = threading.Thread(target=flush, args=(5,))
            thread.start()
            result = host.begin(wanted[number % 2], watch=True, confirm_within=scaled(60))
            if "pending" in result:
                answer = host.confirm(result["pending"]["token"])
                if answer.get("status") != "confirmed":
                    undo(host)
            thread.join()
    wait_until(lambda: has_rules(host))
    host.apply(SAMPLE, watch=True)
    assert not host.begin(watch=True)["changed"]


def test_a_host_that_comes_up_without_rules_gets_them(host: Machine) -> None:
    before = host.objects()
    host.host.shell(f"{STOP}; nft flush ruleset; {START}")
    wait_until(lambda: "Loaded" in journal(host))
    assert host.objects() == before
    assert journal(host).splitlines()[0] == "<4>The table inet hpc_ports is gone."


def test_a_ruleset_that_does_not_load_is_said_and_tried_again(host: Machine) -> None:
    good = host.path(RULESET).read_text(encoding="utf-8")
    for bad in ("nonsense\n", ""):
        host.host.shell(f": > {JOURNAL}")
        host.path(RULESET).write_text(bad, encoding="utf-8")
        host.nft("flush ruleset\n")
        wait_until(lambda: "this host has none" in journal(host))
        assert journal(host).splitlines()[-1] == (
            f"<3>[Errno 5] nft cannot load our rules from it, and this host has none: '{RULESET}'"
        )
        host.path(RULESET).write_text(good, encoding="utf-8")
        wait_until(lambda: has_rules(host))


def test_a_host_without_its_ruleset_is_closed_until_it_has_one(host: Machine) -> None:
    assert host.apply(watch=True, boot_failure="closed")["changed"]
    good = host.path(RULESET).read_text(encoding="utf-8")
    host.host.shell(f"rm {RULESET}; nft flush ruleset")
    wait_until(lambda: "Loaded /etc/hpc-ports/closed.nft" in journal(host))
    assert "no rules of ours and no file that has them" in journal(host)
    assert "in_management_ssh" in host.host.shell("nft list table inet hpc_ports")
    assert "in_web" not in host.host.shell("nft list table inet hpc_ports")
    host.path(RULESET).write_text(good, encoding="utf-8")
    wait_until(lambda: "in_web" in host.host.shell("nft list table inet hpc_ports"))


def test_a_file_without_rules_is_not_taken_for_loaded_where_the_host_is_closed(host: Machine) -> None:
    assert host.apply(watch=True, boot_failure="closed")["changed"]
    host.path(RULESET).write_text("# cut off\n", encoding="utf-8")
    host.nft("flush ruleset\n")
    wait_until(lambda: journal(host).count("this host has none") == 2)
    assert f"Loaded {RULESET}" not in journal(host)
    assert "in_management_ssh" in host.host.shell("nft list table inet hpc_ports")


@pytest.mark.parametrize("how", [STOP, f"echo >> {PROGRAM}; rm {LINK}"])
def test_a_watch_that_does_not_run_as_it_should_is_drift(host: Machine, how: str) -> None:
    host.host.shell(how)
    assert host.begin(watch=True, check=True)["changed"]
    assert host.apply(watch=True)["changed"]
    assert runs(host) and not host.begin(watch=True)["changed"]


def test_without_the_watch_it_goes(host: Machine) -> None:
    before = host.objects()
    assert host.apply(watch=False)["changed"]
    assert not runs(host) and host.objects() == before
    assert not [path for path in host.files() if "watch" in path]
    assert not host.begin(watch=False)["changed"]


def test_without_the_watch_what_a_killed_run_staged_of_it_is_removed(host: Machine) -> None:
    staged = [staged_path(path) for path in (PROGRAM, UNIT, LINK)]
    assert host.apply(watch=False)["changed"]
    host.host.shell("".join(f"mkdir -p $(dirname {path}); touch {path};" for path in staged))
    assert host.apply(watch=False)["changed"]
    assert host.host.shell(f"ls -d {' '.join(staged)} 2> /dev/null || :") == ""
    assert not host.apply(watch=False)["changed"]
