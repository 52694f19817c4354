# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the reference of the shipped port file, docs/ports.md and docs/groups/; then read `git diff`.

Run it as: PYTHONPATH=.collections python -m ansible_collections.hpc.ports.tests.support.port_reference
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import PORT_FILE
from ansible_collections.hpc.ports.tests.support.port_diagrams import Box, Row, drawn

DOCS = Path(__file__).resolve().parents[2] / "docs"
# The endpoint of every managed host. Its flows are the same on all pages.
EVERY = "managed_hosts"
# What a host of each group is: the groups of the collection, and others that shipped flows name.
GROUPS = {
    "control_plane": "runs the platform: its web UI, API, databases and message queue",
    "platform_storage": "exports the shared file system of the platform",
    "platform_database": "runs databases of the platform outside the control plane",
    "slurm_controller": "runs slurmctld",
    "slurm_database": "runs slurmdbd, or its SQL server",
    "slurm_login": "is where users log in and start jobs of Slurm",
    "slurm_compute": "runs jobs of Slurm",
    "pbs_server": "runs the PBS server and its scheduler",
    "pbs_comm": "runs pbs_comm",
    "pbs_login": "is where users log in and start jobs of PBS",
    "pbs_execution": "runs jobs of PBS",
    "nfs_server": "exports file systems to clusters",
    "nfs_client": "mounts from NFS servers and is no node of a cluster",
    "workspace": "has the workspaces of users, for the platform",
    "workbench": "has desktops, Jupyter and VS Code for users",
    "web_portal": "runs a portal for users: Open OnDemand, or the one of E-HPC",
    "monitoring": "runs Prometheus, Grafana and Fluentd",
    "managed": "is none of the others, or something that the site adds",
    "jupyterhub": "runs JupyterHub, and is in `managed` or in another group of the collection as well",
    "data_mover": "transfers data to other sites, and is in `managed` or in another group of the collection as well",
}
# The boxes of the diagram of all groups, with the groups and endpoints that each has.
KINDS = {
    "Ansible": "controllers",
    "administrators": "admin_networks",
    "users": "cluster_users portal_users workbench_users",
    "anyone": "anywhere",
    "control plane": "control_plane platform kubernetes_nodes",
    "web portals": "web_portal jupyterhub",
    "login nodes": "slurm_login pbs_login",
    "compute nodes": "slurm_compute pbs_execution",
    "scheduler hosts": "slurm_controller slurm_database pbs_server pbs_comm",
    "NFS": "nfs_server nfs_client",
    "workspaces": "workspace",
    "Workbench": "workbench",
    "monitoring": "monitoring",
    "platform storage": "platform_storage platform_database storage_servers managed_databases",
    "networks that mount": "nfs_networks",
    "file servers": "file_servers",
    "every managed host": EVERY,
    "servers of the site": "dns_servers ntp_servers directory_servers package_mirrors web_proxies",
}
# So many letters fit on a line of a diagram.
_LONG = 32
_PORT = re.compile(r"(?P<first>\d+)(?:-\d+)?/(?P<protocol>\w+)")
_GENERATED = "This page is made from the shipped port file"


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """Return services, endpoints and flows of the shipped port file."""
    found = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    return {section.removeprefix("firewall_"): entries for section, entries in found.items()}


@cache
def areas() -> dict[str, str]:
    """Return the heading in the port file under which each flow is, by flow."""
    text = PORT_FILE.read_text(encoding="utf-8").partition("\nfirewall_flows:\n")[2]
    found, area = {}, ""
    for heading, flow in re.findall(r"^  (?:# -+ (.+?)(?: \(.+\))? -+|(\w+):)$", text, re.MULTILINE):
        area = heading or area
        if flow:
            found[flow] = area
    return found


def members(name: str) -> list[str]:
    """Return the groups of an endpoint, or the group itself."""
    endpoint = shipped()["endpoints"].get(name, {"groups": [name]})
    return [*endpoint.get("groups", []), *endpoint.get("fallback_groups", [])]


def side(flow: Mapping[str, Any], key: str) -> str:
    """Return the names of one side of a flow."""
    return ", ".join(flow[key])


def ports_of(flow: Mapping[str, Any]) -> str:
    """Return the services of a flow with their ports."""
    services = shipped()["services"]
    return "; ".join(f"{name} {', '.join(services[name]['ports'])}" for name in flow["services"])


def pages() -> dict[Path, str]:
    """Return the text of each file, by its path."""
    return {
        DOCS / "ports.md": _port_page(),
        DOCS / "groups" / "README.md": _groups_page(),
        DOCS / "groups" / "groups.svg": overview(),
        **{DOCS / "groups" / f"{group}.md": _group_page(group) for group in GROUPS},
        **{DOCS / "groups" / f"{group}.svg": diagram(group) for group in GROUPS},
    }


