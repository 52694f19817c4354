# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what opens and closes between two plans as sentences, JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.difference import (
    MANAGED,
    Change,
    Difference,
    OutsideChange,
    Setting,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._report.phrases import named_hosts, networks_text, ports_text

FORMAT = 1
# The same as in the matrix.
_KEYS = {"sources": "from", "targets": "to"}


class Report(NamedTuple):
    """A difference, the title of the earlier state, and the hosts by the groups that may stand for them."""

    title: str
    difference: Difference
    groups: Mapping[str, Sequence[str]]


def data_of(report: Report) -> dict[str, Any]:
    """Return plain data."""
    difference = report.difference
    return {
        "format": FORMAT,
        "from": report.title,
        "hosts_added": list(difference.added),
        "hosts_removed": list(difference.removed),
        "settings": [_plain(setting) for setting in difference.settings],
        **{
            name: [_plain(change) for change in getattr(difference, name)]
            for name in ("opened", "closed", "opened_outside", "closed_outside")
        },
        "others": list(difference.others),
        "opens_outside": opens_outside(difference),
        "lines": lines(report),
    }


def _plain(item: Any) -> dict[str, Any]:
    """Return a named tuple as data. Ports are texts, as in the port file."""
    return {
        _KEYS.get(name, name): _texts(value) if isinstance(value, tuple) else value
        for name, value in item._asdict().items()
    }


def _texts(values: Sequence[Any]) -> list[str]:
    return list(map(str, values))


def opens_outside(difference: Difference) -> bool:
    """Return whether more is open to networks outside the inventory, or by a setting whatever the flows say.

    The ssh of the controllers to a new host does not count: every host has it.
    """
    return any(setting.opens for setting in difference.settings) or any(
        change.flows != (MANAGEMENT_FLOW,) or not set(change.hosts) <= set(difference.added)
        for change in difference.opened_outside
    )


# ---- sentences


def lines(report: Report) -> list[str]:
    """Return the difference for a screen."""
    parts = _parts(report)
    if not parts:
        return [f"Nothing changes since {report.title}."]
    return [
        f"Changes since {report.title}:",
        *(text for title, texts in parts for text in ("", f"{title}:", *(f"  {text}" for text in texts))),
    ]


def _parts(report: Report) -> list[tuple[str, list[str]]]:
    """Return the sentences by title, without empty parts."""
    difference, groups = report.difference, report.groups
    parts = [
        ("Opens to networks outside the inventory", [_outside(one, groups) for one in difference.opened_outside]),
        ("Opens", [_opened(one, report) for one in difference.opened]),
        (
            "Closes",
            [_closed(one, report) for one in difference.closed if not set(one.targets) <= {*difference.removed}],
        ),
        (
            "Closes to networks outside the inventory",
            [
                _outside(one, groups, verb="closed")
                for one in difference.closed_outside
                if not set(one.hosts) <= {*difference.removed}
            ],
        ),
        ("Settings", [_setting(one, groups) for one in difference.settings]),
        ("Other rules", list(difference.others)),
        (
            "Hosts",
            [
                *_hosts_that("is new", "are new", difference.added),
                *_hosts_that("has left", "have left", difference.removed),
            ],
        ),
    ]
    return [(title, list(map(shown, texts))) for title, texts in parts if texts]


def _opened(change: Change, report: Report) -> str:
    return _sentence(change, report, "opened", report.difference.added, "new")


def _closed(change: Change, report: Report) -> str:
    return _sentence(change, report, "closed", report.difference.removed, "gone")


def _sentence(change: Change, report: Report, verb: str, marked: Collection[str], mark: str) -> str:
    targets, sources = (
        named_hosts(hosts, report.groups, {host: mark for host in marked}) for hosts in (change.targets, change.sources)
    )
    return f"{targets}: {ports_text(change.ports)} from {sources} {_is(change.ports)} {verb}{_flows(change.flows)}"


def _outside(change: OutsideChange, groups: Mapping[str, Sequence[str]], verb: str = "opened") -> str:
    networks = networks_text(change.endpoints, change.networks)
    way = "to" if change.outward else "from"
    ports, hosts = ports_text(change.ports), named_hosts(change.hosts, groups)
    return f"{hosts}: {ports} {way} {networks} {_is(change.ports)} {verb}{_flows(change.flows)}"


def _is(ports: Sequence[PortRange]) -> str:
    return "is" if len(ports) == 1 and ports[0].first == ports[0].last else "are"


def _flows(flows: Sequence[str]) -> str:
    return f" (flow{'s' if len(flows) > 1 else ''} {', '.join(flows)})" if flows else ""


def _setting(setting: Setting, groups: Mapping[str, Sequence[str]]) -> str:
    hosts = named_hosts(setting.hosts, groups)
    if setting.name == MANAGED:
        what = "a firewall is added" if setting.after else "there is no firewall any more, so all ports are open"
        return f"{hosts}: {what}"
    before, after = (_value(value) for value in (setting.before, setting.after))
    note = ", so more is open than the flows say" if setting.opens else ""
    return f"{hosts}: firewall_{setting.name} changes from {before} to {after}{note}"


def _value(value: Any) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def _hosts_that(one: str, several: str, hosts: Sequence[str]) -> list[str]:
    return [f"{', '.join(hosts)} {several if len(hosts) > 1 else one}"] if hosts else []


# ---- files


def _json(report: Report) -> str:
    return json.dumps(data_of(report), indent=1) + "\n"


def _markdown(report: Report) -> str:
    """Return Markdown for a comment on a merge request."""
    parts = _parts(report)
    head = f"### Ports since {_escaped(report.title)}\n\n"
    if not parts:
        return f"{head}Nothing changes.\n"
    texts = [
        "\n".join([f"**{title}**", "", *(f"- {_escaped(sentence)}" for sentence in sentences)])
        for title, sentences in parts
    ]
    return head + "\n\n".join(texts) + "\n"


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|~#" else char for char in shown(text))


# What writes a file, by the end of its name.
WRITERS: Mapping[str, Callable[[Report], str]] = {".json": _json, ".md": _markdown}
