# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the zones of firewalld (firewalld.zone(5), firewalld.richlanguage(5)) from a copy of its folders.

A zone with sources decides about them. The zone of the interfaces by which the host is reached, or else the default
zone, decides about all other packets, because interfaces cannot be expressed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, common_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Read, Unreadable
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.protocols import protocol_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import (
    Decision,
    Region,
    accepted,
    anywhere,
    everything,
)

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import AddrFormatError, IPNetwork, IPSet

# Where the folders are in a copy of the host's files, the site's own first.
_FOLDERS = ("etc/firewalld", "usr/lib/firewalld", ".")
_DEFAULT_ZONE = re.compile(r"^DefaultZone=(\S+)", re.MULTILINE)
_VERSIONS = {"ipv4": 4, "ipv6": 6}
# Policies of this collection, and what firewalld itself has for IPv6.
_NOT_OF_THE_SITE = (PREFIX, "allow-host-ipv6")
# Parts of a zone that do not concern what the host accepts.
_ELSEWHERE = {"short", "description", "interface", "source", "masquerade", "forward", "icmp-block", "rule"}
_DECIDES = ("accept", "drop", "reject")
# Parts of a rich rule that only write to a log, or say nothing.
_SILENT = ("log", "nflog", "audit")


def read_firewalld(folder: Path, interfaces: Collection[str] = ()) -> Read:
    """Return what the zones accept. Raises ValueError if the folder has no zones.

    `interfaces` are those by which other hosts reach this one: their zone decides about all packets.
    """
    reader = _Reader([folder / name for name in _FOLDERS if (folder / name).is_dir()], interfaces)
    zones = reader.files("zones")
    if not zones:
        raise ValueError(f"got {folder}, expected a folder with etc/firewalld and usr/lib/firewalld of a host")
    decisions = list(reader.decisions(zones))
    return Read(accepted(decisions), reader.left)


