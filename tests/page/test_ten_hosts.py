# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of ten hosts: what it shows, filters, opens and says to a keyboard and a screen reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.page.conftest import Show, Shown
from ansible_collections.hpc.ports.tests.support.reports import cell, host, small, whole
from playwright.sync_api import expect

REPORT = small()


def counted(keep: Callable[[dict[str, Any]], bool]) -> dict[str, str]:
    """What the matrix has to say of each pair of hosts, counted here from the report."""
    pairs: dict[str, list[dict[str, Any]]] = {}
    for connection in REPORT["cells"]:
        if keep(connection):
            pairs.setdefault(f"{connection['source']} to {connection['target']}", []).append(connection)
    return {pair: _label(connections) for pair, connections in pairs.items()}


def _label(connections: list[dict[str, Any]]) -> str:
    count = Counter(connection["verdict"] for connection in connections)
    for verdict in ("wrong", "unknown"):
        if count[verdict]:
            return f"{count[verdict]} of {len(connections)} {verdict}"
    return f"all {len(connections)} right, {sum(connection['outcome'] == 'open' for connection in connections)} open"


def tried(shown: Shown) -> dict[str, str]:
    """What the matrix says of each pair that has connections which the filters keep."""
    return {
        pair: label
        for pair, label in shown.labels().items()
        if label not in ("not tested", "the same host", "no connection matches the filters")
    }


# ---- what is on it


def test_the_summary_and_what_is_wrong_come_first(show: Show, ten: Path) -> None:
    shown = show(ten)
    buttons = shown.page.locator("#totals button").all_inner_texts()
    assert [text.replace("\n", " ") for text in buttons] == [
        "✖ 4 wrong",
        "? 1 unknown",
        "✔ 635 right",
        "– 10 not tested",
    ]
    assert shown.page.locator("#found .where").all_inner_texts() == [
        "ctl1",
        "node2, node3 → ctl1",
        "login1 → ctl1",
        "outsider → login1",
        "nfs1",
        "node1 → node4",
    ]
    assert shown.page.locator("#found li").all_inner_texts()[:3] == [
        "✖ wrong ctl1 does not run its policy\nDifferent from its policy: chain input, set ssh_sources",
        "✖ wrong node2, node3 → ctl1 2049/tcp, should pass: flow nfs_v4 allows it\n"
        "2 connections. The rules of hpc.ports on ctl1 drop packets to 2049/tcp (chain input), but flow nfs_v4 allows "
        "them.",
        "✖ wrong login1 → ctl1 6817/tcp, should pass: flow slurm_control allows it\n"
        "Rules of another program on ctl1 drop packets from 10.0.0.3 to 6817/tcp: table inet docker, chain input: "
        "drop; flow slurm_control allows them.",
    ]


def test_the_matrix_says_of_each_pair_what_was_found(show: Show, ten: Path) -> None:
    shown = show(ten)
    assert shown.heads("row") == sorted(REPORT["hosts"])
    assert shown.heads("col") == sorted(set(REPORT["hosts"]) - {"outsider"})
    assert tried(shown) == counted(lambda connection: True)
    assert {pair for pair, label in shown.labels().items() if label == "not tested"} == {"monitor1 to nfs1"}
    assert shown.status == "Showing 640 of 640 connections. 10 rows, 9 columns."


def test_verdicts_are_not_told_by_colour_alone(show: Show, ten: Path) -> None:
    shown = show(ten)
    assert shown.cell("login1", "ctl1").inner_text() == "✖ 1/8"
    assert shown.cell("node1", "node4").inner_text() == "? 1/8"
    assert shown.cell("node1", "ctl1").inner_text() == "✔ 2/8"
    assert shown.cell("monitor1", "nfs1").inner_text() == "not tested"


def test_a_report_without_a_fault_says_so(show: Show) -> None:
    hosts = {name: host(name, ["workspace"], "x", number) for number, name in enumerate("ab")}
    shown = show(whole(hosts, [cell("a", "b", "10.0.0.2", 22)], mode="passive"))
    assert shown.page.locator("#found").inner_text() == (
        "✔ Nothing: every connection that was tried is right, and every host runs its policy."
    )
    assert shown.page.locator("#facts li").all_inner_texts() == [
        "1 connection from 1 source to 1 target.",
        "No host outside the managed groups took part: nothing shows that strangers are blocked.",
        "Passive mode: verify started no listeners. On a port where nothing listens, no answer and a refusal do not "
        "show what the firewall does.",
    ]


