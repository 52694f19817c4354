# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the user's settings that a reload of firewalld would change: the running and the saved ones differ."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.dbus import CONFIG_PATH, Bus
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX

Settings = dict[str, dict[str, Any]]
# Descriptive texts, and settings that NetworkManager and firewalld keep over a reload.
_NOT_LOST = ("version", "short", "description", "interfaces")
_NAMED_IPSET = re.compile(r'\bipset="([^"]+)"')
_DIRECT = ("chains", "rules", "passthroughs")


def unsaved_settings(bus: Bus) -> list[str]:
    """Return the differences between the running and the saved settings, such as `zone public: services`.

    Our own policies and ipsets are left out. Raises CommandError.
    """
    return compared(_running(bus), _saved(bus))


def compared(running: Settings, saved: Settings) -> list[str]:
    """Return the differences between running and saved settings."""
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
    """Return a setting in a comparable form: an empty one equals a missing one, and the order does not matter."""
    if isinstance(value, list):
        return sorted(map(str, value)) or None
    return value or None


def _running(bus: Bus) -> Settings:
    def ipset(name: str) -> dict[str, Any]:
        return _ipset(bus.read("ipset.getIPSetSettings", name))

    return {
        **_named("zone", bus.read("zone.getZones"), lambda name: bus.settings("zone.getZoneSettings2", name)),
        **_named("policy", bus.read("policy.getPolicies"), lambda name: bus.settings("policy.getPolicySettings", name)),
        **_named("ipset", bus.read("ipset.getIPSets"), ipset),
        "direct": {kind: bus.read("direct.getAll" + kind.capitalize()) for kind in _DIRECT},
    }


def _saved(bus: Bus) -> Settings:
    def names(kind: str) -> list[str]:
        return list(bus.read(f"config.get{kind}Names", path=CONFIG_PATH))

    def path(kind: str, name: str) -> str:
        return str(bus.read(f"config.get{kind}ByName", name, path=CONFIG_PATH))

    def ipset(name: str) -> dict[str, Any]:
        return _ipset(bus.read("config.ipset.getSettings", path=path("IPSet", name)))

    direct = bus.read("config.direct.getSettings", path=CONFIG_PATH)
    return {
        **_named("zone", names("Zone"), lambda name: bus.settings("config.zone.getSettings2", path=path("Zone", name))),
        **_named(
            "policy", names("Policy"), lambda name: bus.settings("config.policy.getSettings", path=path("Policy", name))
        ),
        **_named("ipset", names("IPSet"), ipset),
        "direct": dict(zip(_DIRECT, direct)),
    }


def _named(kind: str, names: list[str], settings: Callable[[str], Any]) -> Settings:
    return {f"{kind} {name}": settings(name) for name in names if not name.startswith(PREFIX)}


def _ipset(settings: list[Any]) -> dict[str, Any]:
    return dict(zip(("version", "short", "description", "type", "options", "entries"), settings))


def missing_ipsets(paths: FirewalldPaths) -> list[str]:
    """Return the missing ipsets that saved zones and policies of others name: firewalld then loads no rules at all."""
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
