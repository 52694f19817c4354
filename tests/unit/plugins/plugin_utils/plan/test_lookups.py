# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many host names are looked up at the same time, with one time limit for all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Event, Lock
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import Resolver
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.lookups import answers
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.sites import make_catalogue, make_inventory

ROOT = Path(__file__).parents[5]
ADVICE = "Fix the name, or use addresses instead: firewall_addresses of the host, or cidrs of the endpoint."
# No test waits so long, unless it fails.
LONG = 60.0


class Meeting:
    """A name service that answers a name only when it has been asked for so many names at the same time."""

    def __init__(self, size: int) -> None:
        self._barrier = Barrier(size)
        self._lock = Lock()
        self._running = 0
        self.most = 0
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            self.asked.append(name)
            number = len(self.asked)
        self._barrier.wait(LONG)
        with self._lock:
            self._running -= 1
        return [f"10.0.{number >> 8}.{number & 255}"]


@pytest.fixture
def stuck() -> Iterator[Callable[[str], list[str]]]:
    """Return a name service that does not answer names that begin with `stuck` before the end of the test."""
    end = Event()

    def lookup(name: str) -> list[str]:
        if name.startswith("stuck"):
            end.wait(LONG)
        return ["10.0.0.1"]

    yield lookup
    end.set()


def test_32_names_are_looked_up_at_the_same_time_and_no_more() -> None:
    service = Meeting(32)
    found = answers([f"n{number}" for number in range(96)], service, LONG)
    assert sorted(found) == sorted(f"n{number}" for number in range(96))
    assert all(isinstance(answer, list) for answer in found.values())
    assert service.most == 32


def test_an_answer_is_the_error_of_a_name() -> None:
    def lookup(name: str) -> list[str]:
        raise OSError(f"no {name}")

    found = answers(["a", "b"], lookup, LONG)
    assert {name: repr(error) for name, error in found.items()} == {"a": "OSError('no a')", "b": "OSError('no b')"}


def test_names_without_an_answer_in_time_are_an_error(stuck: Callable[[str], list[str]]) -> None:
    asked: list[str] = []
    resolver = Resolver(lambda name: asked.append(name) or stuck(name), left=0.3)  # type: ignore[func-returns-value]
    resolver.look_up(["n1", "stuck1", "stuck2", "n2", "10.0.0.9", "fd00::1", "", "10.1"])
    assert [str(network) for name in ("n1", "n2") for network in resolver.networks("key", name)] == ["10.0.0.1/32"] * 2
    assert sorted(asked) == ["n1", "n2", "stuck1", "stuck2"]
    for name in ("stuck2", "late"):
        with pytest.raises(PortFileError) as error:
            resolver.networks("key", name)
        assert str(error.value) == (
            f"Invalid key: got '{name}', expected an address, or a host name that resolves. The controller's resolver "
            f"reported: no answer in the 60 seconds for all names. {ADVICE}"
        )
    # The limit is one for all names: nothing is asked after it.
    assert len(asked) == 4


def test_lookups_share_the_time() -> None:
    resolver = Resolver(lambda name: ["10.0.0.1"])
    resolver.look_up(["n1"])
    left = resolver.left
    assert left < 60
    resolver.look_up(["n1"])
    assert resolver.left == left
    resolver.look_up(["n2"])
    assert resolver.left < left


def test_a_lookup_that_hangs_does_not_keep_the_process() -> None:
    code = (
        "from time import sleep\n"
        "from ansible_collections.hpc.ports.plugins.plugin_utils._plan.lookups import answers\n"
        "print(answers(['n1'], lambda name: sleep(3600), 0.1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )
    assert done.stdout == "{}\n"


# ---- In a plan ------------------------------------------------------------------------------------------------------


def plan_with(lookup: Callable[[str], list[str]], hosts: dict[str, Any], names: list[str]) -> Plan:
    endpoints = {"peers": {"hostnames": names}, "unused": {"hostnames": ["unused.example.org"]}}
    flow = {"from": ["peers"], "to": ["managed"], "services": ["ssh"]}
    flows = {"f": {**flow, "need": "recommended"}, "off": {**flow, "from": ["unused"], "need": "optional"}}
    inventory = make_inventory(hosts)
    catalogue = make_catalogue({"endpoints": endpoints, "flows": flows}, tuple(inventory.groups))
    return compile_plan(catalogue, inventory, Resolver(lookup))


def test_a_plan_looks_up_its_hosts_together_and_its_endpoints_together() -> None:
    service = Meeting(8)
    hosts: dict[str, Any] = {f"h{number}": {"groups": ["managed"], "egress": "open"} for number in range(8)}
    hosts["away"] = {"groups": ["others"]}
    plan = plan_with(service, hosts, [f"p{number}" for number in range(8)])
    assert sorted(service.asked) == sorted([*(f"h{number}" for number in range(8)), *(f"p{n}" for n in range(8))])
    assert len(plan.addresses.networks("peers")) == 8


def test_a_plan_looks_up_its_hosts_and_endpoints_together_if_no_endpoint_has_networks() -> None:
    service = Meeting(17)
    inventory = make_inventory({f"h{number}": {"groups": ["managed"]} for number in range(8)})
    controllers = {"hostnames": [f"c{number}" for number in range(9)], "cidrs": []}
    catalogue = make_catalogue({"endpoints": {"controllers": controllers}}, tuple(inventory.groups))
    compile_plan(catalogue, inventory, Resolver(service))
    assert len(service.asked) == 17


def test_a_plan_looks_up_the_hosts_behind_a_jump_host_together() -> None:
    service = Meeting(8)
    jump: dict[str, Any] = {"groups": ["managed"], "addresses": ["192.0.2.7"], "egress": "restricted"}
    behind = {"groups": ["others"], "ansible_ssh_common_args": "-J jump"}
    hosts = {"jump": jump, **{f"h{number}": behind for number in range(8)}}
    plan = plan_with(service, hosts, [])
    assert sorted(service.asked) == [f"h{number}" for number in range(8)]
    assert sum(len(leg.networks) for leg in plan.legs) == 8


def test_the_first_name_that_fails_is_named_whatever_answers_first() -> None:
    others = Event()

    def lookup(name: str) -> list[str]:
        if name == "p0":
            others.wait(LONG)
        if name == "p7":
            others.set()
        raise OSError(f"no {name}")

    hosts = {"h0": {"groups": ["managed"], "addresses": ["10.0.0.1"]}}
    with pytest.raises(PortFileError, match="^Invalid firewall_endpoints.peers.hostnames: got 'p0', .* no p0. Fix"):
        plan_with(lookup, hosts, [f"p{number}" for number in range(8)])


def test_a_plan_with_names_can_be_stored() -> None:
    def lookup(name: str) -> list[str]:
        if name == "gone":
            raise OSError("gone")
        return ["10.0.0.9"]

    hosts = {"h0": {"groups": ["managed"], "ansible_host": "10.0.0.1", "ansible_ssh_common_args": "-J gone"}}
    plan = plan_with(lookup, hosts, ["p0"])
    resolver = Resolver(left=1, _known=plan.addresses.resolver._known, _answers=plan.addresses.resolver._answers)
    assert pickle.loads(pickle.dumps(resolver))._known == plan.addresses.resolver._known