def test_a_container_has_a_line_of_its_own(show: Show) -> None:
    name = "a (container 172.17.0.2)"
    report = whole(
        {host_name: host(host_name, ["workspace"], "x", number) for number, host_name in enumerate("ab")},
        [cell("a", "b", "10.0.0.2", 22)],
    )
    report["cells"].append(cell(name, "b", "10.0.0.2", 22))
    report["summary"]["from_containers"] = 1
    shown = show(report)
    assert name in shown.heads("row") and name not in shown.heads("column")
    assert "From containers of hosts with restricted egress: 1 connection." in (
        shown.page.locator("#facts li").all_inner_texts()
    )


@pytest.mark.parametrize(
    ("changes", "title", "message"),
    [
        (
            {"is_equal": None},
            "What is unknown",
            "? unknown b: it is not known whether this host runs its policy\nIts rules could not be read.",
        ),
        (
            {"is_equal": False, "objects": ["chain input"]},
            "What is wrong",
            "✖ wrong b does not run its policy\nDifferent from its policy: chain input",
        ),
    ],
)
def test_right_connections_do_not_hide_a_host_that_may_run_something_else(
    show: Show, changes: dict[str, Any], title: str, message: str
) -> None:
    hosts = {"a": host("a", [], "x", 1), "b": host("b", [], "x", 2, **changes)}
    shown = show(whole(hosts, [cell("a", "b", "10.0.0.2", 22)]))
    assert shown.page.locator("#found-title").inner_text() == title
    assert shown.page.locator("#found").inner_text() == message


def test_a_report_of_nothing_is_not_called_right(show: Show) -> None:
    shown = show(whole({}, []))
    assert shown.page.locator("#found").inner_text() == "? No connection was tried, so nothing is known."
    assert shown.status == "Showing 0 of 0 connections. 0 rows, 0 columns."
    assert shown.violations() == []


def test_it_says_of_which_inventory_it_is(show: Show, ten: Path) -> None:
    head = show(ten).page.get_by_role("banner").inner_text().split("\n")
    assert "inventories/site, more/hosts.yml" in head


# ---- numbers and names that are not cut


def is_cut(shown: Shown, place: str) -> list[str]:
    """The texts of elements that are wider than there is room for."""
    found: list[str] = shown.page.locator(place).evaluate_all(
        "all => all.filter(one => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)"
        ".map(one => one.textContent)"
    )
    return found


def test_numbers_are_whole_or_say_that_they_are_rounded(show: Show) -> None:
    hosts = {name: host(name, [], "x", number) for number, name in enumerate(("a", "b", "c"))}
    many = [cell("a", "b", "10.0.0.2", port + 1, "admin_ssh" if port < 132 else "") for port in range(5210)]
    more = [cell("a", "c", "10.0.0.3", port + 1, "admin_ssh") for port in range(12345)]
    wide = show(whole(hosts, [*many, *more]))
    for shown in (wide, show(wide.file, viewport={"width": 360, "height": 800})):
        assert is_cut(shown, "#grid td") == []
        assert shown.cell("a", "b").inner_text() == "✔ 132/5,210"
        assert shown.cell("a", "b").get_attribute("title") is None
        label = "a to c: all 12345 right, 12345 open"
        assert (shown.cell("a", "c").inner_text(), shown.cell("a", "c").get_attribute("title")) == ("✔ 12k/12k", label)


def test_names_of_hosts_are_whole_where_there_is_room(show: Show) -> None:
    names = ["a-host-whose-name-is-as-long-as-a-name.of.a.site", "b"]
    hosts = {name: host(name, [], "x", number) for number, name in enumerate(names)}
    shown = show(whole(hosts, [cell(*names, "10.0.0.2", 22)]))
    assert is_cut(shown, "#grid th, #grid th span") == []
    narrow = show(shown.file, viewport={"width": 360, "height": 740})
    assert is_cut(narrow, '#grid th[scope="row"] span') == [names[0]]
    expect(narrow.head("row", names[0])).to_have_attribute("title", names[0])


# ---- pairs for which others stand


def shared() -> dict[str, Any]:
    """The small report, where the five nodes share the work: few of them try each host, and none tries the others."""
    report = small()
    tries = {"ctl1": ("node1", "node2"), "login1": ("node4",), "monitor1": ("node3",)}
    nodes = [f"node{number}" for number in range(1, 6)]
    cells = [
        connection
        for connection in report["cells"]
        if connection["source"] not in nodes or connection["source"] in tries.get(connection["target"], ())
    ]
    left_out = {"source": "node5", "target": "login1", "connections": 8, "reason": "They have an address in common."}
    return whole(report["hosts"], cells, [*report["not_tested"], left_out])


