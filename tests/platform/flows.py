# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped flows against the uses: which is on when, what each is for, and the page that tells readers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.hpc.ports.tests.platform.uses import USES, Use
from ansible_collections.hpc.ports.tests.support.hosts import ROOT
from ansible_collections.hpc.ports.tests.support.port_reference import areas, ports_of, side

PAGE = ROOT / "docs" / "flows.md"
SHIPPED = ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml"
SITE = ROOT / "extensions" / "molecule" / "platform" / "inventory" / "group_vars" / "all" / "firewall.yml"
_KUBERNETES = "The test platform does not run on Kubernetes."
_FILE_SERVERS = "The NFS servers here are in the inventory."
_PORTAL = "The test platform has no web portal; only probes test it."
_WORKBENCH = "The test platform has no Workbench host; only probes test it."
_NO_SOFTWARE = "The test platform does not have this software."
# Why a flow has no use.
NOT_EXERCISED = {
    "management_ssh": "Ansible needs it for every connection; it cannot be turned off.",
    "slurm_backup_controller": "The test platform has one controller.",
    "slurm_sql_controller": "The SQL server of the test platform has a host of its own.",
    "slurm_federation": "One Slurm cluster here.",
    "slurm_federation_accounting": "One Slurm cluster here.",
    "slurm_rest": "The test platform does not run slurmrestd.",
    "pbs_scheduler": "Only older versions of PBS need it.",
    "pbs_datastore": "The test platform has one PBS server.",
    "vrrp": "The test platform has no virtual address.",
    "nfs_v3_callbacks": "No test uses locks of version 3.",
    "kubernetes_nodes": _KUBERNETES,
    "kubernetes_pods": _KUBERNETES,
    "kubernetes_admins": _KUBERNETES,
    "kubernetes_node_ports": _KUBERNETES,
    "kubernetes_flannel": _KUBERNETES,
    "kubernetes_calico": _KUBERNETES,
    "web_portal": _PORTAL,
    "portal_https": _PORTAL,
    "portal_scheduler": _PORTAL,
    "portal_accounting": _PORTAL,
    "portal_ssh": _PORTAL,
    "portal_user_traffic": _PORTAL,
    "jupyterhub": _PORTAL,
    "jupyterhub_api": _PORTAL,
    "workbench_rdp": _WORKBENCH,
    "workbench_rdp_udp": _WORKBENCH,
    "workbench_jupyter": _WORKBENCH,
    "workbench_vscode": _WORKBENCH,
    "workbench_git": _WORKBENCH,
    "workbench_dcv": _WORKBENCH,
    "workbench_novnc": _WORKBENCH,
    "workbench_docker": _WORKBENCH,
    "workbench_docker_plain": _WORKBENCH,
    "node_docker": "It is off, because its ports should be closed.",
    "directory": "The test platform has no directory service.",
    "syslog": _NO_SOFTWARE,
    "file_servers_nfs": _FILE_SERVERS,
    "file_servers_nfs_v3": _FILE_SERVERS,
    "file_servers_callbacks": _FILE_SERVERS,
    "monitoring_web": _NO_SOFTWARE,
    "ganglia": _NO_SOFTWARE,
    "data_transfer": _NO_SOFTWARE,
    "data_transfer_out": _NO_SOFTWARE,
    "platform_clients": "No such host uses the platform here.",
    "packages": _NO_SOFTWARE,
    "web_proxy": _NO_SOFTWARE,
    "licences": _NO_SOFTWARE,
    "lustre": _NO_SOFTWARE,
    "lustre_callbacks": _NO_SOFTWARE,
    "beegfs": _NO_SOFTWARE,
    "beegfs_callbacks": _NO_SOFTWARE,
    "spectrum_scale": _NO_SOFTWARE,
    "lsf": _NO_SOFTWARE,
    "head_node_dhcp": _NO_SOFTWARE,
    "head_node_tftp": _NO_SOFTWARE,
}
# A flow that opens nothing which another does not open too, here: what it is for shows when both are off.
COVERED_BY = {"slurm_srun_controller": "cluster_user_traffic_controller"}
_HEAD = """\
# What each flow is for

This page lists every flow of the shipped port file, and what stops working without it. [ports.md](ports.md) finds a
flow by its port, [groups](groups/README.md) by its hosts.

A [test](https://github.com/hpc-ports/hpc.ports/tree/main/extensions/molecule#the-real-daemons) writes the page. It runs
the real software, with each daemon on a host of its own and restricted egress on every managed host, turns flows off,
and tries at most three uses of each flow. Several flows are off at the same time, but no tried use needs two.
*Stand-in* means that Debian has no package of the software, so a listener takes its place. *Not exercised* means that
no use was tried, and why. The first lines of the [port file](../plugins/plugin_utils/_port_file/port_file.yml) say what
the references are.
"""


