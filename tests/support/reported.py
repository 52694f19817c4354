# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts report of a run of verify, made up: one connection from `source` to port 443 of `target`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation

SOURCE, TARGET, OTHER = "10.0.0.2", "10.0.0.1", "10.0.0.3"
NONCES = {"source": "aaaa", "target": "bbbb", "other": "cccc"}
NOBODY: dict[str, Any] = {
    "alive": True,
    "listening": {},
    "in_use": {},
    "not_held": {},
    "own": {},
    "not_counted": "",
    "counts": {},
}
DEAD: dict[str, Any] = {**NOBODY, "alive": False}
DIED = "the listener on target did not run until the end"
LEFT = "the service on target did not run until the end"


def expectation(
    expected: str,
    protocol: str = "tcp",
    address: str = TARGET,
    source: str = "source",
    flow: str = "web",
    denied_by: str = "target",
) -> Expectation:
    """Return what is expected: open by a flow, or filtered."""
    flow, denied_by = (flow, "") if expected == "open" else ("", denied_by)
    return Expectation(source, "target", address, protocol, 443, expected, flow, denied_by)


def result(
    outcome: str,
    protocol: str = "tcp",
    address: str = TARGET,
    reachable: bool | None = True,
    detail: str = "",
    rejected: bool = False,
    path: str = "",
    nonce: str = "",
    source: str = SOURCE,
    elsewhere: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Return what the module `verify_probe` reports of one address, with one port tried."""
    port = f"443/{protocol}"
    details = {**({port: detail} if detail else {}), **({"path": path} if path else {})}
    lists = {name: [port] if name == outcome else [] for name in ("open", "refused", "filtered", "error")}
    return {
        "address": address,
        "reachable": reachable,
        **lists,
        "rejected": [port] if rejected else [],
        "details": details,
        "nonces": {nonce: [port]} if nonce else {},
        "seconds": {port: 0.25},
        "attempts": {port: 2} if outcome == "filtered" else {},
        "source": source,
        "elsewhere": dict(elsewhere or {}),
    }


def held(by: str, protocol: str = "tcp", address: str = "0.0.0.0", **counts: int) -> dict[str, Any]:
    """Return what the module `verify_listen` reports of the target when stopped, with what it counted of the source."""
    key = {
        "listener": {"listening": {address: [f"443/{protocol}"]}},
        "service": {"in_use": {address: [f"443/{protocol}"]}},
        "nobody": {},
    }[by]
    return {**NOBODY, **key, "counts": counted(SOURCE, protocol, **counts) if counts else {}}


def counted(peer: str, protocol: str = "tcp", own: str = TARGET, **counts: int) -> dict[str, Any]:
    """Return the counts of packets between an address of a host, by default of the target, and one peer."""
    return {name: {own: {peer: {str(count): [f"443/{protocol}"]}}} if count else {} for name, count in counts.items()}
