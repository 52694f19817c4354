# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tests share: a host and a peer in namespaces of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.runs import Served


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A host that never had rules, and its peer."""
    assert os.geteuid() == 0, "These tests make network namespaces and load rulesets in them: run them as root."
    found = Pair()
    yield found
    found.close()


@pytest.fixture
def machine(pair: Pair) -> Iterator[Served]:
    """The host of the pair, with a systemd that only records calls; its modules run in a server (`started`: not)."""
    found = Served(Machine(pair))
    yield found
    found.close()
