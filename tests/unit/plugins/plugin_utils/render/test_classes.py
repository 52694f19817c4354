# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered files of each policy, and the cloud-init data."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch as watching
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import abilities_of, config_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import persistence as boot
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import early_loaders
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import (
    CLASSES,
    Rendered,
    Target,
    all_files,
    listed_paths,
    rendered,
    target_of,
)
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given
from hypothesis import strategies as st

BOTH = Target(("nftables", "firewalld"), (1, 0, 0), "/usr/sbin/nft")
SITE: dict[str, Any] = {
    "services": {"web": {"ports": ["443/tcp"]}},
    "flows": {"web": {"from": ["slurm_compute"], "to": ["control_plane"], "services": ["web"], "need": "recommended"}},
}


def host(*groups: str, number: int, **values: Any) -> dict[str, Any]:
    return {"groups": [*groups], "addresses": [f"10.20.0.{number}"], **values}


def plan_of(**hosts: dict[str, Any]) -> Plan:
    return make_plan(SITE, hosts)


def names(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {item.name: item.hosts for item in rendered(plan, BOTH)}


# ---- files


def test_the_files_are_those_that_the_module_makes() -> None:
    plan = plan_of(ctl=host("control_plane", number=1, egress="restricted"), n1=host("slurm_compute", number=2))
    for item in rendered(plan, BOTH):
        policy = parse_policy(plan.policies[item.digest])
        made = {
            "nftables": {
                **boot.wanted_items(
                    ruleset.script_of(ruleset.ruleset_of(policy)), True, "/usr/sbin/nft", early_loaders(())
                ),
                **watching.wanted_items("/usr/bin/python3"),
            },
            "firewalld": {
                **persistence.items_of(config_of(policy, abilities_of((1, 0, 0)))),
                **boot.wanted_items(
                    ruleset.script_of(ruleset.ruleset_beside_firewalld(policy)),
                    True,
                    "/usr/sbin/nft",
                    early_loaders(()),
                    paths=persistence.PATHS.published,
                ),
                **watching.wanted_items("/usr/bin/python3"),
            },
        }
        found = {path: content for path, content in item.files.items() if path != "cloud-init.yml"}
        assert found == {name + path: content for name, items in made.items() for path, content in items.items()}


@pytest.mark.parametrize(
    "backends,expected",
    [
        (("nftables",), {"nftables", "cloud-init.yml"}),
        (("firewalld",), {"firewalld"}),
        (("nftables", "firewalld"), {"nftables", "firewalld", "cloud-init.yml"}),
    ],
)
def test_only_the_backends_that_are_asked_for(backends: tuple[str, ...], expected: set[str]) -> None:
    [item] = rendered(plan_of(n1=host("slurm_compute", number=2)), BOTH._replace(backends=backends))
    assert {path.split("/")[0] for path in item.files} == expected


def test_the_version_of_firewalld_decides_how_egress_is_written() -> None:
    plan = plan_of(n1=host("slurm_compute", number=2, egress="restricted"), ctl=host("control_plane", number=1))
    found = []
    for version in ((0, 9, 3), (1, 0, 0)):
        item = next(item for item in rendered(plan, BOTH._replace(firewalld_version=version)) if item.hosts == ("n1",))
        found.append("firewalld/etc/firewalld/ipsets/hpc_ports_out_web_4a.xml" in item.files)
    assert found == [False, True]


def test_what_firewalld_cannot_carry_is_left_out_and_said() -> None:
    plan = plan_of(n1=host("slurm_compute", number=2, trusted_interfaces=["ib*"]))
    [item] = rendered(plan, BOTH)
    assert {path.split("/")[0] for path in item.files} == {"nftables", "cloud-init.yml"}
    assert list(item.lacks) == ["firewalld"]
    assert item.lacks["firewalld"].startswith("firewall_trusted_interfaces: got 'ib*'")


def test_in_observe_mode_firewalld_has_only_our_table_and_is_never_closed() -> None:
    [item] = rendered(plan_of(n1=host("slurm_compute", number=2, mode="observe")), BOTH._replace(boot_failure="closed"))
    names = {path.rpartition("/")[2] for path in item.files if path.startswith("firewalld/")}
    assert names == {"published.nft", "hpc-ports-published.service", "watch.py", "hpc-ports-watch.service"}


def test_user_data_writes_the_files_and_starts_what_they_enable() -> None:
    [item] = rendered(plan_of(n1=host("slurm_compute", number=2)), BOTH)
    text = item.files["cloud-init.yml"].text
    assert text.startswith("#cloud-config\n")
    data = yaml.safe_load(text)
    tree = {
        path.removeprefix("nftables"): content for path, content in item.files.items() if path.startswith("nftables/")
    }
    assert {file["path"]: (file["content"], file["permissions"]) for file in data["write_files"]} == {
        path: (content.text, f"{content.mode:04o}") for path, content in tree.items() if not content.target
    }
    assert data["runcmd"] == [
        ["mkdir", "-p", "/etc/systemd/system/sysinit.target.wants"],
        ["ln", "-sfn", boot.UNIT, boot.LINK],
        ["ln", "-sfn", watching.UNIT, watching.LINK],
        ["systemctl", "daemon-reload"],
        ["systemctl", "start", "hpc-ports.service"],
        ["systemctl", "start", "hpc-ports-watch.service"],
    ]


# ---- names


def test_classes_are_hosts_of_one_policy() -> None:
    plan = plan_of(
        ctl=host("control_plane", number=1),
        n1=host("slurm_compute", number=2, cluster="alpha"),
        n2=host("slurm_compute", "nfs_client", number=3, cluster="alpha"),
        guest=host("offices", number=9),
        n3=host("slurm_compute", number=4, egress="restricted"),
    )
    assert names(plan) == {
        "control_plane": ("ctl",),
        "slurm_compute-alpha": ("n1", "n2"),
        "slurm_compute-restricted": ("n3",),
    }
    [item] = [item for item in rendered(plan, BOTH) if "n1" in item.hosts]
    assert item.as_data() == {
        "hosts": ["n1", "n2"],
        "digest": plan.hosts["n1"],
        "roles": ["slurm_compute"],
        "clusters": ["alpha"],
        "files": sorted(item.files),
        "lacks": {},
    }


def test_classes_of_one_name_bear_their_first_host() -> None:
    """A number would pass from one class to another when a third one comes before them."""
    trusting = {
        "n2": host("slurm_compute", number=2, trusted_interfaces=["ib0"]),
        "n3": host("slurm_compute", number=3, trusted_interfaces=["ib1"]),
    }
    assert names(plan_of(**trusting)) == {"slurm_compute.n2": ("n2",), "slurm_compute.n3": ("n3",)}
    assert names(plan_of(**trusting, n1=host("slurm_compute", number=1))) == {
        "slurm_compute.n1": ("n1",),
        "slurm_compute.n2": ("n2",),
        "slurm_compute.n3": ("n3",),
    }


TEXTS = st.text(st.characters(exclude_categories=["Cs"]).filter(str.isprintable), min_size=1, max_size=60)


@given(hosts=st.dictionaries(TEXTS, st.tuples(TEXTS, st.sampled_from(["ib0", "ib1", "ib2"])), min_size=1, max_size=6))
def test_names_are_safe_and_no_two_are_equal(hosts: dict[str, tuple[str, str]]) -> None:
    plan = plan_of(
        **{
            name: host("slurm_compute", number=number, cluster=cluster, trusted_interfaces=[interface])
            for number, (name, (cluster, interface)) in enumerate(hosts.items(), 1)
        }
    )
    found = [item.name for item in rendered(plan, BOTH._replace(backends=("nftables",)))]
    assert all(re.fullmatch(r"slurm_compute[A-Za-z0-9_.+-]*", name) and len(name) <= 100 for name in found)
    assert len(set(found)) == len(found)


# ---- the list


def test_the_list_of_classes_says_what_is_ours() -> None:
    found = rendered(plan_of(ctl=host("control_plane", number=1), n1=host("slurm_compute", number=2)), BOTH)
    items = all_files(found)
    assert list(items)[-1] == CLASSES
    assert sorted(listed_paths(items[CLASSES].text)) == sorted(set(items) - {CLASSES})
    assert set(json.loads(items[CLASSES].text)["classes"]) == {"control_plane", "slurm_compute"}


def item_named(name: str, *paths: str) -> Rendered:
    return Rendered(name, (), "", (), (), dict.fromkeys(paths, boot.FileContent("x")), {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"classes": {}}',
        '{"classes": {}, "written_by": "me"}',
        '{"classes": [], "written_by": "hpc.ports"}',
        all_files([item_named("..", "etc/passwd")])[CLASSES].text,
        all_files([item_named("a", "../../b")])[CLASSES].text,
        all_files([item_named("/etc", "passwd")])[CLASSES].text,
    ],
)
def test_a_list_that_is_not_ours_removes_nothing(text: str) -> None:
    with pytest.raises(PortFileError) as caught:
        listed_paths(text)
    assert str(caught.value) == (
        "Invalid folder: got a classes.json in it that hpc.ports did not write, expected one that it wrote, or none. "
        "Choose another folder, or remove that file."
    )