@dataclass
class _Reader:
    folders: list[Path]
    interfaces: Collection[str]
    left: list[str] = field(default_factory=list)

    def files(self, kind: str) -> dict[str, Path]:
        """Return the XML files of a kind by name; those of the site hide those of firewalld."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted((folder / kind).glob("*.xml")):
                found.setdefault(path.stem, path)
        return found

    def decisions(self, zones: dict[str, Path]) -> Iterator[Decision]:
        """Yield what all zones decide, in order."""
        parsed = {name: ElementTree.parse(path).getroot() for name, path in zones.items()}
        default = self._zone_of_all(parsed)
        for name, zone in parsed.items():
            sources = self._sources(name, zone)
            if sources.size:
                yield from self._zone(name, zone, Region(sources, EVERYTHING))
            for interface in zone.findall("interface") if name != default else ():
                self.left.append(f"zone {name}: it decides about interface {interface.get('name')}")
        if default not in parsed:
            self.left.append(f"zone {default}: its file is missing; copy /usr/lib/firewalld as well")
        else:
            yield from self._zone(default, parsed[default], everything())
        self.left += [f"policy {name}" for name in self.files("policies") if not name.startswith(_NOT_OF_THE_SITE)]
        if any((folder / "direct.xml").exists() for folder in self.folders):
            self.left.append("direct.xml: direct rules")

    def _zone_of_all(self, zones: Mapping[str, Element]) -> str:
        """Return the zone of the interfaces by which the host is reached, or else the default zone."""
        named = [
            name
            for name, zone in zones.items()
            for interface in zone.findall("interface")
            if interface.get("name") in self.interfaces
        ]
        return named[0] if named else self._default_zone()

    def _default_zone(self) -> str:
        for folder in self.folders:
            path = folder / "firewalld.conf"
            match = _DEFAULT_ZONE.search(path.read_text(encoding="utf-8")) if path.exists() else None
            if match:
                return match[1]
        return "public"

    def _sources(self, name: str, zone: Element) -> IPSet:
        found = IPSet()
        for source in zone.findall("source"):
            try:
                found |= self._networks(source)
            except Unreadable as exc:
                self.left.append(f"zone {name}: {exc}")
        return found

    def _networks(self, source: Element) -> IPSet:
        """Return the networks of a source. Raises Unreadable."""
        address, ipset = source.get("address"), source.get("ipset")
        texts = [address] if address else self._entries(ipset) if ipset else []
        if not texts:
            raise Unreadable(f"source {source.attrib}")
        try:
            return IPSet([IPNetwork(text) for text in texts])
        except (AddrFormatError, ValueError) as exc:
            raise Unreadable(f"source {texts}") from exc

    def _entries(self, name: str) -> list[str]:
        path = self.files("ipsets").get(name)
        return [entry.text or "" for entry in ElementTree.parse(path).getroot().findall("entry")] if path else []

    def _zone(self, name: str, zone: Element, region: Region) -> Iterator[Decision]:
        """Yield what a zone decides: rich rules, what it opens, rich rules with a priority above 0, its target."""
        rules = sorted(self._rich_rules(name, zone), key=lambda rule: rule[0])
        for order, decision in rules:
            if order[0] <= 0:
                yield Decision(region.common(decision.region), decision.accepts)
        for part in zone:
            if part.tag not in _ELSEWHERE:
                yield from self._opened(f"zone {name}", part, region)
        for order, decision in rules:
            if order[0] > 0:
                yield Decision(region.common(decision.region), decision.accepts)
        yield Decision(region, zone.get("target") == "ACCEPT")

    def _opened(self, where: str, part: Element, region: Region) -> Iterator[Decision]:
        try:
            yield Decision(region.common(Region(anywhere(), self._ports(part))), True)
        except Unreadable as exc:
            self.left.append(f"{where}: {exc}")

    def _ports(self, part: Element) -> tuple[PortRange, ...]:
        """Return the ports of a part of a zone, a rule or a service. Raises Unreadable."""
        if part.tag == "service":
            return self._service(part.get("name", ""), ())
        if part.tag == "protocol":
            return protocol_ports(part.get("value", ""))
        if part.tag == "port":
            first, _dash, last = part.get("port", "").partition("-")
            try:
                wanted = PortRange(part.get("protocol", ""), int(first), int(last or first))
            except ValueError as exc:
                raise Unreadable(f"port {part.attrib}") from exc
            ports = tuple(common_ports(EVERYTHING, [wanted]))
            if ports:
                return ports
        raise Unreadable(f"{part.tag} {' '.join(part.attrib.values())}".strip())

    def _service(self, name: str, path: tuple[str, ...]) -> tuple[PortRange, ...]:
        file = self.files("services").get(name)
        if not file or name in path:
            raise Unreadable(f"service {name}: its file is missing; copy /usr/lib/firewalld as well")
        root = ElementTree.parse(file).getroot()
        ports = [
            ports
            for part in root
            if part.tag in ("port", "protocol") and (part.get("port") or part.get("value"))
            for ports in self._ports(part)
        ]
        for included in root.findall("include"):
            ports += self._service(included.get("service", ""), (*path, name))
        if root.find("source-port") is not None:
            raise Unreadable(f"service {name}: a source port")
        return tuple(ports)

    # ---- rich rules

    def _rich_rules(self, name: str, zone: Element) -> Iterator[tuple[tuple[int, bool], Decision]]:
        """Yield the rich rules of a zone, each with its place: by priority; of priority 0, what drops comes first."""
        for rule in zone.findall("rule"):
            try:
                decision = self._rich_rule(rule)
            except Unreadable as exc:
                self.left.append(f"zone {name}: rich rule: {exc}")
                continue
            if decision:
                priority = int(rule.get("priority", "0"))
                yield (priority, not priority and decision.accepts), decision

    def _rich_rule(self, rule: Element) -> Decision | None:
        """Return what a rich rule decides, or None if it only logs. Raises Unreadable."""
        sources, ports, action = anywhere(), EVERYTHING, ""
        version = _VERSIONS.get(rule.get("family", ""))
        if version:
            sources = IPSet([network for network in anywhere().iter_cidrs() if network.version == version])
        for part in rule:
            if part.tag in _DECIDES:
                action = part.tag
                if part.find("limit") is not None:
                    raise Unreadable("a limit")
            elif part.tag == "source":
                named = self._networks(part)
                sources = sources - named if part.get("invert", "").lower() in ("yes", "true") else sources & named
            elif part.tag not in _SILENT:
                ports = self._ports(part)
        return Decision(Region(sources, ports), action == "accept") if action else None
