# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the resolution of endpoints to hosts and networks."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook, Resolver
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.lookups import system_lookup
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Endpoint
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.sites import make_inventory, make_resolver
from netaddr import IPNetwork

ADVICE = "Fix the name, or use addresses instead: firewall_addresses of the host, or cidrs of the endpoint."
NAMES = {
    "both.example.org": ["10.0.0.1", "fd00::1"],
    "local.example.org": ["127.0.0.1", "::1"],
    "mixed.example.org": ["127.0.1.1", "10.0.0.2"],
    "link.example.org": ["fe80::1"],
    "empty.example.org": [],
}
HOSTS: dict[str, Any] = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1", "fd00::1"]},
    "login": {"groups": ["slurm_login"], "addresses": ["10.1.0.1"], "cluster": "alpha"},
    "files": {
        "groups": ["nfs_server"],
        "addresses": ["10.3.0.1"],
        "cluster": ["alpha", "beta"],
        "source_addresses": ["192.0.2.9"],
    },
    "plain": {"groups": ["others"], "addresses": ["10.9.0.1"]},
}


def texts(networks: list[IPNetwork] | tuple[IPNetwork, ...]) -> list[str]:
    return [str(network) for network in networks]


def make_book(
    looked_up: tuple[str, ...] = (), clusters: dict[str, list[str]] | None = None, **endpoints: Any
) -> AddressBook:
    known = {
        group: Endpoint(group, groups=(group,)) for group in ("control_plane", "slurm_login", "nfs_server", "others")
    }
    for name, value in endpoints.items():
        known[name] = Endpoint(
            name,
            groups=tuple(value.get("groups", ())),
            fallback_groups=tuple(value.get("fallback_groups", ())),
            hostnames=tuple(value.get("hostnames", ())),
            cidrs=tuple(map(IPNetwork, value.get("cidrs", ()))),
            excepted=tuple(map(IPNetwork, value.get("except", ()))),
        )
    networks = {name: [IPNetwork(text) for text in items] for name, items in (clusters or {}).items()}
    return AddressBook(known, make_inventory(HOSTS), networks, make_resolver(NAMES), frozenset(looked_up))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.7", ["10.0.0.7/32"]),
        ("fd00::7", ["fd00::7/128"]),
        ("both.example.org", ["10.0.0.1/32", "fd00::1/128"]),
        ("mixed.example.org", ["10.0.0.2/32"]),
    ],
)
def test_resolver(text: str, expected: list[str]) -> None:
    assert texts(make_resolver(NAMES).networks("key", text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nowhere.example.org",
            "got 'nowhere.example.org', expected an address, or a host name that resolves. "
            "The controller's resolver reported: Name or service not known.",
        ),
        (
            "local.example.org",
            "got 'local.example.org', expected a name with an address that other hosts can reach. "
            "It resolves to 127.0.0.1, ::1.",
        ),
        (
            "link.example.org",
            "got 'link.example.org', expected a name with an address that other hosts can reach. "
            "It resolves to fe80::1.",
        ),
        (
            "empty.example.org",
            "got 'empty.example.org', expected a name with an address that other hosts can reach. "
            "It resolves to nothing.",
        ),
        ("127.0.0.1", "got '127.0.0.1', expected an address that other hosts can reach."),
        ("::1", "got '::1', expected an address that other hosts can reach."),
        ("0.0.0.0", "got '0.0.0.0', expected an address that other hosts can reach."),
        ("10.1", "got '10.1', expected an address, or a host name that resolves."),
        ("1001", "got '1001', expected an address, or a host name that resolves."),
        ("", "got '', expected an address, or a host name that resolves."),
    ],
)
def test_resolver_errors(text: str, message: str) -> None:
    with pytest.raises(PortFileError) as error:
        make_resolver({**NAMES, "1001": ["0.0.3.233"], "10.1": ["10.0.0.1"]}).networks("key", text)
    assert str(error.value) == f"Invalid key: {message} {ADVICE}"


