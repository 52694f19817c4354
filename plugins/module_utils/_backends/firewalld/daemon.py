# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, before anything is changed, that firewalld can apply a policy and that a reload is safe."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    OLDEST,
    Abilities,
    abilities_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.dbus import CONFIG_PATH, Bus
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import PATHS, FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.published import PublishedTable
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.running import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import accepts_replies_out
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.unsaved import (
    missing_ipsets,
    unsaved_settings,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, find_program
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import listing
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import ListingCache, table_of
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import container_networks
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import is_active
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

_BACKEND = re.compile(r"^\s*FirewallBackend\s*=\s*(\S+)", re.MULTILINE)
# Seconds; much longer than the start takes.
_STARTS_WITHIN = 15.0


def _listing(name: str) -> str:
    """Return a listing as `nft.listing` does, from the cache if the table has not changed."""
    return ListingCache().text_of_table("libnftables " + name, table_of(name.partition(" ")[2]), lambda: listing(name))


class Firewalld(NamedTuple):
    """Access to the firewalld of a host: D-Bus, systemd, the kernel and files. Tests replace them."""

    bus: Bus = Bus()
    listing: Callable[[str], str] = _listing
    is_active: Callable[[str], bool] = is_active
    find_program: Callable[[str], str | None] = find_program
    paths: FirewalldPaths = PATHS
    published: PublishedTable = PublishedTable()
    container_networks: Callable[[Iterable[str]], tuple[Network, ...]] = container_networks


class Daemon(NamedTuple):
    """The abilities of the running firewalld, and its table in the kernel."""

    abilities: Abilities
    table: State


def running_table(firewalld: Firewalld) -> State:
    """Return firewalld's table in the kernel; empty if it does not exist. Raises RuntimeError."""
    return parse_listing(firewalld.listing("table " + TABLE))


def daemon(firewalld: Firewalld) -> Daemon:
    """Return the abilities of the running firewalld. Raises HostError, RuntimeError if it cannot apply a policy now."""
    try:
        version, state, kinds = _once_started(firewalld.bus)
    except CommandError as exc:
        raise RuntimeError(
            f"firewalld is running, but does not answer on D-Bus: {exc.output}. Nothing was changed. See: systemctl "
            "status firewalld dbus"
        ) from exc
    number = tuple(map(int, re.findall("[0-9]+", version)[:3]))
    _check(firewalld, number, version, state)
    # Once the package is installed, the reload that adds our first ipsets uses it.
    if "hash:net" not in kinds and not firewalld.find_program("ipset"):
        raise HostError(
            f"firewalld {version} has no ipsets: install the package ipset. Nothing was changed.", ["ipset"]
        )
    table = running_table(firewalld)
    abilities = abilities_of(number)
    # If somebody has deleted the table, firewalld will recreate it.
    return Daemon(abilities._replace(accepts_replies_out=accepts_replies_out(table)) if table else abilities, table)


def _once_started(bus: Bus) -> list[Any]:
    """Return version, state and types of ipsets, after firewalld 0.9 has loaded its rules, 1 to 2 s after its start."""
    end = time.monotonic() + _STARTS_WITHIN
    while True:
        properties = bus.properties("version", "state", "IPSetTypes")
        if properties[1] != "INIT" or time.monotonic() > end:
            return properties
        time.sleep(0.1)


def _check(firewalld: Firewalld, number: tuple[int, ...], version: str, state: str) -> None:
    if number < OLDEST:
        raise RuntimeError(
            "firewalld is too old: got {!r}, expected {} or later. Nothing was changed.".format(
                version, ".".join(map(str, OLDEST))
            )
        )
    if state != "RUNNING":
        raise RuntimeError(
            f"firewalld is in state {state!r}, expected 'RUNNING': its configuration did not load, and the host "
            "may be unprotected. Nothing was changed. See: journalctl -u firewalld. Fix the cause (broken "
            "hpc_ports_* files in /etc/firewalld can be removed), restart firewalld, and run again."
        )
    backend = firewalld.bus.properties("FirewallBackend", path=CONFIG_PATH, interface=".config")[0]
    _check_backend(backend, firewalld.paths)
    if firewalld.bus.read("queryPanicMode"):
        raise RuntimeError(
            "firewalld is in panic mode: it drops every packet. Nothing was changed. Turn panic mode off "
            "(firewall-cmd --panic-off), and run again."
        )


def _check_backend(backend: str, paths: FirewalldPaths) -> None:
    if backend != "nftables":
        raise RuntimeError(
            f"FirewallBackend is {backend!r} in {_settings(paths)}, expected 'nftables'. Nothing was changed."
        )


def _settings(paths: FirewalldPaths) -> str:
    return paths.firewalld + "/firewalld.conf"


def _saved_backend(paths: FirewalldPaths) -> str:
    """Return the backend that a reload would use; D-Bus reports only the running one."""
    with suppress(FileNotFoundError), open(_settings(paths), encoding="utf-8", errors="replace") as file:
        backends = _BACKEND.findall(file.read())
        return backends[-1] if backends else "nftables"
    return "nftables"


def check_reload(firewalld: Firewalld) -> None:
    """Raise RuntimeError if a reload of firewalld would lose or break settings of others."""
    protocols = firewalld.paths.etc + "/protocols"
    if not os.path.exists(protocols):
        raise RuntimeError(
            f"{protocols} is missing: firewalld would load no rules without it. Nothing was changed. Install "
            "the package that provides it (Debian: netbase, RHEL: setup)."
        )
    _check_backend(_saved_backend(firewalld.paths), firewalld.paths)
    missing = missing_ipsets(firewalld.paths)
    if missing:
        raise RuntimeError(
            "A reload of firewalld would load no rules, because these ipsets do not exist: {}. Nothing was changed. "
            "Create the ipsets, or remove the references to them.".format("; ".join(missing))
        )
    try:
        firewalld.bus.read("checkPermanentConfig")
    except CommandError as exc:
        raise RuntimeError(
            f"firewalld cannot load its saved configuration: {exc.output}. Nothing was changed. Fix the "
            "configuration. See: firewall-cmd --check-config"
        ) from exc
    unsaved = unsaved_settings(firewalld.bus)
    if unsaved:
        raise RuntimeError(
            "This change needs a reload of firewalld. The reload would change settings that differ between the "
            "running and the saved configuration: {}. Nothing was changed. Save the running configuration "
            "(firewall-cmd --runtime-to-permanent) or load the saved one (firewall-cmd --reload), and run "
            "again.".format("; ".join(unsaved))
        )
