# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens and closes as sentences and as files."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.difference import (
    Change,
    Difference,
    OutsideChange,
    Setting,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._report.difference import (
    WRITERS,
    Report,
    data_of,
    lines,
    opens_outside,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._report.phrases import named_hosts

GRAFANA, RANGE = PortRange("tcp", 3000, 3000), PortRange("tcp", 8000, 8010)
USERS = OutsideChange(("head",), (GRAFANA,), ("10.8.0.0/16",), ("users",), ("portal",), outward=False)
NOTHING = Difference((), (), [], [], [], [], [], [])
DIFFERENCE = Difference(
    added=("c3",),
    removed=("old",),
    settings=[
        Setting(("head",), "mode", "observe", "enforce", False),
        Setting(("head",), "trusted_interfaces", (), ("ib0",), True),
        Setting(("tape",), "managed", True, False, True),
    ],
    opened=[Change(("mon",), ("c1", "c2", "c3"), (GRAFANA,), ("grafana",))],
    closed=[Change(("old",), ("c1", "c2"), (RANGE,), ("a", "b")), Change(("c1",), ("old",), (RANGE,), ("a",))],
    opened_outside=[USERS],
    closed_outside=[
        USERS._replace(hosts=("c1",), networks=("10.7.0.0/16",), endpoints=("mirrors",), outward=True),
        USERS._replace(hosts=("old",)),
    ],
    others=["c1: broad egress by target."],
)


def report(difference: Difference = DIFFERENCE, **groups: Any) -> Report:
    return Report("main (0292a931ab)", difference, groups)


def test_the_screen_says_what_opens_first_and_leaves_out_ports_of_hosts_that_left() -> None:
    assert lines(report()) == [
        "Changes since main (0292a931ab):",
        "",
        "Opens to networks outside the inventory:",
        "  head: 3000/tcp from users (10.8.0.0/16) is opened (flow portal)",
        "",
        "Opens:",
        "  c1, c2, c3 (new): 3000/tcp from mon is opened (flow grafana)",
        "",
        "Closes:",
        "  c1, c2: 8000-8010/tcp from old (gone) are closed (flows a, b)",
        "",
        "Closes to networks outside the inventory:",
        "  c1: 3000/tcp to mirrors (10.7.0.0/16) is closed (flow portal)",
        "",
        "Settings:",
        "  head: firewall_mode changes from observe to enforce",
        "  head: firewall_trusted_interfaces changes from [] to [ib0], so more is open than the flows say",
        "  tape: there is no firewall any more, so all ports are open",
        "",
        "Other rules:",
        "  c1: broad egress by target.",
        "",
        "Hosts:",
        "  c3 is new",
        "  old has left",
    ]
    assert lines(report(NOTHING)) == ["Nothing changes since main (0292a931ab)."]


def test_a_network_without_some_addresses_is_named_as_in_the_port_file() -> None:
    networks = [str(part) for part in ip_network("10.0.0.0/18").address_exclude(ip_network("10.0.9.7/32"))]
    change = USERS._replace(networks=tuple(networks))
    text = "  head: 3000/tcp from users (10.0.0.0/18 except 10.0.9.7/32) is opened (flow portal)"
    assert text in lines(report(NOTHING._replace(opened_outside=[change])))


def test_many_hosts_have_the_name_of_their_group() -> None:
    nodes = [f"n{number}" for number in range(7)]
    groups = {"all": [*nodes, "head"], "slurm_compute": nodes[::-1]}
    assert named_hosts(nodes, groups) == "slurm_compute (7 hosts)"
    assert named_hosts(nodes[:6], groups) == "n0, n1, n2, n3, n4 and 1 more"
    assert named_hosts(["head"], {"one": ["head"]}) == "head"


def test_json_has_the_data() -> None:
    data = json.loads(WRITERS[".json"](report()))
    assert data == data_of(report())
    assert data["opened"] == [{"from": ["mon"], "to": ["c1", "c2", "c3"], "ports": ["3000/tcp"], "flows": ["grafana"]}]
    assert data["settings"][1]["after"] == ["ib0"]


def test_markdown_shows_names_as_they_are() -> None:
    text = WRITERS[".md"](report(DIFFERENCE._replace(opened=[Change(("a|b<c",), ("x_1",), (GRAFANA,), ("f",))])))
    assert "- x\\_1: 3000/tcp from a\\|b\\<c is opened (flow f)" in text.splitlines()
    assert text.startswith("### Ports since main (0292a931ab)\n\n**Opens to networks outside the inventory**\n\n- head")
    assert WRITERS[".md"](report(NOTHING)) == "### Ports since main (0292a931ab)\n\nNothing changes.\n"


def test_what_opens_to_outside_or_by_a_setting_counts_except_ssh_of_the_controllers_to_a_new_host() -> None:
    ssh = USERS._replace(hosts=("new",), flows=("management_ssh",))
    assert not opens_outside(NOTHING)
    assert not opens_outside(NOTHING._replace(added=("new",), opened_outside=[ssh]))
    assert opens_outside(NOTHING._replace(opened_outside=[ssh]))
    assert opens_outside(NOTHING._replace(added=("new",), opened_outside=[ssh._replace(flows=("portal",))]))
    assert opens_outside(NOTHING._replace(settings=[Setting(("head",), "mode", "enforce", "observe", True)]))
    assert not opens_outside(NOTHING._replace(settings=DIFFERENCE.settings[:1], opened=DIFFERENCE.opened))
