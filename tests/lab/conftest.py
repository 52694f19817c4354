# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the long tests of this run. All tests share one lab, which the first one finds as `site.yml` left it."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.support.run import turn

TURNS = 3


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark is for."""
    config.addinivalue_line("markers", f"takes_turns(place): one place of 0 to {TURNS - 1} each day by default")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose turn it is not. Who asks for tests by their name or file gets them."""
    if config.option.keyword or any(".py" in path for path in config.option.file_or_dir):
        return
    places = turn(range(TURNS))
    left_out = [test for test in items for mark in test.iter_markers("takes_turns") if mark.args[0] not in places]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [test for test in items if test not in left_out]
