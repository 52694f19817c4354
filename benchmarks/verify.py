# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections verify tries, what they cost the controller, and the page of the report. See README.md."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple, TypeVar

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, print_table, spread
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import MOST, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    Limits,
    VerifyOptions,
    VerifyRun,
    new_run,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._report.data import as_data
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Findings
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Report
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered, run_of

T = TypeVar("T")

PORT_FILE = ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml"
NODES_OF_A_CLUSTER = 40
SITE = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}, "firewall_srun_ports": "60001-63000"}
ONCE = (
    ("control_plane",),
    ("control_plane",),
    ("workspace",),
    ("monitoring",),
    ("workbench", "web_portal"),
    ("offices",),
)
FIRST = {0: ("slurm_controller", "slurm_database", "nfs_server"), 1: ("slurm_login", "nfs_client")}
PHASES = ("probed", "stopped", "compared", "judged")
STEPS = ("compile", "choose", "judge", "page")
EMPTY = "<!DOCTYPE html><title>empty</title><p>empty"
PAINTED = """\
new Promise(done => new PerformanceObserver(list => done(list.getEntriesByName("first-contentful-paint")[0].startTime))
  .observe({type: "paint", buffered: true}))
"""


class Host(NamedTuple):
    """One host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


def hosts_of(count: int) -> Iterator[Host]:
    """Yield what a platform has once, an outsider among it, and clusters of 40 nodes, every third restricted."""
    for number in range(count):
        cluster, node = divmod(number - len(ONCE), NODES_OF_A_CLUSTER)
        variables: dict[str, Any] = {
            "firewall_addresses": [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"fd00::{number:x}"]
        }
        if number >= len(ONCE):
            variables["firewall_cluster"] = f"cluster{cluster}"
            variables["firewall_egress"] = "open" if cluster % 3 else "restricted"
        groups = ONCE[number] if number < len(ONCE) else FIRST.get(node, ("slurm_compute", "nfs_client"))
        yield Host(f"host{number}", groups, variables)


def plan_of(count: int) -> Plan:
    """Return the plan of such a platform."""
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    variables = {host.name: host.variables for host in hosts_of(count)}
    groups: dict[str, list[str]] = {"all": list(variables)}
    for host in hosts_of(count):
        for group in host.groups:
            groups.setdefault(group, []).append(host.name)
    return compile_plan(load_catalogue(shipped, SITE, groups), load_inventory(groups, variables.__getitem__))


def run_over(plan: Plan, most: int) -> VerifyRun:
    """Return a run over all hosts: the connections, and the task of each host."""
    limits = Limits(timeout=1.0, attempts=2, concurrency=1000, rate=300.0, forks=50, most=most)
    return new_run(plan, VerifyOptions(list(plan.inventory.hosts), "", False, limits))


# ---- what the hosts answer


def answers_of(plan: Plan, run: VerifyRun) -> dict[str, dict[str, Any]]:
    """Return the variables of each host after its tasks: each connection passes, or not, as the plan says."""
    tried: dict[str, list[Expectation]] = defaultdict(list)
    for expectation in run.expected.expectations:
        tried[expectation.source].append(expectation)
    return {
        host: {
            "probed": {"results": list(_results(plan, run, tried[host]))} if tried[host] else {"skipped": True},
            "stopped": _stopped(run.parts[host]["listen"]),
            "compared": _compared(host in plan.hosts),
            "judged": {"skipped": True},
        }
        for host in run.options.hosts
    }


def _of_same_family(addresses: Iterable[str], address: str) -> str:
    return next(text for text in addresses if (":" in text) == (":" in address))


def _results(plan: Plan, run: VerifyRun, expectations: Sequence[Expectation]) -> Iterator[dict[str, Any]]:
    by_address: dict[str, list[Expectation]] = defaultdict(list)
    for expectation in expectations:
        by_address[expectation.address].append(expectation)
    for address, found in by_address.items():
        first = found[0]
        source = _of_same_family(plan.inventory.hosts[first.source].addresses, address)
        ports = {how: [_port(item) for item in found if item.expected == how] for how in ("open", "filtered")}
        yield {
            "address": address,
            "reachable": True,
            **ports,
            **{"refused": [], "error": [], "rejected": [], "details": {}, "elsewhere": {}},
            "nonces": {run.parts[first.target]["nonce"]: ports["open"]} if ports["open"] else {},
            "seconds": {_port(item): 0.25 for item in found},
            "attempts": dict.fromkeys(ports["filtered"], 2),
            "source": source,
        }


def _port(expectation: Expectation) -> str:
    return f"{expectation.port}/{expectation.protocol}"


def _stopped(ports: Sequence[str]) -> dict[str, Any]:
    listening = {"0.0.0.0": list(ports), "::": list(ports)} if ports else {}
    empty: dict[str, Any] = {"in_use": {}, "not_held": {}, "counts": {}}
    return {"alive": True, "listening": listening, "not_counted": "not counted here", **empty}


def _compared(is_managed: bool) -> dict[str, Any]:
    changes: dict[str, Any] = {"objects": [], "flows_added": [], "ports_changed": {}}
    return {"changed": False, "backend": "nftables", "changes": changes} if is_managed else {"skipped": True}


def report_of(plan: Plan, run: VerifyRun, answers: dict[str, dict[str, Any]]) -> Report:
    """Return the report, from what the hosts have answered."""
    found = registered({phase: phase for phase in PHASES}, run.options.hosts, answers.__getitem__)
    judged, verdicts = run_of(plan, run, found)
    expected = run.expected
    findings = Findings(verdicts, expected.skipped, expected.unmanaged, expected.classes, judged.compared, {})
    return as_data(findings, judged)


# ---- what it costs


def timed(make: Callable[[], T]) -> tuple[T, float]:
    """Return what is made, and the CPU seconds that it takes."""
    start = process_time()
    return make(), process_time() - start


class Measured(NamedTuple):
    """One round: the run, its report and page, and the CPU seconds of each step."""

    run: VerifyRun
    report: Report
    text: str
    seconds: dict[str, float]


def measured(count: int, most: int) -> Measured:
    """Return what one run over so many hosts costs the controller."""
    plan, compiling = timed(lambda: plan_of(count))
    run, choosing = timed(lambda: run_over(plan, most))
    answers = answers_of(plan, run)
    report, judging = timed(lambda: report_of(plan, run, answers))
    text, writing = timed(lambda: page(report))
    return Measured(run, report, text, dict(zip(STEPS, (compiling, choosing, judging, writing))))


def paints(text: str, rounds: int) -> list[float]:
    """Return the milliseconds until Chromium paints a page, and those until it paints an empty one, as ratios."""
    from playwright.sync_api import sync_playwright  # pylint: disable=import-outside-toplevel

    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = [Path(folder, name) for name in ("empty.html", "page.html")]
        for file, content in zip(files, (EMPTY, text)):
            file.write_text(content, encoding="utf-8")
        # Its sandbox cannot be had as root, and it sees nothing but these pages.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        milliseconds = []
        for turn in range(rounds + 1):
            for file in files:
                window = browser.new_page(viewport={"width": 1300, "height": 900})
                window.goto(file.as_uri(), timeout=300000)
                milliseconds += [window.evaluate(PAINTED)] if turn else []
                window.close()
        browser.close()
    return milliseconds


def row(count: int, rounds: Sequence[Measured], with_page: bool) -> Iterator[str]:
    """Yield the cells of a line."""
    run, report, text, _seconds = rounds[0]
    by_source = Counter(item.source for item in run.expected.expectations)
    assert report["summary"]["right"] == len(run.expected.expectations), report["summary"]
    yield f"{count:,}"
    yield f"{len(run.expected.classes):,}"
    yield f"{len(run.expected.expectations):,}"
    yield f"{sum(item.connections for item in run.expected.skipped):,}"
    yield f"{max(by_source.values()):,}"
    yield f"{median(one.seconds['compile'] for one in rounds):.2f}"
    for step in STEPS[1:]:
        yield spread([one.seconds[step] / one.seconds["compile"] for one in rounds])
    yield f"{len(text.encode()) / 1e6:.1f}"
    if with_page:
        milliseconds = paints(text, len(rounds))
        empty, full = milliseconds[::2], milliseconds[1::2]
        yield f"{median(full):.0f} ms; {spread([one / other for one, other in zip(full, empty)])}"


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[20, 200, 2000], help="numbers of hosts")
    parser.add_argument("--most", type=int, default=MOST, help=f"verify_most (default: {MOST})")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with_page, conditions = bool(shutil.which("chromium")), Conditions()
    titles = ["hosts", "classes", "connections", "left out", "a source", "compile, s", *STEPS[1:], "MB"]
    lines = []
    for count in options.sizes:
        rounds = [measured(count, options.most) for turn in range(options.rounds)]
        lines.append(list(row(count, rounds, with_page)))
    print(f"{conditions.text(options.rounds)}\n")
    print_table([*titles, "first paint"] if with_page else titles, lines)


if __name__ == "__main__":
    main()
