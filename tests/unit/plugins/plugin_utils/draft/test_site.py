# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the first files of a site."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site import Site, inventory_text, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import SlurmConf


def inventory(site: Site, *notes: str) -> dict[str, Any]:
    text = inventory_text(site, "mycluster", notes)
    assert max(map(len, text.splitlines())) <= 120
    found: dict[str, Any] = yaml.safe_load(text)["all"]
    return found


def test_each_host_has_all_its_addresses_where_it_is_first() -> None:
    site = Site()
    site.add({"slurm_compute": {"head": "10.0.1.1", "n1": "10.0.1.2", "n2": "", "n3": "n3"}})
    site.add({"slurm_controller": {"head": "10.0.0.1"}, "nfs_server": {"head": "", "n1": "10.0.1.2"}})
    both = {"ansible_host": "10.0.0.1", "firewall_addresses": ["10.0.0.1", "10.0.1.1"]}
    assert inventory(site) == {
        "children": {
            "slurm_controller": {"hosts": {"head": both}},
            "slurm_compute": {"hosts": {"head": None, "n1": {"ansible_host": "10.0.1.2"}, "n2": None, "n3": None}},
            "nfs_server": {"hosts": {"head": None, "n1": None}},
        }
    }


def test_an_address_replaces_none_that_is_known() -> None:
    site = Site()
    for address in ("", "10.0.0.1", "10.0.0.2", ""):
        site.add({"slurm_login": {"l1": address}})
    assert site.addresses == {"l1": ["10.0.0.1"]}


def test_words_of_yaml_stay_names() -> None:
    names = ["no", "null", "on", "1", "1e3", "0x10", "12:30:45", "~", "a-b.c_d"]
    site = Site(children={"slurm_login": ["yes", "a: b"]})
    site.add({"slurm_compute": {name: name[:1] for name in names}})
    site.slurm.settings["clustername"] = "2024"
    found = inventory(site)
    assert found["vars"] == {"firewall_cluster": "2024"}
    assert found["children"]["slurm_login"] == {"children": {"yes": None, "a: b": None}}
    hosts = found["children"]["slurm_compute"]["hosts"]
    assert list(hosts) == names
    assert {name: values["ansible_host"] for name, values in hosts.items() if values} == {
        name: name[:1] for name in names if len(name) > 1
    }


def test_a_group_of_the_same_name_is_not_its_own_child() -> None:
    site = Site(children={"slurm_login": ["slurm_login"], "slurm_compute": ["nodes", "slurm_compute"]})
    assert inventory(site) == {"children": {"slurm_login": None, "slurm_compute": {"children": {"nodes": None}}}}


def test_notes_are_comments_of_printable_lines() -> None:
    text = inventory_text(Site(), "my\ncluster", ["x\ny: z", "word " * 50])
    assert yaml.safe_load(text) == {"all": {"children": None}}
    assert "# x\\ny: z\n# word word" in text
    assert inventory(Site(), "word " * 50) == {"children": None}
    text = inventory_text(Site(children={"managed": ["x"]}), "my\ncluster", [])
    assert "-i inventory -i my\\ncluster\n" in text


def test_groups_that_slurm_conf_lacks_are_comments() -> None:
    site = Site()
    site.add_slurm(SlurmConf(controllers={"a": ""}))
    assert "# slurm_login: {hosts: " in inventory_text(site, "x", []) and "# nfs_server: " in inventory_text(
        site, "x", []
    )
    assert "# slurm_login: " not in inventory_text(Site(), "x", [])
    site.add({"slurm_login": {"l1": ""}})
    assert "# slurm_login: " not in inventory_text(site, "x", [])
    assert inventory(site)["children"] == {
        "slurm_controller": {"hosts": {"a": None}},
        "slurm_login": {"hosts": {"l1": None}},
    }


def test_the_port_file_has_the_ports_of_slurm_conf() -> None:
    site = Site()
    site.add_slurm(
        SlurmConf({"slurmdport": "7003", "slurmctldport": "6817", "srunportrange": "60001-60002"}, {"a": ""})
    )
    found = yaml.safe_load(ports_text(site, ["10.0.0.9", "fd00::9"]))
    assert found["firewall_services"] == {"slurmd": {"ports": ["7003/tcp"]}}
    assert found["firewall_srun_ports"] == "60001-60002"
    assert found["firewall_endpoints"]["controllers"] == {"cidrs": ["10.0.0.9", "fd00::9"]}
    assert found.keys() == {"firewall_services", "firewall_srun_ports", "firewall_endpoints"}


def test_the_port_file_of_a_site_that_is_not_known_yet() -> None:
    assert yaml.safe_load(ports_text(Site(), [])).keys() == {"firewall_endpoints"}


def test_without_slurm_the_port_file_does_not_speak_of_srun() -> None:
    assert "srun" not in ports_text(Site(hosts={"pbs_server": {"p": ""}}), [])
    assert "# firewall_srun_ports: " in ports_text(Site(children={"slurm_compute": ["n"]}), [])