# ---- By port --------------------------------------------------------------------------------------------------------

_BROAD = ", ".join(f"`{name}`" for name, service in shipped()["services"].items() if service.get("broad"))
_PORTS_HEAD = f"""\
# Ports

Which ports do the services of the shipped port file have, and who may connect to them? {_GENERATED}.

- **need** says [which flows are on](port-file.md#which-flows-are-on).
- The names on both sides of an arrow are [groups and endpoints](groups/README.md). *Same cluster* means only hosts that
  share a `firewall_cluster`.
- [Broad services](port-file.md#settings-that-matter) leave out ports that other services have on the target: {_BROAD}.
- [flows.md](flows.md) says what stops working without a flow.

"""
_PORTS_TABLE = "| port | service | from → to | flow | need |\n| --- | --- | --- | --- | --- |\n"


def _port_page() -> str:
    services = shipped()["services"]
    rows = [(port, name, text) for name, service in services.items() for port, text in _by_number(service["ports"])]
    sections: dict[str, list[str]] = {}
    for port, name, text in sorted(rows):
        sections.setdefault(_section_of(port), []).extend(_port_rows(text, name))
    return _PORTS_HEAD + "\n".join(f"## {title}\n\n{_PORTS_TABLE}{''.join(lines)}" for title, lines in sections.items())


def _by_number(ports: Iterable[str]) -> Iterator[tuple[tuple[bool, int], str]]:
    """Return the ports of a service for sorting, those of TCP and UDP with one number together."""
    found: dict[tuple[bool, int], list[str]] = {}
    for text in ports:
        match = _PORT.fullmatch(text)
        assert match, text
        found.setdefault((match["protocol"] == "ip", int(match["first"])), []).append(text)
    for key, texts in found.items():
        yield key, ", ".join(texts)


def _section_of(port: tuple[bool, int]) -> str:
    if port[0]:
        return "IP protocols without ports"
    return "Below 1024" if port[1] < 1024 else "From 1024 to 9999" if port[1] < 10000 else "From 10000"


def _port_rows(text: str, service: str) -> Iterator[str]:
    title = shipped()["services"][service]["title"]
    for name, flow in shipped()["flows"].items():
        if service in flow["services"]:
            yield (
                f"| {text} | `{service}`: {title} | {side(flow, 'from')} → {side(flow, 'to')}{_cluster(flow)} "
                f"| [{name}](flows.md#{name}) | {flow['need']} |\n"
            )


def _cluster(flow: Mapping[str, Any]) -> str:
    return ", same cluster" if flow.get("within_cluster") else ""


# ---- By group -------------------------------------------------------------------------------------------------------

_LEGEND = """\
An arrow says who opens connections to whom. The diagram leaves out flows that are off unless a site turns them on"""
_GROUPS_HEAD = f"""\
# Groups and flows

Who connects to whom? {_GENERATED}. Each group has a page that says what its
hosts accept and open. [The port file](../port-file.md#groups) says how hosts get into groups.

![All kinds of hosts, and the services for which they connect to each other](groups.svg)

{_LEGEND}. [ports.md](../ports.md) lists all of them by port.

## Groups

| group | a host of the group |
| --- | --- |
"""
_ENDPOINTS_HEAD = """
## Endpoints

Flows also name these sets of groups and addresses. The site fills in the empty ones.

| endpoint | what it is | groups and addresses |
| --- | --- | --- |
"""


def _groups_page() -> str:
    groups = "".join(f"| [{group}]({group}.md) | {about} |\n" for group, about in GROUPS.items())
    rows = [
        f"| `{name}` | {endpoint['title']} | {_content(endpoint)} |\n"
        for name, endpoint in shipped()["endpoints"].items()
    ]
    return _GROUPS_HEAD + groups + _ENDPOINTS_HEAD + "".join(rows)


def _content(endpoint: Mapping[str, Any]) -> str:
    fallback = endpoint.get("fallback_groups", [])
    words = [*endpoint.get("groups", []), *endpoint.get("cidrs", []), *endpoint.get("hostnames", [])]
    text = ", ".join(words) or "empty"
    return f"{text}; without such hosts in a cluster {', '.join(fallback)}" if fallback else text


def _group_page(group: str) -> str:
    title = f"# {group}\n\n"
    about = f"A host of the group `{group}` {GROUPS[group]}. [All groups](README.md)\n\n"
    picture = f"![Who connects to {group}, and to whom it connects]({group}.svg)\n\n"
    legend = f"{_LEGEND},\nand those of every managed host. The tables have all of them.\n\n"
    return (
        title
        + about
        + picture
        + legend
        + _table("accepts", "from", _flows(group, "to"))
        + "\n"
        + _table("opens", "to", _flows(group, "from"))
    )


