# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python collects no garbage while a module is put together."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.garbage import uncollected

# More objects than Python lets pass between two collections of the youngest.
MANY = 100_000


@pytest.fixture(name="collections")
def _collections() -> Iterator[list[int]]:
    """Record the generation of each collection."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.unfreeze()


def test_nothing_is_collected_in_the_block(collections: list[int]) -> None:
    kept = [[] for _number in range(MANY)]
    assert collections and kept
    del collections[:]
    with uncollected():
        kept = [[] for _number in range(MANY)]
        assert not collections
    assert gc.isenabled() and gc.get_freeze_count() > len(kept)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_an_error_turns_the_collector_on_again() -> None:
    with pytest.raises(OSError), uncollected():
        raise OSError
    assert gc.isenabled()
    gc.unfreeze()