def test_a_watch_and_a_ruleset_for_when_the_boot_fails_are_those_that_are_wanted() -> None:
    plan = plan_of(ctl=host("control_plane", number=1))
    [item] = rendered(plan, BOTH._replace(boot_failure="closed"))
    assert {path for path in item.files if "closed" in path} == {
        "nftables/etc/hpc-ports/closed.nft",
        "firewalld/etc/hpc-ports/closed-firewalld.nft",
    }
    assert boot.CLOSED in item.files["nftables" + boot.UNIT].text
    [item] = rendered(plan, BOTH._replace(watch=False))
    assert not [path for path in item.files if "watch" in path] and "watch" not in item.files["cloud-init.yml"].text


# ---- what is asked


def test_a_target() -> None:
    assert target_of(["nftables", "firewalld"], "1.0", "/usr/sbin/nft") == BOTH
    assert target_of(["nftables"], "1.0", "/sbin/nft", False, "closed") == Target(
        ("nftables",), (1, 0, 0), "/sbin/nft", False, "closed"
    )
    assert target_of(["firewalld"], "0.9.11", "/sbin/nft") == Target(("firewalld",), (0, 9, 11), "/sbin/nft")


@pytest.mark.parametrize(
    "arguments,message",
    [
        (([], "1.0", "/n"), "Invalid render_backends: got [], expected at least one of nftables, firewalld."),
        ((["nftables"], "new", "/n"), "Invalid render_firewalld_version: got 'new', expected a version such as '1.0'."),
        ((["nftables"], "0.8.9", "/n"), "Invalid render_firewalld_version: got '0.8.9', expected 0.9.0 or later."),
        ((["nftables"], "1.0", "nft"), "Invalid render_nft: got 'nft', expected a path such as '/usr/sbin/nft'."),
        ((["nftables"], "1.0", "/a b"), "Invalid render_nft: got '/a b', expected a path such as '/usr/sbin/nft'."),
        (
            (["firewalld"], "1.0", "/n", False, "closed"),
            "Invalid firewall_watch: got False, expected true with firewall_boot_failure 'closed', as "
            "it is the watch that closes hosts with firewalld.",
        ),
        (
            (["nftables"], "1.0", "/nft\n"),
            "Invalid render_nft: got '/nft\\n', expected a path such as '/usr/sbin/nft'.",
        ),
    ],
)
def test_bad_targets(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(PortFileError) as caught:
        target_of(*arguments)
    assert str(caught.value) == message