def test_a_name_that_no_resolver_can_encode_is_bad_input() -> None:
    with pytest.raises(PortFileError, match=r"^Invalid key: got 'é+', expected an address, or a host name"):
        Resolver(system_lookup).networks("key", "é" * 80)


def test_each_name_is_looked_up_once() -> None:
    asked: list[str] = []
    resolver = Resolver(lambda name: asked.append(name) or ["10.0.0.1"])  # type: ignore[func-returns-value]
    assert resolver.networks("a", "n1") == resolver.networks("b", "n1")
    assert asked == ["n1"]


def test_system_lookup_gives_both_families_once_and_without_zones() -> None:
    answers = [
        (10, 1, 6, "", ("fe80::1%eth0", 0, 0, 2)),
        (2, 1, 6, "", ("10.0.0.1", 0)),
        (2, 1, 6, "", ("10.0.0.3", 0)),
        (2, 1, 6, "", ("10.0.0.1", 0)),
        (2, 1, 6, "", ("10.0.0.2", 0)),
    ]
    known = {("n1", None, socket.AF_UNSPEC, socket.SOCK_STREAM): answers}
    assert system_lookup("n1", lambda *query: known[query]) == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::1"]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({"groups": ["slurm_login", "others"]}, {"login", "plain"}),
        ({"groups": ["absent"]}, set()),
        ({"cidrs": ["10.1.0.1/32"]}, {"login"}),
        ({"cidrs": ["fd00::1/128"]}, {"ctl"}),
        ({"hostnames": ["both.example.org"]}, {"ctl"}),
        # A wider network describes peers and puts nobody on a side, and so does the address of a host not managed.
        ({"cidrs": ["10.1.0.0/24", "0.0.0.0/0"]}, set()),
        ({"cidrs": ["10.9.0.1/32"]}, set()),
        # Where a host comes from is not where it is.
        ({"cidrs": ["192.0.2.9/32"]}, set()),
        ({"groups": ["nfs_server"], "cidrs": ["10.1.0.1/32"]}, {"files", "login"}),
    ],
)
def test_members(endpoint: dict[str, Any], expected: set[str]) -> None:
    assert make_book(("x",), x=endpoint).members("x") == expected


def test_members_of_clusters() -> None:
    book = make_book(x={"groups": ["slurm_login", "nfs_server", "control_plane"]})
    assert book.members("x", frozenset({"alpha"})) == {"login", "files"}
    assert book.members("x", frozenset({"beta", "gamma"})) == {"files"}
    assert book.members("x", frozenset({"default"})) == {"ctl"}
    assert book.members("x", frozenset({"gamma"})) == set()


def test_host_names_of_unused_endpoints_are_not_looked_up() -> None:
    bad = {"hostnames": ["nowhere.example.org"], "cidrs": ["10.0.0.0/8"]}
    assert texts(make_book((), x=bad).networks("x")) == ["10.0.0.0/8"]
    with pytest.raises(PortFileError, match=r"^Invalid firewall_endpoints\.x\.hostnames: got 'nowhere\.example\.org'"):
        make_book(("x",), x=bad).networks("x")


def test_peers_are_collapsed_and_depend_on_the_direction() -> None:
    book = make_book(x={"groups": ["nfs_server"], "cidrs": ["10.3.0.0/32", "10.3.0.0/24", "fd00::/64"]})
    assert book.peers(("x", "slurm_login"), None, source=False) == ("10.1.0.1/32", "10.3.0.0/24", "fd00::/64")
    assert book.peers(("x", "slurm_login"), None, source=True) == (
        "10.1.0.1/32",
        "10.3.0.0/24",
        "192.0.2.9/32",
        "fd00::/64",
    )


