# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The golden rulesets, and one over the other, with this machine's nft and kernel; tests/lab does it with others."""

from __future__ import annotations

import json
import sys

import pytest
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, ROOT, Pair

GOLDEN = ROOT / "tests" / "unit" / "golden"


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.nft"))])
def test_a_golden_ruleset_loads_into_an_empty_table_and_over_itself(pair: Pair, name: str) -> None:
    script = str(GOLDEN / f"{name}.nft")
    pair.host.run("nft", "-f", script)
    listing = pair.host.shell("nft -s list ruleset")
    pair.host.run("nft", "-f", script)
    assert pair.host.shell("nft -s list ruleset") == listing


def test_the_backend_works_with_this_nft(pair: Pair) -> None:
    done = pair.host.run(
        sys.executable, str(ROOT / "tests" / "kernel" / "nft_check.py"), str(GOLDEN), PYTHONPATH=str(COLLECTIONS)
    )
    result = json.loads(done.stdout)
    assert (result["not_possible"], result["refusals"], result["failures"]) == ([], {}, [])
    assert result["transitions"] >= 35 and result["mendings"] >= 30