def _flows(group: str, key: str) -> dict[str, dict[str, Any]]:
    """Return the flows that have the group on one side."""
    return {
        name: flow
        for name, flow in shipped()["flows"].items()
        if any(group in members(member) for member in flow[key]) or (group in _EXTRA and EVERY in flow[key])
    }


_EXTRA = sorted(set(GROUPS) - set(CANONICAL_GROUPS))
_OPENS = """\
Without [restricted egress](../port-file.md#settings-that-matter) a host opens any connection. With it, only these:

"""


def _table(verb: str, key: str, flows: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        f"| [{name}](../flows.md#{name}): {flow['title']} | {side(flow, key)}{_cluster(flow)} | {ports_of(flow)} "
        f"| {flow['need']} |\n"
        for name, flow in flows.items()
    ]
    head = f"## What it {verb}\n\n{_OPENS if verb == 'opens' else ''}"
    return f"{head}| flow | {key} | services | need |\n| --- | --- | --- | --- |\n{''.join(rows)}"


# ---- Diagrams -------------------------------------------------------------------------------------------------------


def diagram(group: str) -> str:
    """Return the drawing of a group: who connects to it, and to whom it connects."""
    accepted, opened = _shown(group, "to"), _shown(group, "from")
    sources = dict.fromkeys(name for flow in accepted.values() for name in flow["from"])
    rows = [Row(_label(name, flow), flow["from"], _is_off(flow)) for name, flow in accepted.items()]
    targets: dict[str, list[Row]] = {}
    for name, flow in opened.items():
        for target in flow["to"]:
            targets.setdefault(target, []).append(Row(_label(name, flow), [group], _is_off(flow)))
    return drawn(
        f"Who connects to {group}, and to whom it connects",
        [[Box(name) for name in sources], [Box(group, rows=rows)], [Box(name, rows=targets[name]) for name in targets]],
    )


def _shown(group: str, key: str) -> dict[str, dict[str, Any]]:
    """Return the flows of a side of the diagram: those that are on, or all if none of the group is on."""
    own = {name: flow for name, flow in _flows(group, key).items() if group == "managed" or EVERY not in flow[key]}
    both = {**_flows(group, "to"), **_flows(group, "from")}
    is_off = all(_is_off(flow) for flow in both.values() if EVERY not in (*flow["to"], *flow["from"]))
    return {name: flow for name, flow in own.items() if is_off or not _is_off(flow)}


def _label(name: str, flow: Mapping[str, Any]) -> str:
    services = ports_of(flow)
    return f"{name}: {services if len(services) <= _LONG else ', '.join(flow['services'])}"


def _is_off(flow: Mapping[str, Any]) -> bool:
    return bool(flow["need"] == "optional")


def overview() -> str:
    """Return the drawing of all kinds of hosts, with the flows that are on where both sides have addresses."""
    services: dict[str, dict[str, dict[str, None]]] = {}
    for flow in shipped()["flows"].values():
        if not _is_off(flow):
            for source in _kinds(flow["from"]):
                for target in _kinds(flow["to"]):
                    services.setdefault(target, {}).setdefault(source, {}).update(dict.fromkeys(flow["services"]))
    sources = [kind for kind in KINDS if any(kind in by_source for by_source in services.values())]
    return drawn(
        "Kinds of hosts and their flows",
        [
            [Box(kind, _about(kind)) for kind in sources],
            [Box(kind, _about(kind), _rows(services[kind])) for kind in KINDS if kind in services],
        ],
        between=240,
    )


def _rows(services: Mapping[str, Iterable[str]]) -> list[Row]:
    """Return a row for each set of services, with all that connect to it."""
    by_text: dict[str, list[str]] = {}
    for source, names in services.items():
        by_text.setdefault(", ".join(names), []).append(source)
    return [Row(text, sources) for text, sources in by_text.items()]


def _kinds(names: Iterable[str]) -> list[str]:
    """Return the boxes of the names of one side of a flow."""
    by_name = {name: kind for kind, names in KINDS.items() for name in names.split()}
    groups = shipped()["endpoints"]
    single = [part for name in names for part in ([name] if name in by_name else groups[name]["groups"])]
    return list(dict.fromkeys(by_name[name] for name in single))


def _about(kind: str) -> list[str]:
    return textwrap.wrap(KINDS[kind].replace(" ", ", "), _LONG)


def main() -> None:
    """Write the files."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
