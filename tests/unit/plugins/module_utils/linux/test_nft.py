# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Truncated listings. tests/kernel has listings of the real library."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from unittest.mock import MagicMock

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import ListingError, in_child, library_ruleset

WHOLE = b'{"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "t", "flags": ["dormant"]}}]}\n'
CUT = WHOLE[:60]
TEXT = b"table ip t {\n\tflags dormant\n}\n"


@pytest.fixture(name="library")
def _library(monkeypatch: pytest.MonkeyPatch) -> Iterator[MagicMock]:
    library = MagicMock()
    library.nft_run_cmd_from_buffer.return_value = 0
    library.nft_ctx_get_error_buffer.return_value = b""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    yield library
    assert library.nft_ctx_free.call_count == library.nft_ctx_new.call_count


def here(work: Callable[[], str]) -> str:
    """Call it in this process, which has a fake library."""
    return work()


@pytest.mark.parametrize("before", [[], [CUT], [CUT, b"", CUT]])
def test_a_truncated_listing_is_requested_again(library: MagicMock, before: list[bytes]) -> None:
    library.nft_ctx_get_output_buffer.side_effect = [*before, WHOLE, TEXT]
    assert library_ruleset(here) == (WHOLE.decode(), TEXT.decode())


def test_a_listing_that_stays_truncated_is_an_error(library: MagicMock) -> None:
    library.nft_ctx_get_output_buffer.return_value = CUT
    with pytest.raises(ListingError, match="the listing ends within a table that has flags"):
        library_ruleset(here)
    assert library.nft_run_cmd_from_buffer.call_count == 10


def test_the_reason_of_a_failed_listing(library: MagicMock) -> None:
    library.nft_run_cmd_from_buffer.return_value = 1
    library.nft_ctx_get_output_buffer.return_value = b""
    library.nft_ctx_get_error_buffer.return_value = b"internal:0:0-0: Error: Operation not permitted\n"
    with pytest.raises(ListingError, match="Operation not permitted"):
        library_ruleset(here)


def test_a_child_returns_its_text_or_its_error_or_dies_alone() -> None:
    assert in_child(lambda: "é" * 100_000) == "é" * 100_000

    def fail() -> str:
        raise ListingError("no room")

    with pytest.raises(ListingError, match="no room"):
        in_child(fail)

    def die() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    assert in_child(die) == ""
