# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of verify as JUnit XML, which CI servers show: a test suite a target, a test case a connection."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple
from xml.etree import ElementTree

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_lines
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Cell, HostData, NotTested, Report

SEVERAL = "(several hosts)"
_POLICY = "runs its policy"
# What XML 1.0 has no way to write.
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


class Case(NamedTuple):
    """One test case; `result` is empty where it passed, else failure, error or skipped, with what is said of it."""

    name: str
    seconds: float = 0.0
    result: str = ""
    message: str = ""
    text: str = ""


def junit(data: Report) -> str:
    """Return the file's text for a report (format 2). Raises KeyError for a report that lacks something.

    Cells with one source, target and intent that are right share a test case; every other cell has its own.
    """
    suites: dict[str, list[Case]] = defaultdict(list)
    for name, host in sorted(data["hosts"].items()):
        if host["managed"]:
            suites[name].append(_policy_case(name, host))
    for name in data["summary"]["left_out"]:
        suites[name].append(
            Case(_POLICY, 0.0, "error", f"{name} took no part in the tests: it failed or was not reached before.")
        )
    for target, case in _cell_cases(data["cells"]):
        suites[target].append(case)
    for skipped in data["not_tested"]:
        suites[skipped["target"] or SEVERAL].append(_skipped_case(skipped))
    root = ElementTree.Element("testsuites", _clean({"name": "hpc.ports.verify", **_counts(chain(*suites.values()))}))
    for target, cases in sorted(suites.items()):
        root.append(_suite(target, cases, data["made"]))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


# ---- the test cases


def _policy_case(name: str, host: HostData) -> Case:
    """Return the case of a host: failed if it may run another policy, skipped if its ruleset was not compared."""
    if host["is_equal"]:
        return Case(_POLICY)
    if host["is_equal"] is False:
        differ = f"These differ: {listed(host['objects'])}"
        return Case(_POLICY, 0.0, "failure", f"{name} does not run its policy.", differ)
    if host["reason"]:
        return Case(_POLICY, 0.0, "failure", f"It is not known whether {name} runs its policy: {host['reason']}")
    return Case(_POLICY, 0.0, "skipped", f"The ruleset of {name} was not read back.")


def _cell_cases(cells: Iterable[Cell]) -> list[tuple[str, Case]]:
    right = defaultdict(list)
    cases = []
    for cell in cells:
        if cell["verdict"] == "right":
            right[cell["target"], cell["source"], cell["intended"]].append(cell)
        else:
            cases.append((cell["target"], _bad_case(cell)))
    return cases + [
        (target, _right_case(source, target, intended, cells_alike))
        for (target, source, intended), cells_alike in sorted(right.items())
    ]


def _bad_case(cell: Cell) -> Case:
    result = "failure" if cell["verdict"] == "wrong" else "error"
    message = f"intended {cell['intended']}, compiled {cell['compiled']}, observed {cell['outcome']}"
    flow = f"Flow: {cell['flow']}" if cell["flow"] else "No flow allows this connection."
    diagnosis = cell["diagnosis"] or {"text": "", "advice": ""}
    texts = [
        cell["why"],
        diagnosis["text"],
        diagnosis["advice"],
        flow,
        f"Rule: {cell['rule']}" if cell["rule"] else "",
        cell["detail"],
    ]
    address = "" if cell["address"] == cell["target"] else f" ({cell['address']})"
    return Case(
        f"{cell['source']} -> {cell['target']}:{cell['port']}/{cell['protocol']}{address}",
        cell["seconds"] or 0.0,
        result,
        f"{cell['verdict']}: {message}",
        "\n".join(map(shown, filter(None, texts))),
    )


def _right_case(source: str, target: str, intended: str, cells: list[Cell]) -> Case:
    ports = sorted({(cell["protocol"], cell["port"]) for cell in cells})
    ports_text = ", ".join(f"{port}/{protocol}" for protocol, port in ports[:5])
    rest = f" and {len(ports) - 5} more" if len(ports) > 5 else ""
    return Case(f"{source} -> {target}: {intended} {ports_text}{rest}", max(cell["seconds"] or 0.0 for cell in cells))


def _skipped_case(not_tested: NotTested) -> Case:
    ends = f"{not_tested['source'] or 'several'} -> {not_tested['target'] or 'several'}"
    return Case(f"{ends}: {not_tested['connections']} not tested", 0.0, "skipped", not_tested["reason"])


# ---- the XML


def _suite(target: str, cases: list[Case], made: str) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite", _clean({"name": target, "timestamp": made.removesuffix("Z"), **_counts(cases)})
    )
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", _clean({"classname": target, "name": case.name, "time": f"{case.seconds:.3f}"})
        )
        if case.result:
            result = ElementTree.SubElement(element, case.result, _clean({"message": case.message}))
            result.text = shown_lines(case.text) or None
    return suite


def _counts(cases: Iterable[Case]) -> dict[str, str]:
    """Return the attributes; the time is the longest, as the cases of a host are tried side by side."""
    cases = list(cases)
    count = Counter(case.result for case in cases)
    return {
        "tests": str(len(cases)),
        **{attribute: str(count[result]) for result, attribute in _COUNTED.items()},
        "time": f"{max((case.seconds for case in cases), default=0.0):.3f}",
    }


def _clean(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: shown(text) for name, text in attributes.items()}
