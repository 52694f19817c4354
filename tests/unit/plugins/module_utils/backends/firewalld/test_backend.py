# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes with a fake firewalld, and how the host undoes them; tests/firewalld uses real ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, NothingMade, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import backend, kept_files, persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.backend import (
    ByCalls,
    ByReload,
    Removal,
    absent_change,
    present_change,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import abilities_of, config_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.published import Both
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.running import running_state
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.steps import Runtime
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import backend as nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.backend import ByTransactions
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import ruleset_beside_firewalld
from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State
from ansible_collections.hpc.ports.tests.support.fake_firewalld import (
    RULES,
    FakeFirewalld,
    listed_policy,
    listing,
    variants,
)

VERSION = "1.3.3"
LISTING = listing(VERSION)
WEB, DNS = RULES
# The same flows for another peer, as the kernel would list them.
OTHER_PEER = ((*WEB[:3], ("10.64.0.0/24", "10.64.2.2/32", "::/0")), DNS)
OTHER_LISTING = LISTING.replace("10.64.2.1 }", "10.64.2.2 }")
MORE = (*RULES, ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24",)))
IPSET = "hpc_ports_in_web_4"
RULES_NOT_OURS = 'rule port port="23" protocol="tcp" log accept'


def config(rules: Any = RULES) -> Any:
    return config_of(parse_policy(listed_policy(VERSION, rules)), abilities_of((1, 3, 3)))


@pytest.fixture(name="firewalld")
def _firewalld(tmp_path: Path) -> FakeFirewalld:
    """One that has the policy of the listing, in the kernel and in its files."""
    (tmp_path / "etc").mkdir()
    found = FakeFirewalld(tmp_path / "etc")
    found.table = found.next_table = LISTING
    found.has(config())
    for path, item in persistence.items_of(config(), found.paths).items():
        Path(path).write_text(item.text, encoding="utf-8")
    for path, item in published_files(found).items():
        files.write(path, item)
    return found


def published_files(firewalld: FakeFirewalld, rules: Any = RULES) -> files.FileContents:
    ruleset = ruleset_beside_firewalld(parse_policy(listed_policy(VERSION, rules)))
    return firewalld.handed_in.published.files(ruleset, firewalld.paths)


def change_to(firewalld: FakeFirewalld, rules: Any) -> Change:
    return present_change(parse_policy(listed_policy(VERSION, rules)), firewalld=firewalld.handed_in)


def by_calls(firewalld: FakeFirewalld, rules: Any = OTHER_PEER) -> ByCalls:
    way = change_to(firewalld, rules).procedure
    assert isinstance(way, ByCalls)
    return way


def by_reload(firewalld: FakeFirewalld, rules: Any = MORE) -> ByReload:
    way = change_to(firewalld, rules).procedure
    assert isinstance(way, ByReload)
    return way


def remove_what_is_kept(firewalld: FakeFirewalld) -> None:
    for path in persistence.present_paths(firewalld.paths):
        if path not in firewalld.paths.published.files()[1:]:
            files.unlink(path)


def our_files(firewalld: FakeFirewalld) -> State:
    return persistence.present_state(firewalld.paths)


# ---- which way


def test_what_runs_and_is_saved_needs_no_change(firewalld: FakeFirewalld) -> None:
    change = change_to(firewalld, RULES)
    assert (change.is_needed, change.procedure, change.places.gone) == (False, None, ())
    assert change.views[0] == change.views[1] != {}


def test_observe_mode_takes_policies_and_ipsets_away_by_a_reload(firewalld: FakeFirewalld) -> None:
    wanted = parse_policy({**listed_policy(VERSION), "mode": "observe"})
    change = present_change(wanted, firewalld=firewalld.handed_in)
    assert isinstance(change.procedure, ByReload)
    assert (change.procedure.items, change.wanted) == ({}, {})
    assert set(persistence.items_of(config(), firewalld.paths)) <= set(change.places.gone)
    assert set(change.wanted_files) == set(firewalld.paths.published.files())


def test_files_alone_need_no_way(firewalld: FakeFirewalld) -> None:
    Path(firewalld.paths.policies, "hpc_ports_in.xml").unlink()
    Path(firewalld.paths.policies, "hpc_ports_old.xml").touch()
    change = change_to(firewalld, RULES)
    assert (change.is_needed, change.procedure) == (True, None)
    assert change.places.gone == (f"{firewalld.paths.policies}/hpc_ports_old.xml",)


def test_other_peers_come_by_calls(firewalld: FakeFirewalld) -> None:
    change = change_to(firewalld, OTHER_PEER)
    assert isinstance(change.procedure, ByCalls)
    assert change.views[0]["in_web"].addresses ^ change.views[1]["in_web"].addresses == {"10.64.2.1", "10.64.2.2"}


def test_other_ports_come_by_calls(firewalld: FakeFirewalld) -> None:
    assert by_calls(firewalld, (("in", "web", ["80/tcp"], WEB[3]), DNS))


NETWORKS = {"docker*": ("10.88.0.0/16",), "podman*": ("10.89.0.0/16",)}


def change_with_networks(firewalld: FakeFirewalld, *names: str) -> Change:
    """Return the change on a host that has these of the networks."""
    wanted = {**listed_policy(VERSION), "container_interfaces": ["docker*"], "filtered_containers": ["podman*"]}
    handed_in = firewalld.handed_in._replace(
        container_networks=lambda patterns: tuple(
            ip_network(text) for name in patterns if name in names for text in NETWORKS[name]
        )
    )
    return present_change(parse_policy(wanted), firewalld=handed_in)


def test_networks_of_containers_come_and_go_by_calls_and_are_no_flows(firewalld: FakeFirewalld) -> None:
    change = change_with_networks(firewalld, *NETWORKS)
    way = change.procedure
    assert isinstance(way, ByCalls) and change.views[0] == change.views[1]
    new = {name: set(rules) - set(way.old.rules[name]) for name, rules in way.new.rules.items()}
    assert {name: len(rules) for name, rules in new.items()} == {"hpc_ports_in": 4, "hpc_ports_out": 1}
    files.stage(change.places, change.wanted_files)
    files.commit(change.places)
    for name, rules in new.items():
        chain = f"chain filter_{'IN' if name.endswith('in') else 'OUT'}_policy_{name}_allow {{\n"
        lines = change.wanted["policy " + name]
        added = [line for line in lines if line not in change.running["policy " + name]]
        assert len(added) == len(rules)
        firewalld.table = firewalld.table.replace(chain, chain + "".join(f"\t\t{line}\n" for line in added))
        firewalld.replies[f"getPolicySettings {name}"] = variants({"rich_rules": way.new.rules[name]})
    assert not change_with_networks(firewalld, *NETWORKS).is_needed
    for names in (("docker*",), ()):
        change = change_with_networks(firewalld, *names)
        assert isinstance(change.procedure, ByCalls) and change.views[0] == change.views[1]


def test_a_new_flow_comes_by_a_reload(firewalld: FakeFirewalld) -> None:
    assert by_reload(firewalld)


@pytest.mark.parametrize("believed", [OTHER_PEER, (("in", "web", ["443/tcp"], WEB[3]), DNS)], ids=["entries", "rules"])
def test_what_firewalld_does_not_know_comes_by_a_reload(firewalld: FakeFirewalld, believed: Any) -> None:
    """By calls it would add to what it believes, and the kernel has something else."""
    firewalld.has(config(believed))
    assert by_reload(firewalld, OTHER_PEER)


def test_what_somebody_changed_in_an_ipset_of_no_flow_comes_by_a_reload(firewalld: FakeFirewalld) -> None:
    firewalld.table = LISTING.replace("0.0.0.0/1 . 17 . 67", "10.0.0.0/8 . 17 . 67")
    assert by_reload(firewalld, RULES)


def test_a_rule_of_somebody_else_in_our_policy_goes_by_calls(firewalld: FakeFirewalld) -> None:
    found = config()
    chain = "chain filter_IN_policy_hpc_ports_in_allow {\n"
    assert chain in LISTING
    firewalld.table = LISTING.replace(chain, chain + "\t\ttcp dport 23 ct state new log accept\n")
    rules = [rule.text() for rule in found.policies["hpc_ports_in"].rules]
    firewalld.replies["getPolicySettings hpc_ports_in"] = variants({"rich_rules": [*rules, RULES_NOT_OURS]})
    way = by_calls(firewalld, RULES)
    assert RULES_NOT_OURS in way.old.rules["hpc_ports_in"] and RULES_NOT_OURS not in way.new.rules["hpc_ports_in"]


@pytest.mark.parametrize("count,is_possible", [(1000, True), (100_000, False)])
@pytest.mark.parametrize("forwards", [True, False])
def test_a_command_has_an_end(firewalld: FakeFirewalld, count: int, is_possible: bool, forwards: bool) -> None:
    few, many = (Runtime({}, {"xa": entries, "xb": entries}) for entries in ([], ["10.0.0.0/25"] * count))
    old, new = (few, many) if forwards else (many, few)
    assert ByCalls(old, new, {}, firewalld.handed_in).is_possible() == is_possible


def test_a_reload_that_would_lose_something_is_refused(firewalld: FakeFirewalld) -> None:
    firewalld.replies.update({"getPolicies": ["mine"], "getPolicySettings mine": variants({"services": ["ssh"]})})
    firewalld.published = TABLE
    for change in (change_to(firewalld, MORE), absent_change(firewalld.handed_in)):
        assert isinstance(change.procedure, Both)
        with pytest.raises(RuntimeError, match="policy mine: services"):
            change.check()
    change_to(firewalld, OTHER_PEER).check()


# ---- by calls


def test_the_calls_are_made_phase_by_phase(firewalld: FakeFirewalld, tmp_path: Path) -> None:
    phases = []
    firewalld.watch = lambda change: phases.append((tmp_path / "phase").read_text(encoding="ascii"))
    way = by_calls(firewalld)
    firewalld.next_table = OTHER_LISTING
    way.make(str(tmp_path))
    assert list(zip(phases, firewalld.log)) == [("0", f"setEntries {IPSET}b"), ("1", f"setEntries {IPSET}a")]
    assert running_state(firewalld.handed_in.listing, lambda table: firewalld.published) == way.wanted
    assert firewalld.commands[-1][-4:] == [f"{IPSET}a", "2", "10.64.0.0/24", "10.64.2.2"]


def test_a_kernel_that_does_not_have_it_is_a_failure(firewalld: FakeFirewalld, tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=f"differ from the expected ones: ipset {IPSET}a, ipset {IPSET}b. The change was undone"
    ):
        by_calls(firewalld).make(str(tmp_path))


LOCKED = CommandError(["busctl"], 1, "Call failed: ACCESS_DENIED: lockdown is enabled")


def test_where_the_first_call_is_denied_nothing_was_made(firewalld: FakeFirewalld, tmp_path: Path) -> None:
    way = by_calls(firewalld)
    firewalld.replies[f"setEntries {IPSET}b"] = LOCKED
    with pytest.raises(NothingMade) as caught:
        way.make(str(tmp_path))
    assert str(caught.value) == (
        f"firewalld lockdown is enabled, and root is not on the allowlist: {LOCKED.output}. Nothing was "
        "changed. Add root (firewall-cmd --add-lockdown-whitelist-uid 0), or disable lockdown (firewall-cmd "
        "--lockdown-off)."
    )


@pytest.mark.parametrize("copy,failure", [("a", LOCKED), ("b", CommandError(["busctl"], 1, "no"))])
def test_a_later_call_that_is_denied_and_any_other_failure_is_undone(
    firewalld: FakeFirewalld, tmp_path: Path, copy: str, failure: CommandError
) -> None:
    way = by_calls(firewalld)
    firewalld.replies[f"setEntries {IPSET}{copy}"] = failure
    with pytest.raises(CommandError) as caught:
        way.make(str(tmp_path))
    assert caught.value is failure


# ---- by a reload


def test_the_files_are_there_only_while_they_are_read(firewalld: FakeFirewalld) -> None:
    way, before = by_reload(firewalld, RULES[:1]), our_files(firewalld)
    seen: list[State] = []
    firewalld.watch = lambda change: seen.append(our_files(firewalld))
    with pytest.raises(RuntimeError, match="differ from the expected ones"):
        way.make("")
    wanted = set(files.items_state(way.items))
    assert firewalld.log == ["reload"] and our_files(firewalld) == before
    assert {name for name in seen[0] if "/firewalld/" in name} == wanted < set(before)


def test_a_reload_that_gives_what_is_wanted(firewalld: FakeFirewalld) -> None:
    firewalld.table = OTHER_LISTING
    way = by_reload(firewalld, RULES)
    firewalld.next_table = LISTING
    way.make("")
    assert firewalld.log == ["reload"]


def test_a_reload_that_fails_leaves_the_old_files(firewalld: FakeFirewalld) -> None:
    way, before = by_reload(firewalld), our_files(firewalld)
    firewalld.replies["reload"] = CommandError(["busctl"], 1, "no")
    with pytest.raises(CommandError):
        way.make("")
    assert our_files(firewalld) == before


def test_without_its_table_it_is_started_anew(firewalld: FakeFirewalld) -> None:
    """A reload would fail."""
    firewalld.table = ""
    way = by_reload(firewalld, RULES)
    way.make("")
    assert firewalld.log == ["restart"]
    # It answers once it has loaded its files.
    assert firewalld.commands[-1][-1] == "state"


# ---- removal


def test_what_runs_goes_by_a_reload_once_the_files_are_gone(firewalld: FakeFirewalld) -> None:
    change = absent_change(firewalld.handed_in)
    assert (
        change.is_needed
        and change.wanted == {}
        and set(change.places.gone)
        == {*persistence.items_of(config(), firewalld.paths), *firewalld.paths.published.files()}
    )
    assert isinstance(change.procedure, Removal)
    with pytest.raises(RuntimeError, match="differ from the expected ones"):
        change.procedure.make("")
    firewalld.next_table = ""
    firewalld.table = LISTING
    change.procedure.make("")
    assert firewalld.log == ["reload", "reload"] and change.procedure.undo() == Undo(":", {})


@pytest.mark.parametrize(
    "is_active,knows,has_files,is_way",
    [(True, True, True, True), (True, False, True, False), (True, True, False, False), (False, True, True, False)],
)
def test_what_firewalld_knows_though_somebody_flushed_it_goes_too(
    firewalld: FakeFirewalld, is_active: bool, knows: bool, has_files: bool, is_way: bool
) -> None:
    firewalld.table, firewalld.is_active = "" if is_active else LISTING, is_active
    if not knows:
        firewalld.replies["getPolicies"] = ["mine"]
    if not has_files:
        files.remove(persistence.places({}, firewalld.paths))
    change = absent_change(firewalld.handed_in)
    assert (change.procedure is not None, change.running) == (is_way, {})


# ---- the table beside the policies

TABLE = {"chain prerouting": ("old",)}
NEW_TABLE = {"chain prerouting": ("new",)}
DELETE = "delete table inet hpc_ports_published\n"


def both(firewalld: FakeFirewalld) -> Both:
    firewalld.wanted_published = NEW_TABLE
    way = change_to(firewalld, OTHER_PEER).procedure
    assert isinstance(way, Both)
    return way


def test_a_table_that_differs_is_a_change_of_its_own(firewalld: FakeFirewalld) -> None:
    firewalld.published, firewalld.wanted_published = TABLE, NEW_TABLE
    change = change_to(firewalld, RULES)
    assert isinstance(change.procedure, ByTransactions) and change.procedure.table == "inet hpc_ports_published"
    assert change.described()["changes"]["objects"] == ["published chain prerouting"]
    assert running_state(firewalld.handed_in.listing, lambda table: firewalld.published) == change.running
    assert change.views[0] == change.views[1]


def test_the_table_changes_after_the_policies(
    firewalld: FakeFirewalld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = both(firewalld)
    monkeypatch.setattr(nftables.kernel, "load", firewalld.log.append)
    firewalld.next_table = OTHER_LISTING
    way.make(str(tmp_path))
    *calls, preparation, script = firewalld.log
    assert calls == [f"setEntries {IPSET}b", f"setEntries {IPSET}a"]
    rule = "add rule inet hpc_ports_published prerouting fib daddr type != local return\n"
    assert rule in script and rule not in preparation


def test_a_table_that_does_not_load_is_undone_with_the_policies(
    firewalld: FakeFirewalld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(script: str) -> None:
        raise CommandError(["nft", "-f", "-"], 1, "no")

    way = both(firewalld)
    monkeypatch.setattr(nftables.kernel, "load", refuse)
    firewalld.next_table = OTHER_LISTING
    with pytest.raises(RuntimeError, match="nft -f -") as caught:
        way.make(str(tmp_path))
    assert not isinstance(caught.value, NothingMade)


def test_where_the_policies_are_denied_the_table_stays(firewalld: FakeFirewalld, tmp_path: Path) -> None:
    way = both(firewalld)
    firewalld.replies[f"setEntries {IPSET}b"] = LOCKED
    with pytest.raises(NothingMade):
        way.make(str(tmp_path))


@pytest.mark.parametrize("is_active", [True, False])
def test_removal_takes_the_table_even_if_firewalld_does_not_run(
    firewalld: FakeFirewalld, monkeypatch: pytest.MonkeyPatch, is_active: bool
) -> None:
    firewalld.published, firewalld.is_active, firewalld.next_table = TABLE, is_active, ""
    monkeypatch.setattr(nftables.kernel, "load", firewalld.log.append)
    change = absent_change(firewalld.handed_in)
    assert change.procedure
    change.procedure.make("")
    assert firewalld.log == ["reload", DELETE] if is_active else [DELETE]
    assert change.wanted == {} and "published chain prerouting" in change.running


# ---- how the host undoes it


@pytest.fixture(name="undone")
def _undone(tmp_path: Path) -> Callable[..., list[str]]:
    """What the host asks of firewalld and systemd where it undoes a way; in the shell they answer as told."""
    programs, folder = tmp_path / "bin", tmp_path / "change"
    programs.mkdir()
    folder.mkdir()

    def undone(
        undo: Undo,
        active: bool = True,
        failed: bool = False,
        reload: bool = True,
        state: str = "RUNNING",
        phase: int | None = None,
    ) -> list[str]:
        log = tmp_path / "log"
        log.write_text("")
        answers = {"is-active": active, "is-failed": failed, "reload": reload}
        systemctl = "".join(f"{name}) exit {0 if good else 3} ;;\n" for name, good in answers.items())
        program(programs / "systemctl", f'case $1 in\n{systemctl}esac\necho "systemctl $1" >> {log}')
        program(
            programs / "busctl",
            f'case "$*" in\n*get-property*state) echo \'s "{state}"\'; exit ;;\nesac\n'
            'for word; do case $word in reload|set*) name=$word ;; hpc_ports_*) name="$name $word" ;; esac; done\n'
            f'echo "$name" >> {log}\n[ "$name" != reload ] || exit {0 if reload else 1}',
        )
        for name, text in undo.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        if phase is not None:
            (folder / "phase").write_text(str(phase), encoding="ascii")
        subprocess.run(
            undo.command, shell=True, check=True, cwd=folder, env={"PATH": f"{programs}:{os.environ['PATH']}"}
        )
        return log.read_text().splitlines()

    return undone


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "host,done",
    [
        ({}, ["reload"]),
        ({"reload": False}, ["reload", "systemctl restart"]),
        # firewalld 0.9 takes the reload, and has failed.
        ({"state": "FAILED"}, ["reload", "systemctl restart"]),
        ({"active": False, "failed": True}, ["systemctl restart", "reload"]),
        # Somebody stopped it.
        ({"active": False}, []),
    ],
)
def test_a_reload_is_undone_by_another(
    firewalld: FakeFirewalld, undone: Callable[..., list[str]], host: dict[str, Any], done: list[str]
) -> None:
    before = our_files(firewalld)
    kept_files.keep(by_reload(firewalld).items, firewalld.paths)
    remove_what_is_kept(firewalld)
    assert undone(by_reload(firewalld).undo(), **host) == done
    assert our_files(firewalld) == before and not Path(firewalld.paths.kept).exists()


@pytest.mark.parametrize(
    "phase,done", [(0, [f"setEntries {IPSET}b"]), (1, [f"setEntries {IPSET}a", f"setEntries {IPSET}b"])]
)
def test_calls_are_undone_as_far_as_they_came(
    firewalld: FakeFirewalld, undone: Callable[..., list[str]], phase: int, done: list[str]
) -> None:
    undo = by_calls(firewalld).undo()
    assert undo.files["phase"] == "0"
    assert undone(undo, phase=phase) == done
    assert undone(undo, active=False, phase=phase) == []
    assert undone(undo, active=False, failed=True, phase=phase) == ["systemctl restart", "reload"]


def test_the_table_comes_back_and_then_the_policies(
    firewalld: FakeFirewalld, undone: Callable[..., list[str]], tmp_path: Path
) -> None:
    undo, nft = both(firewalld).undo(), tmp_path / "bin" / "nft"
    program(nft, f'cat "$2" >> {tmp_path}/log')
    assert undone(undo, phase=0) == ["add table inet hpc_ports_published", DELETE.strip(), f"setEntries {IPSET}b"]
    program(nft, "exit 1")
    with pytest.raises(subprocess.CalledProcessError):
        undone(undo, phase=0)


# ---- files


def test_a_boot_finds_all_files_or_none(firewalld: FakeFirewalld) -> None:
    before = our_files(firewalld)
    places = persistence.places({}, firewalld.paths)
    with pytest.raises(OSError), kept_files.all_or_nothing(places, firewalld.paths):
        files.unlink(places.gone[0])
        raise OSError("half way")
    assert our_files(firewalld) == before
    with kept_files.all_or_nothing(places, firewalld.paths):
        files.commit(places)
    assert our_files(firewalld) == {}


def test_a_boot_finds_the_table_as_it_finds_the_policies(firewalld: FakeFirewalld) -> None:
    new = {**persistence.items_of(config(MORE), firewalld.paths), **published_files(firewalld, MORE)}
    for gone in ((), firewalld.paths.published.files()):
        for path in gone:
            files.unlink(path)
        before, places = our_files(firewalld), persistence.places(new, firewalld.paths)
        files.stage(places, new)
        with pytest.raises(OSError), kept_files.all_or_nothing(places, firewalld.paths):
            files.commit(places)
            raise OSError("half way")
        assert our_files(firewalld) == before


def test_what_a_crash_left_is_put_back(firewalld: FakeFirewalld) -> None:
    before = our_files(firewalld)
    kept_files.keep([], firewalld.paths)
    remove_what_is_kept(firewalld)
    backend.recover(firewalld.handed_in)
    assert our_files(firewalld) == before
