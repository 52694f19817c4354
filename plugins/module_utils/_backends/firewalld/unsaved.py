# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload of firewalld would change that is not ours: settings of the user that are only run, or only saved."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.dbus import CONFIG_PATH, Bus
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.persistence import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX

Settings = dict[str, dict[str, Any]]
# A name for people; and what NetworkManager and firewalld keep over a reload.
_NOT_LOST = ("version", "short", "description", "interfaces")
_NAMED_IPSET = re.compile(r'\bipset="([^"]+)"')
_DIRECT = ("chains", "rules", "passthroughs")


def unsaved_settings(bus: Bus) -> list[str]:
    """Return what differs between what firewalld runs and what it would load, such as `zone public: services`.

    What is ours is left out. Raises CommandError.
    """
    return compared(_running(bus), _saved(bus))


def compared(running: Settings, saved: Settings) -> list[str]:
    """Return what differs between settings that run and those that are saved."""
    return [
        text
        for name in sorted({**running, **saved})
        for text in _differences(name, running.get(name, {}), saved.get(name, {}))
    ]


def _differences(name: str, running: Mapping[str, Any], saved: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({**running, **saved}):
        if key not in _NOT_LOST and _plain(running.get(key)) != _plain(saved.get(key)):
            yield f"{name}: {key}"


def _plain(value: Any) -> Any:
    """Return a setting so that it can be compared: what is empty is as good as not there, and no order counts."""
    if isinstance(value, list):
        return sorted(map(str, value)) or None
    return value or None


def _running(bus: Bus) -> Settings:
    found = _named("zone", bus.call("zone.getZones")[0], lambda name: bus.call("zone.getZoneSettings2", "s", name)[0])
    found.update(
        _named(
            "policy", bus.call("policy.getPolicies")[0], lambda name: bus.call("policy.getPolicySettings", "s", name)[0]
        )
    )
    found.update(
        _named(
            "ipset",
            bus.call("ipset.getIPSets")[0],
            lambda name: _ipset(bus.call("ipset.getIPSetSettings", "s", name)[0]),
        )
    )
    direct = [bus.call("direct.getAll" + kind.capitalize())[0] for kind in _DIRECT]
    return {**found, "direct": dict(zip(_DIRECT, direct))}


def _saved(bus: Bus) -> Settings:
    def settings(kind: str, method: str) -> Callable[[str], Any]:
        return lambda name: bus.call(f"config.{kind.lower()}.{method}", path=_path(bus, kind, name))[0]

    found = _named("zone", _names(bus, "Zone"), settings("Zone", "getSettings2"))
    found.update(_named("policy", _names(bus, "Policy"), settings("Policy", "getSettings")))
    found.update(_named("ipset", _names(bus, "IPSet"), lambda name: _ipset(settings("IPSet", "getSettings")(name))))
    direct = bus.call("config.direct.getSettings", path=CONFIG_PATH)[0]
    return {**found, "direct": dict(zip(_DIRECT, direct))}


def _names(bus: Bus, kind: str) -> list[str]:
    names: list[str] = bus.call(f"config.get{kind}Names", path=CONFIG_PATH)[0]
    return names


def _path(bus: Bus, kind: str, name: str) -> str:
    path: str = bus.call(f"config.get{kind}ByName", "s", name, path=CONFIG_PATH)[0]
    return path


def _named(kind: str, names: list[str], settings: Callable[[str], Any]) -> Settings:
    return {f"{kind} {name}": settings(name) for name in names if not name.startswith(PREFIX)}


def _ipset(settings: list[Any]) -> dict[str, Any]:
    return dict(zip(("version", "short", "description", "type", "options", "entries"), settings))


def missing_ipsets(paths: FirewalldPaths) -> list[str]:
    """Return what saved zones and policies of others name and no ipset is: firewalld then loads no rules at all."""
    folders = (paths.firewalld, paths.shipped)
    known = {
        os.path.basename(path)[: -len(".xml")] for folder in folders for path in glob.glob(folder + "/ipsets/*.xml")
    }
    return sorted(
        {
            f"{name} (named in {path})"
            for path in _saved_files(folders)
            for name in _named_ipsets(path)
            if name not in known
        }
    )


def _saved_files(folders: Iterable[str]) -> list[str]:
    return [
        path
        for folder in folders
        for kind in ("zones", "policies")
        for path in glob.glob(f"{folder}/{kind}/*.xml")
        if not os.path.basename(path).startswith(PREFIX)
    ]


def _named_ipsets(path: str) -> list[str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        return _NAMED_IPSET.findall(file.read())
