# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes the watch again after an attempt that failed, and which chains it looks at.

What else it does is in tests/kernel/test_watch.py.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch_program
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    Ruleset,
    ruleset_beside_firewalld,
    ruleset_of,
    script_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.tests.support.samples import random_policies

HOST = watch_program.WatchedHost("/changes", "/ruleset", "/policy", "/closed", "/closed-firewalld", "/published")


def test_what_an_attempt_itself_deletes_is_no_reason_to_try_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sock, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def fail(host: watch_program.WatchedHost, loss: watch_program.Loss) -> None:
        kernel.send(b"firewalld stops")
        kernel.send(b"firewalld starts")
        raise OSError("It does not load.")

    monkeypatch.setattr(watch_program, "put_back", fail)
    monkeypatch.setattr(watch_program, "_close", lambda host: kernel.send(b"somebody flushes"))
    with sock, kernel:
        assert watch_program.seconds_to_next(HOST, watch_program.Loss(), 2.0, sock) == 4.0
        assert sock.recv(100) == b"somebody flushes"


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("filtered", [(), ("docker*",)])
def test_the_chains_that_judge_are_all_but_those_of_the_flows(
    tmp_path: Path, filtered: tuple[str, ...], beside: bool
) -> None:
    for data in random_policies(50):
        policy = parse_policy(data)._replace(filtered_containers=filtered)
        is_restricted = policy.egress == "restricted"
        always = {"prerouting", "input", "translated", "arriving"}
        containers = {"forward", "entering", "serving", *({"leaving"} if is_restricted else ())} if filtered else set()
        output = {"output"} if is_restricted and not (beside and policy.mode == "enforce") else set()
        assert _judging(policy, beside, tmp_path / "ruleset.nft") == always | containers | output


def _judging(policy: Policy, beside: bool, path: Path) -> set[str]:
    ruleset: Ruleset = (ruleset_beside_firewalld if beside else ruleset_of)(policy)
    path.write_text(script_of(ruleset), encoding="utf-8")
    always = watch_program.PUBLISHED if beside else watch_program.NFTABLES
    found = watch_program.judging_chains(always, str(path))
    assert {f"inet {table.decode()}" for table, chain in found} == {ruleset.table}
    return {chain.decode() for table, chain in found}


def test_without_a_ruleset_the_chains_of_every_ruleset_judge(tmp_path: Path) -> None:
    """The file is missing, or is none of ours."""
    path = tmp_path / "ruleset.nft"
    for text in ("", "nonsense\nadd rule inet other forward accept\n"):
        assert watch_program.judging_chains(watch_program.NFTABLES, str(path)) == tuple(sorted(watch_program.NFTABLES))
        path.write_text(text, encoding="utf-8")


# ---- observe mode beside firewalld


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> watch_program.WatchedHost:
    """A host with firewalld, whose table is loaded; its policies are not."""
    found = watch_program.WatchedHost(
        *(str(tmp_path / name) for name in ("changes", "ruleset", "policy", "closed", "closed-firewalld", "published"))
    )
    monkeypatch.setattr(watch_program, "are_loaded", lambda chains: b"firewalld" not in {chain[0] for chain in chains})
    return found


def _starts_firewalld(host: watch_program.WatchedHost, monkeypatch: pytest.MonkeyPatch) -> bool:
    started: list[str] = []
    monkeypatch.setattr(watch_program, "_start_firewalld", lambda host, loss: started.append(host.policy))
    watch_program.put_back(host, watch_program.Loss())
    return bool(started)


def test_our_table_alone_is_enough(host: watch_program.WatchedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="no rules of ours"):
        watch_program.put_back(host, watch_program.Loss())
    Path(host.published).touch()
    assert not _starts_firewalld(host, monkeypatch)


@pytest.mark.parametrize(
    "staged, is_made, starts",
    [
        ((), False, True),
        (("published",), False, True),
        (("published",), True, False),
        (("published", "policy"), True, True),
    ],
)
def test_policies_that_go_with_a_change_are_not_missed(
    host: watch_program.WatchedHost,
    monkeypatch: pytest.MonkeyPatch,
    staged: tuple[str, ...],
    is_made: bool,
    starts: bool,
) -> None:
    """Their files are there until the change is confirmed."""
    folder = Path(host.changes, "token")
    folder.mkdir(parents=True)
    Path(host.changes, "armed").symlink_to("token")
    for path in (host.published, host.policy):
        Path(path).touch()
    for name in staged:
        Path(host.changes).with_name(f".{name}.new").touch()
    if is_made:
        (folder / "made").touch()
    assert _starts_firewalld(host, monkeypatch) == starts