def shipped_port_file() -> dict[str, Any]:
    """Return the shipped port file."""
    found: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return found


def uses_of(flow: str) -> list[Use]:
    """Return the uses that go by a flow."""
    return [use for use in USES.values() if flow in use.flows]


def shown_for(flow: str) -> list[Use]:
    """Return the uses that show what a flow is for: those that need the least besides, three at most."""
    return sorted(uses_of(flow), key=lambda use: len(use.flows))[:3]


def rounds() -> list[list[str]]:
    """Return flows to have off at a time: nothing that shows what one is for goes by another of them."""
    found: list[list[str]] = []
    for flows in sorted(_by_area(), key=len, reverse=True):
        for flow in flows:
            # Those of one area apart, as far as it goes: what shows them is done one after the other.
            fits = [off for off in reversed(found) if not any(_meet(flow, other) for other in off)]
            if not fits:
                found.append([])
            min(fits or found[-1:], key=lambda off: len(set(off) & set(flows))).append(flow)
    return found


def _by_area() -> list[list[str]]:
    """Return the flows that have uses, by the area of these."""
    found: dict[str, dict[str, None]] = {}
    for use in USES.values():
        found.setdefault(use.area, {}).update(dict.fromkeys(use.flows))
    return [list(flows) for flows in found.values()]


def _meet(one: str, other: str) -> bool:
    return any({one, other} <= set(use.flows) for use in (*shown_for(one), *shown_for(other)))


def controls(off: Collection[str]) -> list[Use]:
    """Return one use of each affected area that needs no flow that is off: it shows that the machine keeps up."""
    closed = {*off, *_covering(off)}
    areas = {use.area for flow in off for use in shown_for(flow)}
    others: dict[str, Use] = {}
    for use in sorted(USES.values(), key=lambda use: len(use.flows)):
        if use.area in areas and not closed & set(use.flows):
            others.setdefault(use.area, use)
    return list(others.values())


def wrong(off: Collection[str], without: Mapping[str, str], again: Mapping[str, str]) -> list[str]:
    """Return why it is not proven that these flows are needed, [] where it is.

    `without` are the errors while they were off, of what shows them and of the controls; `again` those of the same with
    the same patience once they were on again: a use that fails then failed for another reason, such as a slow machine.
    """
    shown = {use.name: flow for flow in off for use in shown_for(flow)}
    return [
        *(f"{name} works without {flow}." for name, flow in shown.items() if name not in without),
        *(f"{name} fails though its flows are on: {text}" for name, text in without.items() if name not in shown),
        *(f"{name} fails with all flows on as well: {text}" for name, text in again.items()),
    ]


def _covering(flows: Iterable[str]) -> list[str]:
    return [COVERED_BY[flow] for flow in flows if flow in COVERED_BY]


def site_without(*flows: str) -> dict[str, Any]:
    """Return `firewall_flows` of the site, with these off, and those that cover them."""
    flows += tuple(_covering(flows))
    site = yaml.safe_load(SITE.read_text(encoding="utf-8"))["firewall_flows"]
    return {"firewall_flows": {**site, **{flow: {"enabled": False} for flow in flows}}}


def page(failed: Mapping[str, list[str]]) -> str:
    """Return the page: `failed` are the names of the uses that failed without a flow, by flow."""
    lines, area = [_HEAD], ""
    for name, flow in shipped_port_file()["firewall_flows"].items():
        if areas()[name] != area:
            area = areas()[name]
            lines.append(f"\n## {area}\n")
        lines.append(_section(name, flow, failed.get(name, [])))
    return "".join(lines)


def _section(name: str, flow: Mapping[str, Any], failed: Sequence[str]) -> str:
    facts = [
        f"{side(flow, 'from')} → {side(flow, 'to')}{', same cluster' if flow.get('within_cluster') else ''}",
        ports_of(flow),
        f"[{flow['need'].capitalize()}](port-file.md#which-flows-are-on)",
        _effect(name, failed),
        *([f"Note: {flow['note']}"] if "note" in flow else []),
        f"Reference: {'; '.join(flow['reference'])}",
    ]
    lines = "".join(f"- {fact}\n" for fact in facts)
    return f"\n### {name}\n\n{flow['title']}.\n\n{lines}"


def _effect(name: str, failed: Sequence[str]) -> str:
    lost = [f"{USES[use].purpose}{' *(stand-in)*' if USES[use].is_stood_in else ''}" for use in failed]
    if not lost:
        return f"Not exercised: {NOT_EXERCISED.get(name, 'Nothing failed.')}"
    effect = f"Fails without it: {'; '.join(lost)}."
    if name in COVERED_BY:
        effect += f" This shows only if `{COVERED_BY[name]}` is off as well, because it opens the same ports."
    return effect


def written(folder: Path, text: str) -> None:
    """Write the page into the tests' output, to be committed by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE.name).write_text(text, encoding="utf-8")