def test_peers_inside_clusters_include_the_cluster_networks() -> None:
    book = make_book(clusters={"alpha": ["10.20.0.0/16"], "beta": ["10.30.0.0/16"], "gamma": ["10.40.0.0/16"]})
    both = ("slurm_login", "nfs_server")
    assert book.peers(both, frozenset({"beta"}), source=False) == ("10.3.0.1/32", "10.30.0.0/16")
    assert book.peers(both, frozenset({"alpha", "beta"}), source=False) == (
        "10.1.0.1/32",
        "10.3.0.1/32",
        "10.20.0.0/16",
        "10.30.0.0/16",
    )
    assert book.peers(both, None, source=False) == ("10.1.0.1/32", "10.3.0.1/32")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({}, True),
        ({"groups": ["absent"]}, True),
        ({"groups": ["others"]}, False),
        ({"cidrs": ["10.0.0.0/8"]}, False),
        ({"hostnames": ["nowhere.example.org"]}, False),
    ],
)
def test_is_empty(endpoint: dict[str, Any], expected: bool) -> None:
    assert make_book(x=endpoint).is_empty(["x"]) is expected


def test_clusters_of() -> None:
    book = make_book(clusters={"gamma": ["10.40.0.0/16"], "delta": []})
    assert book.clusters_of(["slurm_login", "control_plane"]) == {"alpha", "default", "gamma"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.0.1", "login"),
        ("fd00::1", "ctl"),
        ("192.0.2.9", "files"),
        ("10.9.0.1", ""),
        ("10.1.0.2", ""),
        ("login", ""),
        ("", ""),
    ],
)
def test_the_managed_host_at_an_address(address: str, expected: str) -> None:
    assert make_book().host_at(address) == expected


def test_an_unresolvable_source_address_belongs_to_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HOSTS["files"], "source_addresses", ["empty.example.org"])
    assert make_book().host_at("10.1.0.1") == "login"


def test_an_error_names_the_variable_of_the_site() -> None:
    book = make_book()
    for variables, key in (
        ({"addresses": ["bad"]}, "firewall_addresses"),
        ({"addresses": ["10.0.0.1"], "source_addresses": ["bad"]}, "firewall_source_addresses"),
    ):
        book.inventory = make_inventory({"n1": {"groups": ["slurm_login"], **variables}})
        with pytest.raises(PortFileError, match=rf"^Invalid {key} of host n1: got 'bad'"):
            book.host_networks(["n1"], source=True)


def test_fallback_groups_count_in_clusters_without_hosts_of_the_groups() -> None:
    entry = make_book(entry={"groups": ["slurm_login"], "fallback_groups": ["nfs_server"]})
    assert entry.members("entry") == {"login", "files"}
    without = make_book(entry={"groups": ["slurm_login", "nfs_server"], "fallback_groups": ["control_plane"]})
    assert without.members("entry") == {"login", "files", "ctl"}
    served = make_book(entry={"groups": ["slurm_login", "others"], "fallback_groups": ["control_plane"]})
    assert served.members("entry") == {"login", "plain"}


def test_excepted_addresses_are_not_in_the_endpoint() -> None:
    book = make_book(
        e={
            "groups": ["slurm_login", "nfs_server"],
            "cidrs": ["10.0.0.0/31", "10.9.0.0/30"],
            "except": ["10.0.0.0/32", "192.0.2.0/24"],
        }
    )
    # files comes from an excepted address. ctl has the address that is left, but the site wrote a wider network.
    assert book.members("e") == {"login"}
    assert texts(book.networks("e")) == ["10.0.0.1/32", "10.9.0.0/30"]
    assert book.is_empty(["e"]) is False
    # ctl is excepted by its IPv4 address, so its IPv6 address is taken out of the network as well.
    both = make_book(e={"cidrs": ["fd00::/126"], "except": ["10.0.0.1/32"]})
    assert texts(both.networks("e")) == ["fd00::/128", "fd00::2/127"]
    assert make_book(e={"cidrs": ["10.0.0.0/31"], "except": ["10.0.0.0/8"]}).is_empty(["e"])