def test_a_pair_whose_classes_were_tried_names_who_was_tried_instead(show: Show) -> None:
    shown = show(shared())
    labels = shown.labels()
    assert {pair: label for pair, label in labels.items() if label.startswith("as ")} == {
        **{f"node{number} to ctl1": "as node2 → ctl1" for number in (3, 4, 5)},
        **{f"node{number} to login1": "as node4 → login1" for number in (1, 2, 3)},
        **{f"node{number} to monitor1": "as node3 → monitor1" for number in (1, 2, 4, 5)},
    }
    assert [shown.cell("node3", end).inner_text() for end in ("ctl1", "login1", "nfs1")] == [
        "as node2",
        "as node4",
        "not tested",
    ]
    assert labels["node5 to login1"] == "not tested"
    shown.page.get_by_label("Observed").select_option("not tested")
    untested = {pair for pair, label in shown.labels().items() if label == "not tested"}
    assert len(untested) == 1 + 1 + 5 + 5 * 4
    assert shown.status == (
        "Showing 27 pairs not tested. Of 10 more pairs, hosts of the same classes were tested. 10 rows, 9 columns."
    )
    assert shown.page.locator("#grid td.untested").count() == 27


def test_a_pair_for_which_another_stands_opens_to_the_connections_of_the_other(show: Show) -> None:
    shown = show(shared())
    shown.cell("node3", "ctl1").hover()
    assert shown.page.locator("#pointed").inner_text() == (
        "node3 → ctl1 was not tried itself, but node2 → ctl1 was, with hosts of the same classes. wrong 2049/tcp nfs "
        "open 6817/tcp slurmctld closed 6 ports"
    )
    shown.cell("node3", "ctl1").click()
    dialog = shown.page.get_by_role("dialog", name="node3 → ctl1")
    assert dialog.locator("#inside > p").inner_text() == (
        "As node2 → ctl1. Other hosts of the same classes were tested instead: 16 connections from alpha slurm_compute "
        "to ctl1."
    )
    assert "2049/tcp flow nfs_v4: observed filtered" in dialog.locator("details").first.inner_text()


# ---- ports without a click


def test_the_line_below_the_matrix_says_the_ports_of_the_cell_that_is_pointed_at(show: Show, ten: Path) -> None:
    shown = show(ten)
    line = shown.page.get_by_role("note", name="The ports of one cell")
    assert line.inner_text().startswith("Point at a cell, or move to it with the arrow keys")
    shown.cell("node2", "ctl1").hover()
    said = "node2 → ctl1: 1 of 8 wrong. wrong 2049/tcp nfs open 6817/tcp slurmctld closed 6 ports"
    assert line.inner_text() == said
    shown.cell("login1", "ctl1").focus()
    assert line.inner_text() == "login1 → ctl1: 1 of 8 wrong. wrong 6817/tcp slurmctld open 2049/tcp nfs closed 6 ports"
    shown.page.keyboard.press("ArrowRight")
    assert line.inner_text() == "login1 is both the source and the target."
    shown.cell("node2", "ctl1").hover()
    assert line.inner_text() == said
    shown.page.mouse.move(5, 5)
    expect(line).to_have_text("login1 is both the source and the target.")
    assert line.get_attribute("aria-live") is None


