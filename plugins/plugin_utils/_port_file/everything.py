# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`any/ip` as the port file writes it: all ports, and all other IP protocols."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, parse_ports

ANY = "any/ip"


def parse_service_ports(text: object) -> tuple[PortRange, ...]:
    """Return the ranges of one text in the `ports` of a service. Raises ValueError with the expected form."""
    return EVERYTHING if text == ANY else (parse_ports(text),)


def is_everything(ports: Sequence[PortRange]) -> bool:
    """Return whether the ports of a service are `any/ip`."""
    return set(EVERYTHING) <= set(ports)


def port_texts(ports: Sequence[PortRange]) -> list[str]:
    """Return the ports of a service as the port file writes them."""
    return [ANY] if is_everything(ports) else list(map(str, ports))
