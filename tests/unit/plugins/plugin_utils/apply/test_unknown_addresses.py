# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of warnings about addresses that the plan does not know."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.unknown_addresses import (
    known_addresses,
    unknown_warnings,
)
from ansible_collections.hpc.ports.tests.support.sites import make_plan

HOSTS: dict[str, Any] = {
    "n1": {"groups": ["slurm_compute"], "addresses": ["10.1.0.1"], "cluster": "alpha"},
    "n2": {
        "groups": ["slurm_compute"],
        "addresses": ["n2.example.org"],
        "source_addresses": ["10.1.0.2", "10.3.0.2"],
        "cluster": ["alpha", "beta"],
    },
    "desk": {"groups": ["offices"], "addresses": ["10.9.0.9"]},
}
CLUSTERS = {"alpha": {"cidrs": ["10.4.0.0/16"]}, "beta": {"cidrs": ["10.5.0.0/16", "fd05::/64"]}}
PARTS = known_addresses(
    make_plan({}, HOSTS, {"n2.example.org": ["10.1.0.2", "fd01::2"]}, firewall_clusters=CLUSTERS)
).parts


def reported(*texts: str) -> list[dict[str, str]]:
    return [dict(zip(("address", "interface"), text.split(" on "))) for text in texts]


def unknown(host: str, *texts: str) -> list[str]:
    """Return the addresses in the warning, empty without a warning."""
    found = unknown_warnings(host, reported(*texts), PARTS[host])
    return found[0].split(": ")[1].split(". ")[0].split(", ") if found else []


def test_known_addresses_of_managed_hosts() -> None:
    found = {host: {key: sorted(values) for key, values in part.items()} for host, part in PARTS.items()}
    assert found == {
        "n1": {"addresses": ["10.1.0.1"], "networks": ["10.4.0.0/16"]},
        "n2": {
            "addresses": ["10.1.0.2", "10.3.0.2", "fd01::2"],
            "networks": ["10.4.0.0/16", "10.5.0.0/16", "fd05::/64"],
        },
    }


def test_one_warning_names_the_host_its_addresses_and_the_fix() -> None:
    assert unknown_warnings("n1", reported("10.1.0.1 on eth0", "10.2.0.1 on ib0", "10.2.1.1 on ib1"), PARTS["n1"]) == [
        "n1 has addresses that the plan does not know: 10.2.0.1 on ib0, 10.2.1.1 on ib1. Other hosts treat "
        "connections from these addresses as unknown, and hosts with restricted egress cannot connect to them. The "
        "plan knows 10.1.0.1. If "
        "other hosts see n1 under these addresses, add them all to firewall_addresses of n1, or to "
        "firewall_source_addresses if it only connects from them. On a fabric where all traffic is allowed, add ib0, "
        "ib1 to firewall_trusted_interfaces of each host on it. If NAT hides them from all other hosts, nothing is "
        "blocked."
    ]


def test_an_interface_with_a_known_address_is_not_suggested_as_trusted() -> None:
    [alone] = unknown_warnings("n1", reported("10.1.0.1 on eth0", "10.2.0.1 on eth0"), PARTS["n1"])
    assert "10.2.0.1 on eth0" in alone and "firewall_trusted_interfaces" not in alone
    [beside] = unknown_warnings("n1", reported("10.1.0.1 on eth0", "10.2.0.1 on eth0", "10.2.1.1 on ib0"), PARTS["n1"])
    assert "add ib0 to firewall_trusted_interfaces" in beside


@pytest.mark.parametrize(
    "host, texts, expected",
    [
        ("n1", ["10.1.0.1 on eth0"], []),
        ("n1", [], []),
        # A family that the plan does not know of the host.
        ("n1", ["2001:db8::1 on eth0"], []),
        ("n2", ["2001:db8::1 on eth0"], ["2001:db8::1 on eth0"]),
        # Where it comes from, and what its name resolves to.
        ("n2", ["10.3.0.2 on ib0", "fd01::2 on eth0"], []),
        # A network of its clusters, and of another.
        ("n1", ["10.4.0.1 on ib0", "10.5.0.1 on ib0"], ["10.5.0.1 on ib0"]),
        ("n2", ["10.4.0.1 on ib0", "10.5.0.1 on ib0", "fd05::1 on ib0"], []),
        (
            "n1",
            [f"10.2.0.{number} on ib0" for number in range(1, 8)],
            [*(f"10.2.0.{number} on ib0" for number in range(1, 6)), "and 2 more"],
        ),
    ],
)
def test_unknown_addresses(host: str, texts: list[str], expected: list[str]) -> None:
    assert unknown(host, *texts) == expected


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "10.2.0.1",
        {"address": "10.2.0.1"},
        ["10.2.0.1"],
        [{"address": "10.2.0.1"}],
        reported("\x1b[31m on eth0"),
        reported("10.2.0.1 on \x1b[31m"),
        reported("10.2.0.1 on {{ x }}"),
        [{"address": 1, "interface": "eth0"}],
        [{"address": "10.2.0.1", "interface": 1}],
    ],
)
def test_invalid_entries_are_not_shown(nonsense: object) -> None:
    assert unknown_warnings("n1", nonsense, PARTS["n1"]) == []