def test_cells_show_ports_when_told_to(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.page.get_by_label("Cells show").select_option("ports")
    assert [shown.cell(source, "ctl1").inner_text().split("\n") for source in ("node2", "node1", "outsider")] == [
        ["✖ 2049/tcp", "✔ 6817/tcp"],
        ["✔ 2049, 6817/tcp"],
        ["✔ –"],
    ]
    assert shown.cell("node1", "node4").inner_text() == "? 6818/tcp"
    assert shown.labels()["node2 to ctl1"] == "1 of 8 wrong; wrong: 2049/tcp nfs; open: 6817/tcp slurmctld"
    shown.wait_for_state("cells=ports")
    shown.page.get_by_role("button", name="Clear filters").click()
    assert shown.cell("node1", "ctl1").inner_text() == "✔ 2049, 6817/tcp"


def test_ports_for_which_there_is_no_room_are_counted(show: Show) -> None:
    hosts = {name: host(name, [], "x", number) for number, name in enumerate("ab")}
    ports = (22, 111, 2049, 3306, 5432, 20048, 60001)
    cells = [cell("a", "b", "10.0.0.2", port, "admin_ssh") for port in reversed(ports)]
    cells += [cell("a", "b", address, 53, "admin_ssh", protocol="udp") for address in ("10.0.0.2", "fd00::2")]
    shown = show(whole(hosts, cells), "cells=ports")
    text = shown.cell("a", "b").inner_text()
    number = len(text.split(", "))
    assert text == f"✔ {', '.join(map(str, ports[:number]))}/tcp +{len(ports) + 1 - number}" and number > 1
    assert is_cut(shown, "#grid td, #grid td span") == []
    shown.cell("a", "b").hover()
    assert shown.page.locator("#pointed .open").inner_text() == (
        "open 22/tcp ssh, 111/tcp, 2049/tcp nfs, 3306/tcp, 5432/tcp postgresql, 20048/tcp and 2 more"
    )


# ---- what is open to outside, and the flows


def rows(shown: Shown, table: str) -> list[list[str]]:
    found: list[list[str]] = shown.page.locator(f"{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return found


def test_what_is_open_to_networks_outside_is_said_once_for_classes_alike(show: Show, ten: Path) -> None:
    admins = ["22/tcp", "ssh", "admin_ssh", "admin_networks", "198.51.100.0/24, 2001:db8:9::/48"]
    assert rows(show(ten), "#outside") == [
        ["login1", *admins],
        ["9090/tcp", "prometheus", "monitoring", "monitoring", "203.0.113.0/28"],
        ["alpha slurm_compute (5), ctl1, monitor1, nfs1", *admins],
    ]
    nothing = show({**small(), "outside": []}).page.locator("#outside").inner_text()
    assert nothing == "Nothing: no flow opens a port of these hosts to addresses outside the inventory."


def test_flows_say_how_they_were_used(show: Show, ten: Path) -> None:
    shown = show(ten)
    assert rows(shown, "#flows")[:2] == [
        ["nfs_v4\nNodes mount the controller's files", "slurm_nodes", "slurm_controller", "nfs", "conditional"]
        + ["6", "4", "✖ 2", "0", "4"],
        ["slurm_control\nNodes talk to their controller", "slurm_nodes", "slurm_controller", "slurmctld", "conditional"]
        + ["6", "5", "✖ 1", "0", "5"],
    ]
    assert [row[0].split("\n")[0] for row in rows(shown, "#flows")[2:]] == ["monitoring", "slurm_nodes", "admin_ssh"]
    assert rows(shown, "#flows")[4][4:] == ["required", "not probed"]
    count = shown.page.locator("#flows-count")
    assert count.inner_text() == "Showing 5 of 5 flows that are on. 1 off."
    shown.page.get_by_label("Find a flow").fill("NODES")
    assert [row[0].split("\n")[0] for row in rows(shown, "#flows")] == ["nfs_v4", "slurm_control", "slurm_nodes"]
    shown.wait_for_state("find=NODES")
    shown.page.get_by_label("Service").select_option("slurmd")
    assert [row[0].split("\n")[0] for row in rows(shown, "#flows")] == ["slurm_nodes"]
    assert count.inner_text() == "Showing 1 of 5 flows that are on. 1 off."


def test_a_flow_filters_the_matrix(show: Show, ten: Path) -> None:
    shown = show(ten, "cells=ports")
    button = shown.page.get_by_role("button", name="nfs_v4", exact=True)
    button.click()
    assert tried(shown).keys() == counted(lambda connection: connection["flow"] == "nfs_v4").keys()
    shown.wait_for_state("flow=nfs_v4&cells=ports")
    assert shown.focused() == "Connections between hosts"
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    shown.wait_for_state("cells=ports")
    expect(button).to_have_attribute("aria-pressed", "false")


# ---- filters

ROLES = {name: about["roles"] for name, about in REPORT["hosts"].items()}
FILTERS: list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = [
    ({"from": "NODE"}, lambda connection: "node" in connection["source"]),
    ({"to": "ctl1"}, lambda connection: connection["target"] == "ctl1"),
    (
        {"role": "slurm_login"},
        lambda connection: "slurm_login" in ROLES[connection["source"]] + ROLES[connection["target"]],
    ),
    ({"service": "docker"}, lambda connection: connection["services"] == ["docker"]),
    ({"flow": "nfs_v4"}, lambda connection: connection["flow"] == "nfs_v4"),
    ({"outcome": "open"}, lambda connection: connection["outcome"] == "open"),
    ({"outcome": "filtered"}, lambda connection: connection["outcome"] == "filtered"),
    ({"outcome": "error"}, lambda connection: connection["outcome"] == "error"),
    ({"outcome": "refused"}, lambda connection: connection["outcome"] == "refused"),
    ({"verdict": "right"}, lambda connection: connection["verdict"] == "right"),
    ({"verdict": "wrong"}, lambda connection: connection["verdict"] == "wrong"),
    ({"verdict": "unknown"}, lambda connection: connection["verdict"] == "unknown"),
    (
        {"from": "node", "service": "slurmctld", "verdict": "right"},
        lambda connection: (
            "node" in connection["source"] and connection["port"] == 6817 and connection["verdict"] == "right"
        ),
    ),
]


def test_filters_change_the_matrix_and_the_address_keeps_them(show: Show, ten: Path) -> None:
    shown = show(ten)
    for values, keep in FILTERS:
        shown.page.get_by_role("button", name="Clear filters").click()
        for name, value in values.items():
            field = shown.page.locator(f"#{name}")
            field.fill(value) if name in ("from", "to") else field.select_option(value)
        assert tried(shown) == counted(keep), values
        assert shown.status.startswith(f"Showing {sum(map(keep, REPORT['cells']))} of 640 connections. "), values
        shown.wait_for_state("&".join(f"{name}={value}" for name, value in values.items()))


@pytest.mark.parametrize(("values", "keep"), FILTERS[1::5])
def test_an_address_brings_its_filters_back(
    show: Show, ten: Path, values: dict[str, str], keep: Callable[[dict[str, Any]], bool]
) -> None:
    shown = show(ten, "&".join(f"{name}={value}" for name, value in values.items()))
    assert tried(shown) == counted(keep)
    assert {name: shown.page.locator(f"#{name}").input_value() for name in values} == values


def test_pairs_that_were_not_tried_can_be_asked_for(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.page.get_by_label("Observed").select_option("not tested")
    assert shown.status == "Showing 1 pair not tested. 10 rows, 9 columns."
    assert tried(shown) == {}
    assert shown.labels()["monitor1 to nfs1"] == "not tested"
    assert shown.labels()["nfs1 to monitor1"] == "no connection matches the filters"


def test_filters_are_cleared(show: Show, ten: Path) -> None:
    shown = show(ten, "from=node&verdict=wrong&service=nfs")
    assert list(tried(shown)) == ["node2 to ctl1", "node3 to ctl1"]
    shown.page.get_by_role("button", name="Clear filters").click()
    assert tried(shown) == counted(lambda connection: True)
    shown.wait_for_state("")


def test_a_count_of_the_summary_is_a_filter(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.page.get_by_role("button", name="4 wrong").click()
    assert tried(shown) == counted(lambda connection: connection["verdict"] == "wrong")
    shown.wait_for_state("verdict=wrong")


def test_hosts_alike_can_share_a_line(show: Show, ten: Path) -> None:
    shown = show(ten, "by=class")
    assert shown.heads("row") == ["ctl1", "login1", "monitor1", "nfs1", "alpha slurm_compute (5)", "outsider"]
    assert shown.labels()["alpha slurm_compute (5) to ctl1"] == "2 of 40 wrong"
    shown.head("row", "alpha slurm_compute").click()
    assert shown.heads("row")[4:10] == ["alpha slurm_compute (5)", *(f"node{number}" for number in range(1, 6))]
    assert shown.labels()["node2 to ctl1"] == "1 of 8 wrong"
    assert shown.labels()["node2 to alpha slurm_compute (5)"] == "all 32 right, 0 open"
    again = shown.go(shown.state)
    assert len(again.heads("row")) == 11
    again.head("row", "alpha slurm_compute").click()
    assert len(again.heads("row")) == 6


def test_an_address_that_names_nothing_that_is_here_does_no_harm(show: Show, ten: Path) -> None:
    shown = show(ten, "role=nobody&service=none&found=99&source=x&target=__proto__&row=y&by=z&theme=blue&%%%")
    assert shown.status == "Showing 0 of 640 connections. 0 rows, 0 columns."
    shown.page.get_by_role("button", name="Clear filters").click()
    assert shown.status.startswith("Showing 640 of 640 connections.")


# ---- a cell, opened


def test_a_cell_opens_to_flow_rule_layers_counters_times_and_advice(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.cell("login1", "ctl1").click()
    dialog = shown.page.get_by_role("dialog", name="login1 → ctl1")
    entry = dialog.locator("details").first
    assert entry.locator("summary").inner_text() == (
        "✖ wrong 6817/tcp flow slurm_control: observed filtered, intended open (1 connection)"
    )
    assert entry.locator(".says").inner_text().split("\n") == [
        "Rules of another program drop it. Rules of another program on ctl1 drop packets from 10.0.0.3 to 6817/tcp: "
        "table inet docker, chain input: drop; flow slurm_control allows them.",
        "",
        "What to do: Change that rule on ctl1: an accept of hpc.ports does not override a drop of another table.",
    ]
    assert [text.split("\n") for text in entry.locator(".layers div").all_inner_texts()] == [
        ["Intended", "open", "the port file"],
        ["Compiled", "open", "the rulesets of the hosts"],
        ["Observed", "≠ filtered", "the probe"],
    ]
    pairs = zip(entry.locator(".pairs dt").all_inner_texts(), entry.locator(".pairs dd").all_inner_texts())
    assert dict(pairs) == {
        "Flow": "slurm_control: Nodes talk to their controller",
        "From": "slurm_nodes",
        "To": "slurm_controller",
        "Services": "slurmctld (6817/tcp)",
        "Need": "conditional, only within a cluster",
        "Reference": "ACTIVATE: Slurm Scheduler; E-HPC: Slurm",
        "Rule": "in 6817/tcp from 10.0.0.0/8: accept",
        "Port used by": "a listener of verify",
    }
    titles = entry.get_by_role("columnheader").all_inner_texts()
    assert dict(zip(titles, entry.get_by_role("cell").all_inner_texts())) == {
        "Address": "10.0.0.2",
        "Port": "6817/tcp",
        "Service": "slurmctld",
        "Time": "1.00 s",
        "Tries": "1",
        "Left": "2",
        "Arrived": "2",
        "Passed": "2",
        "Answered": "0",
        "Returned": "0",
    }
    assert "does not run its policy" in dialog.locator(".ends").inner_text()


def test_right_connections_are_there_when_asked_for(show: Show, ten: Path) -> None:
    shown = show(ten, "source=login1&target=ctl1")
    entries = shown.page.get_by_role("dialog").locator("details")
    assert entries.count() == 3
    assert entries.nth(2).locator("summary").inner_text() == (
        "✔ right 22/tcp, 2375/tcp, 2376/tcp, 5432/tcp, 6818/tcp and 1 more no flow: observed filtered, "
        "intended filtered (6 connections)"
    )
    entries.nth(2).locator("summary").click()
    expect(entries.nth(2).locator("tbody tr")).to_have_count(6)  # filled after the click, by the event toggle
    assert entries.nth(2).locator(".pairs dd").first.inner_text() == "None: the policy of the target does not allow it"


def test_what_is_unknown_shows_no_counters_that_were_not_there(show: Show, ten: Path) -> None:
    shown = show(ten, "source=node1&target=node4&verdict=unknown")
    row = shown.page.get_by_role("dialog").locator("tbody td").all_inner_texts()
    assert row == ["10.0.0.15", "6818/tcp", "slurmd", "–", "2", *"–––––", "EHOSTUNREACH"]


def test_a_pair_that_was_not_tried_says_why(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.cell("monitor1", "nfs1").click()
    inside = shown.page.locator("#inside").inner_text()
    assert "– Not tested. No connection between these hosts, or between hosts of their classes, was tried." in inside
    assert "monitor1 has no address that resolves; set firewall_source_addresses." in inside


def test_what_is_wrong_opens_to_its_connections(show: Show, ten: Path) -> None:
    shown = show(ten)
    button = shown.page.get_by_role("button", name="node2, node3 → ctl1")
    button.click()
    dialog = shown.page.get_by_role("dialog", name="node2, node3 → ctl1")
    assert dialog.locator("tbody tr td:first-child").all_inner_texts() == ["node2", "node3"]
    shown.page.keyboard.press("Escape")
    expect(button).to_be_focused()
    shown.wait_for_state("")


def test_a_dialog_closes_by_its_button_and_by_a_click_beside_it(show: Show, ten: Path) -> None:
    shown = show(ten)
    for close in (
        lambda: shown.page.get_by_role("button", name="Close").click(),
        lambda: shown.page.mouse.click(20, 400),
    ):
        shown.cell("login1", "ctl1").click()
        expect(shown.page.get_by_role("dialog")).to_be_visible()
        shown.wait_for_state("source=login1&target=ctl1")
        close()
        expect(shown.page.get_by_role("dialog")).to_be_hidden()
        expect(shown.cell("login1", "ctl1")).to_be_focused()


# ---- by keyboard, to a screen reader


def test_the_keyboard_reaches_a_cell_opens_it_and_comes_back(show: Show, ten: Path) -> None:
    shown = show(ten)
    keys = shown.page.keyboard
    shown.page.get_by_label("Cells show").focus()
    keys.press("Tab")
    assert shown.focused() == "ctl1 to ctl1: the same host"
    keys.press("ArrowDown")
    assert shown.focused() == "login1 to ctl1: 1 of 8 wrong"
    keys.press("Enter")
    expect(shown.page.get_by_role("dialog", name="login1 → ctl1")).to_be_visible()
    keys.press("Tab")
    assert shown.focused() == "Close"
    keys.press("Escape")
    expect(shown.page.get_by_role("dialog")).to_be_hidden()
    expect(shown.cell("login1", "ctl1")).to_be_focused()
    keys.press("ArrowRight")
    assert shown.focused() == "login1 to login1: the same host"


def test_a_cell_that_an_address_opened_gets_the_focus_also_after_the_window_changed(show: Show, ten: Path) -> None:
    shown = show(ten, "source=login1&target=ctl1")
    shown.page.set_viewport_size({"width": 500, "height": 700})
    shown.page.keyboard.press("Escape")
    expect(shown.cell("login1", "ctl1")).to_be_focused()


def test_keys_go_on_from_where_the_focus_was_put(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.cell("nfs1", "login1").focus()
    shown.page.keyboard.press("ArrowDown")
    assert shown.focused() == "node1 to login1: all 8 right, 0 open"
    assert shown.page.locator('#grid [tabindex="0"]').count() == 1


def test_keys_move_within_the_matrix_and_one_tab_leaves_it(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.cell("ctl1", "ctl1").focus()
    moves = {
        "ArrowLeft": "ctl1",
        "ArrowUp": "ctl1",
        "Control+End": "outsider to node5: all 8 right, 0 open",
        "ArrowRight": "outsider to node5: all 8 right, 0 open",
        "Home": "outsider",
        "End": "outsider to node5: all 8 right, 0 open",
        "Control+Home": "ctl1",
    }
    for key, label in moves.items():
        shown.page.keyboard.press(key)
        assert shown.focused() == label, key
    shown.page.keyboard.press("Tab")
    assert not shown.page.evaluate("document.activeElement.closest('#grid')")
    assert shown.page.locator('#grid [tabindex="0"]').count() == 1


def test_a_class_unfolds_by_keyboard(show: Show, ten: Path) -> None:
    shown = show(ten, "by=class")
    head = shown.head("row", "alpha slurm_compute")
    expect(head).to_have_attribute("aria-expanded", "false")
    shown.cell("ctl1", "ctl1").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "Enter"):
        shown.page.keyboard.press(key)
    expect(head).to_have_attribute("aria-expanded", "true")
    expect(head).to_be_focused()
    shown.page.keyboard.press("ArrowDown")
    assert shown.focused() == "node1"


def test_what_has_the_focus_is_seen(show: Show, ten: Path) -> None:
    shown = show(ten)
    for place in ("#from", "#theme", '#grid [tabindex="0"]', "[data-found]"):
        shown.page.locator(place).first.focus()
        shown.page.keyboard.press("Shift+Tab")
        shown.page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        assert shown.page.evaluate(f"[{style}.outlineStyle, {style}.outlineWidth]") == ["solid", "3px"], place


def test_a_screen_reader_finds_its_way(show: Show, ten: Path) -> None:
    shown = show(ten, "from=login1&to=c")
    snapshot = shown.page.locator("body").aria_snapshot()
    for line in (
        "- banner:",
        '- heading "Port verification" [level=1]',
        "- main:",
        '- region "What is wrong":',
        '- search "Filter the connections":',
        '- searchbox "From host"',
        '- combobox "Verdict"',
        "- status:",
        '- grid "Sources in rows, targets in columns":',
        '- columnheader "ctl1"',
        '- rowheader "login1"',
        "- 'gridcell \"login1 to ctl1: 1 of 8 wrong\"'",
        '- region "Not tested":',
        "- contentinfo:",
    ):
        assert line in snapshot, snapshot


def test_the_way_to_the_matrix_is_short(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.page.keyboard.press("Tab")
    assert shown.focused() == "Go to the matrix"
    shown.page.keyboard.press("Enter")
    assert shown.focused() == "Connections between hosts"
    shown.wait_for_state("")


@pytest.mark.parametrize(
    ("scheme", "width", "state"),
    [
        ("light", 1300, ""),
        ("dark", 360, ""),
        ("light", 1300, "cells=ports&flow=slurm_control"),
        ("dark", 1300, "by=class&row=class:alpha+slurm_compute"),
        ("light", 360, "source=login1&target=ctl1"),
        ("dark", 1300, "source=login1&target=ctl1"),
    ],
)
def test_nothing_keeps_people_out(show: Show, ten: Path, scheme: str, width: int, state: str) -> None:
    shown = show(ten, state, color_scheme=scheme, viewport={"width": width, "height": 800})
    assert shown.violations() == []


# ---- light and dark, on a phone


def brightness(shown: Shown) -> float:
    """How bright the background is, from 0 to 255."""
    colour = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(", "))) / 3


def test_it_is_as_dark_as_the_system_until_told_otherwise(show: Show, ten: Path) -> None:
    dark = show(ten, color_scheme="dark")
    assert brightness(dark) < 40
    dark.page.get_by_role("button", name="Light colours").click()
    assert brightness(dark) > 220
    dark.wait_for_state("theme=light")
    light = show(ten, color_scheme="light")
    assert brightness(light) > 220
    light.page.get_by_role("button", name="Dark colours").click()
    assert brightness(light) < 40
    assert brightness(light.go(light.state)) < 40


@pytest.mark.parametrize("state", ["", "by=class", "source=login1&target=ctl1", "found=0"])
def test_on_a_phone_only_the_matrix_scrolls_sideways(show: Show, ten: Path, state: str) -> None:
    shown = show(ten, state, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 360
    assert shown.page.evaluate("document.querySelector('#dialog').scrollWidth") <= 360
    if not state:
        assert shown.page.evaluate("scroll.scrollWidth > scroll.clientWidth")
        assert len(shown.heads("col")) < 9
        shown.page.evaluate("scroll.scrollLeft = scroll.scrollWidth")
        shown.page.get_by_role("status").scroll_into_view_if_needed()
        shown.page.mouse.wheel(0, 400)
        expect(shown.head("column", "node5")).to_be_in_viewport(ratio=0.9)


def test_a_cell_opens_by_touch(show: Show, ten: Path) -> None:
    shown = show(ten, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    shown.cell("login1", "ctl1").tap()
    expect(shown.page.get_by_role("dialog", name="login1 → ctl1")).to_be_visible()


# ---- what must not happen

BAD = [
    "</script><script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 1">',
    "--><svg onload=alert(1)>",
    "__proto__",
    "constructor",
    "a\u2028b\u2029",
    "'\"&amp;",
    "\u202egnp",
    "x" * 400,
    "\ud800",
]


def hostile() -> dict[str, Any]:
    """A report all of whose texts are of the bad kind."""
    hosts = {
        name: host(name, [name], name, number, BAD[number // 2], is_equal=False, objects=[name], reason=name)
        for number, name in enumerate(BAD)
    }
    cells = [
        cell(
            source,
            target,
            target,
            22,
            target,
            verdict="wrong",
            services=[source],
            rule=target,
            detail=source,
            why=target,
            diagnosis={"code": "unknown", "text": source, "advice": target},
        )
        for source in BAD
        for target in BAD
        if source != target
    ]
    skipped = [{"source": name, "target": name, "connections": 1, "reason": name} for name in BAD]
    flow = {
        "title": BAD[0],
        "from": BAD,
        "to": BAD,
        "services": BAD,
        "need": BAD[1],
        "within_cluster": True,
        "reference": BAD,
        "note": BAD[1],
        "is_on": True,
    }
    return {
        **whole(hosts, cells, skipped),
        "flows": {name: flow for name in BAD},
        "made": BAD[0],
        "mode": BAD[1],
        "services": {name: {"title": name, "ports": BAD} for name in BAD},
        "inventory": BAD,
        "outside": [
            {"to": name, "flow": name, **{key: BAD for key in ("services", "ports", "endpoints", "networks")}}
            for name in BAD
        ],
    }


@pytest.mark.parametrize("state", ["by=host", "by=class&cells=ports"])
def test_hostile_names_are_text(show: Show, state: str) -> None:
    shown = show(hostile(), f"{state}&from={BAD[1]}", viewport={"width": 360, "height": 740})
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 360
    shown.page.locator("[data-found]").first.click()
    for summary in shown.page.locator("summary").all():
        summary.click()
    shown.page.keyboard.press("Escape")
    shown.page.locator("#from").fill("")
    shown.page.locator("#grid td.wrong").first.click()
    assert shown.page.evaluate("window.hacked") is None
    assert shown.page.locator("img, svg, iframe, object").count() == 0
    assert shown.page.locator("script").count() == 2
    for place in ("#made", "#inventory", "#outside", "#flows"):
        assert BAD[0] in (shown.page.locator(place).text_content() or ""), place


def test_nothing_else_may_run_or_be_loaded(show: Show, ten: Path) -> None:
    shown = show(ten)
    shown.page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      const image = document.createElement("img");
      image.src = "http://192.0.2.1/x.png";
      document.body.append(script, image);
    }""")
    assert shown.page.evaluate("fetch('http://192.0.2.1/').then(() => 'got it', () => 'blocked')") == "blocked"
    assert shown.page.evaluate("window.hacked") is None
    assert len(shown.problems) >= 3
    assert all("Content Security Policy" in problem for problem in shown.problems), shown.problems
    shown.problems.clear()
