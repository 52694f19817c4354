# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules verify_listen and verify_probe: arguments and check mode. tests/kernel/test_probe_listen.py runs them."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.support.faces import module


@pytest.mark.parametrize("state", ["started", "stopped"])
def test_check_mode_starts_no_listener(state: str) -> None:
    result = module("verify_listen", check=True, real=True, state=state, ports=["22/tcp"])
    assert (result["skipped"], result["msg"]) == (True, "Check mode: no listener was started or ended.")
    assert "alive" not in result and "id" not in result


def test_check_mode_sends_nothing() -> None:
    result = module("verify_probe", check=True, real=True, probes=[{"address": "10.0.0.1", "ports": ["22/tcp"]}])
    assert (result["skipped"], result["msg"]) == (True, "Check mode: nothing was sent.")
    assert "results" not in result


@pytest.mark.parametrize("ports,text", [(["22"], "got '22', "), (["1-9/tcp"], "got '1-9/tcp', ")])
def test_bad_ports_are_refused(ports: list[str], text: str) -> None:
    assert module("verify_listen", ports=ports)["msg"].startswith(f"Invalid ports: {text}")
    assert module("verify_probe", probes=[{"address": "10.0.0.1", "ports": ports}])["msg"].startswith(
        f"Invalid probes: {text}"
    )


def test_bad_ports_for_containers_are_refused() -> None:
    containers = {"interfaces": ["docker*"], "probes": [{"address": "10.0.0.1"}]}
    assert module("verify_probe", probes=[], containers=containers)["msg"] == (
        "missing required arguments: ports found in containers -> probes"
    )


def test_a_host_name_is_refused() -> None:
    assert module("verify_probe", probes=[{"address": "ctl1", "ports": []}])["msg"] == (
        "Invalid probes: got 'ctl1', expected an IPv4 or IPv6 address."
    )


@pytest.mark.parametrize("name,value", [("timeout", 0), ("timeout", -1.5), ("attempts", 0), ("concurrency", 0)])
def test_limits_must_be_positive(name: str, value: float) -> None:
    assert module("verify_probe", probes=[], **{name: value})["msg"] == (
        f"Invalid {name}: got {float(value) if name == 'timeout' else value}, expected a number greater than 0."
    )


def test_a_lifetime_must_be_positive() -> None:
    assert module("verify_listen", lifetime=0)["msg"] == "Invalid lifetime: got 0, expected a number greater than 0."


def test_a_probe_without_ports_is_refused() -> None:
    assert module("verify_probe", probes=[{"address": "10.0.0.1"}])["msg"] == (
        "missing required arguments: ports found in probes"
    )
