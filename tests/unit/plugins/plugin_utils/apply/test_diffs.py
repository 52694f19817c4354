# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff of each object is shown for one host."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.diffs import shown_once
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store

CHAIN = "chain input:\n    tcp dport 22 accept\n"
OLD, NEW = "set s:\n    element 10.0.0.1\n", "set s:\n    element 10.0.0.2\n"
OWN = "set addresses_v4:\n    element 10.0.1.{}\n"
FILE = "file /etc/hpc-ports/ruleset.nft:\n    table inet hpc_ports\n    tcp dport 22 accept\n"


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "run")


def shown(store: Store, host: str, before: str, after: str) -> Any:
    return shown_once({"before": before, "after": after}, host, partial(store.first, "diff", host))


def test_what_was_shown_for_another_host_is_only_named(store: Store) -> None:
    whole = {"before": OLD, "after": CHAIN + NEW}
    assert shown(store, "n1", **whole) == whole
    assert shown(store, "n2", **whole) == [{"prepared": "n2: chain input, set s as shown for n1.\n"}]
    # A host on which something else changes as well, and then one that is alike.
    assert shown(store, "n3", OLD, OWN.format(3) + NEW) == [
        {"before": "", "after": OWN.format(3)},
        {"prepared": "n3: set s as shown for n1.\n"},
    ]
    assert shown(store, "n4", "", OWN.format(3) + CHAIN) == [
        {"prepared": "n4: chain input as shown for n1.\nn4: set addresses_v4 as shown for n3.\n"}
    ]


def test_the_same_object_with_another_difference_is_shown(store: Store) -> None:
    shown(store, "n1", OLD, NEW)
    assert shown(store, "n2", "", NEW) == {"before": "", "after": NEW}
    assert shown(store, "n3", NEW, OLD) == {"before": NEW, "after": OLD}


def test_a_host_sees_its_own_diff_again(store: Store) -> None:
    for _time in range(2):
        assert shown(store, "n1", OLD, NEW) == {"before": OLD, "after": NEW}


def test_the_rules_of_a_new_file_are_those_of_the_new_chains(store: Store) -> None:
    assert shown(store, "n1", "", CHAIN + FILE) == [
        {"before": "", "after": CHAIN},
        {"prepared": "n1: the same rules in file /etc/hpc-ports/ruleset.nft.\n"},
    ]
    # Without chains, such as after somebody has deleted the file, and of a file that changes, the diff shows it.
    assert shown(store, "n2", "", FILE) == {"before": "", "after": FILE}
    changed = {"before": FILE.replace("22", "23"), "after": CHAIN + FILE}
    assert shown(store, "n3", **changed) == [
        {"before": changed["before"], "after": FILE},
        {"prepared": "n3: chain input as shown for n1.\n"},
    ]


@pytest.mark.parametrize("diff", [None, "text", {"before": 1, "after": ""}, {"prepared": "x"}, [{"before": ""}]])
def test_a_diff_of_another_form_stays_as_it_is(diff: Any) -> None:
    def none(keys: Collection[str]) -> dict[str, str]:
        raise AssertionError(keys)

    assert shown_once(diff, "n1", none) is diff
