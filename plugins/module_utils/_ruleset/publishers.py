# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who publishes ports of this host by NAT: container programs, as far as the names of their chains tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_policy_ports
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import legacy_tables, published_in
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import OtherTables, read_other_tables

_BY_TABLE = {
    "docker-bridges": "Docker",
    "netavark": "Podman",
    "cni_hostport": "CNI",
    "kube-proxy": "kube-proxy",
    "firewalld": "firewalld",
}
# By the beginning of the name of a chain.
_BY_CHAIN = {"DOCKER": "Docker", "NETAVARK-": "Podman", "CNI-": "CNI", "KUBE-": "kube-proxy"}
_NOT_READ = "Cannot read who publishes ports by NAT: {0}."
_TOO_MANY = "Not all ports that NAT publishes are listed: {0} has too many rules."
_LEGACY = "Ports that rules of iptables-legacy publish are not listed."


class Publication(NamedTuple):
    """Ports that NAT rules of a program publish: its name, or the table and the chain of the rules."""

    ports: PortRange
    by: str


class Published(NamedTuple):
    """What is published, and what could not be read, as sentences."""

    publications: tuple[Publication, ...]
    problems: tuple[str, ...]

    def as_data(self) -> list[dict[str, Any]]:
        """Return the publications as plain data."""
        return [
            {"protocol": ports.protocol, "first": ports.first, "last": ports.last, "by": by}
            for ports, by in self.publications
        ]


def _read_tables() -> OtherTables:
    # A host without the program nft may have the library.
    has_firewalld = systemd.is_active("firewalld.service") or not nft.is_installed()
    return read_other_tables("firewalld" if has_firewalld else "nftables")


def published_ports(
    read: Callable[[], OtherTables] = _read_tables, legacy: Callable[[], Mapping[str, tuple[str, ...]]] = legacy_tables
) -> Published:
    """Return the ports of this host that NAT rules publish. Raises no error."""
    try:
        tables = read()
    except (OSError, RuntimeError) as exc:
        return Published((), (_NOT_READ.format(str(exc).rstrip(".")), *_legacy_problems(legacy)))
    found = published_in(tables.listing)
    return Published(
        tuple(Publication(parse_policy_ports(ports), _publisher(*where)) for ports, where in found.items()),
        (*_unread_problems(tables), *_legacy_problems(legacy)),
    )


def _publisher(table: str, chain: str) -> str:
    by_chain = (name for start, name in _BY_CHAIN.items() if chain.startswith(start))
    return _BY_TABLE.get(table.partition(" ")[2]) or next(by_chain, f"table {table}, chain {chain.lstrip('@')}")


def _unread_problems(tables: OtherTables) -> Iterator[str]:
    for table in tables.unread:
        if any((base.kind, base.hook) == ("nat", "prerouting") and base.rules for base in table.bases):
            yield _TOO_MANY.format(f"table {table}")


def _legacy_problems(legacy: Callable[[], Mapping[str, tuple[str, ...]]]) -> list[str]:
    return [_LEGACY] if any("nat" in names for names in legacy().values()) else []
