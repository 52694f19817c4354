# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which firewalld can carry a policy, and where a reload would lose something; real ones are in tests/firewalld."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    OLDEST,
    Abilities,
    abilities_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.daemon import check_reload, daemon
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError
from ansible_collections.hpc.ports.tests.support.fake_firewalld import VERSIONS, FakeFirewalld, listing, variants


@pytest.fixture(name="firewalld")
def _firewalld(tmp_path: Path) -> FakeFirewalld:
    return FakeFirewalld(tmp_path)


# ---- what runs


@pytest.mark.parametrize("version", VERSIONS)
def test_what_it_can_do_and_has_made(firewalld: FakeFirewalld, version: str) -> None:
    firewalld.replies["version"] = version
    firewalld.table = listing(version)
    found = daemon(firewalld.handed_in)
    is_new = version != "0.9.3"
    assert found == (Abilities(is_new, is_new, is_new), parse_listing(listing(version)))


def test_the_oldest_will_do(firewalld: FakeFirewalld) -> None:
    firewalld.replies["version"] = ".".join(map(str, OLDEST))
    assert daemon(firewalld.handed_in).abilities == abilities_of(OLDEST)


def test_whether_it_accepts_replies_is_read_where_it_can_be(firewalld: FakeFirewalld) -> None:
    without = "\n".join(line for line in listing("1.3.3").splitlines() if "established" not in line)
    firewalld.table = without
    assert not daemon(firewalld.handed_in).abilities.accepts_replies_out
    firewalld.table = ""
    assert daemon(firewalld.handed_in) == (Abilities(True, True, True), {})


def test_one_that_is_just_starting_is_waited_for(firewalld: FakeFirewalld) -> None:
    states = iter(["INIT", "INIT", "RUNNING"])
    bus = firewalld.handed_in.bus

    def run(command: list[str]) -> str:
        if command[-3:] == ["version", "state", "IPSetTypes"]:
            firewalld.replies["state"] = next(states)
        return bus.run(command)

    assert daemon(firewalld.handed_in._replace(bus=bus._replace(run=run))).abilities
    assert list(states) == []


@pytest.mark.parametrize(
    "replies,text",
    [
        (
            {"version": CommandError(["busctl"], 1, "Unit not found")},
            "firewalld is running, but does not answer on D-Bus: Unit not found. Nothing was changed. See: systemctl "
            "status firewalld dbus",
        ),
        ({"version": "0.8.9"}, "firewalld is too old: got '0.8.9', expected 0.9.0 or later. Nothing was changed."),
        (
            {"state": "FAILED"},
            "firewalld is in state 'FAILED', expected 'RUNNING': its configuration did not load, and the host "
            "may be unprotected. Nothing was changed. See: journalctl -u firewalld. Fix the cause (broken hpc_ports_* "
            "files in /etc/firewalld can be removed), restart firewalld, and run again.",
        ),
        (
            {"FirewallBackend": "iptables"},
            "FirewallBackend is 'iptables' in {etc}/firewalld/firewalld.conf, expected 'nftables'. Nothing was "
            "changed.",
        ),
        (
            {"queryPanicMode": True},
            "firewalld is in panic mode: it drops every packet. Nothing was changed. Turn panic mode off "
            "(firewall-cmd --panic-off), and run again.",
        ),
    ],
)
def test_one_that_can_carry_nothing_now(firewalld: FakeFirewalld, replies: dict[str, Any], text: str) -> None:
    firewalld.replies.update(replies)
    with pytest.raises(RuntimeError) as caught:
        daemon(firewalld.handed_in)
    assert str(caught.value) == text.format(etc=firewalld.paths.etc)
    assert firewalld.log == []


def test_one_without_ipsets_is_mended_by_a_package(firewalld: FakeFirewalld) -> None:
    firewalld.replies.update(version="0.9.3", IPSetTypes=[])
    with pytest.raises(HostError) as caught:
        daemon(firewalld.handed_in)
    assert str(caught.value) == "firewalld 0.9.3 has no ipsets: install the package ipset. Nothing was changed."
    assert caught.value.missing_packages == ["ipset"]
    firewalld.programs.add("ipset")
    assert daemon(firewalld.handed_in).abilities == Abilities(False, False, False)


# ---- before a reload


def settings(firewalld: FakeFirewalld, text: str) -> None:
    Path(firewalld.paths.firewalld, "firewalld.conf").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FirewallBackend=nftables\n",
        "FirewallBackend=iptables\n  FirewallBackend = nftables\n",
        "#FirewallBackend=iptables\n",
    ],
)
def test_a_reload_that_loses_nothing(firewalld: FakeFirewalld, text: str) -> None:
    settings(firewalld, text)
    check_reload(firewalld.handed_in)
    assert firewalld.log == []


def test_without_a_file_of_settings_it_is_nftables(firewalld: FakeFirewalld) -> None:
    check_reload(firewalld.handed_in)


def refusal(firewalld: FakeFirewalld) -> str:
    with pytest.raises(RuntimeError) as caught:
        check_reload(firewalld.handed_in)
    return str(caught.value)


def test_a_reload_to_iptables(firewalld: FakeFirewalld) -> None:
    settings(firewalld, "FirewallBackend=nftables\nFirewallBackend=iptables\n")
    assert "FirewallBackend is 'iptables'" in refusal(firewalld)


def test_no_protocols(firewalld: FakeFirewalld) -> None:
    Path(firewalld.paths.etc, "protocols").unlink()
    assert refusal(firewalld) == (
        f"{firewalld.paths.etc}/protocols is missing: firewalld would load no rules without it. Nothing was changed. "
        "Install the package that provides it (Debian: netbase, RHEL: setup)."
    )


def test_an_ipset_that_is_named_and_not_there(firewalld: FakeFirewalld) -> None:
    Path(firewalld.paths.policies, "mine.xml").write_text('<source ipset="gone"/>', encoding="utf-8")
    assert refusal(firewalld) == (
        "A reload of firewalld would load no rules, because these ipsets do not exist: gone (named in "
        f"{firewalld.paths.policies}/mine.xml). Nothing was changed. Create the ipsets, or remove the references to "
        "them."
    )


def test_a_configuration_that_does_not_load(firewalld: FakeFirewalld) -> None:
    firewalld.replies["checkPermanentConfig"] = CommandError(["busctl"], 1, "INVALID_ZONE: mine")
    assert refusal(firewalld) == (
        "firewalld cannot load its saved configuration: INVALID_ZONE: mine. Nothing was changed. Fix the "
        "configuration. See: firewall-cmd --check-config"
    )


RUNS = variants({"services": ["ssh"]})
SAVED = variants({"services": ["ssh", "http"]})
PATH = "/org/fedoraproject/FirewallD1/config/1"


@pytest.mark.parametrize(
    "replies,lost",
    [
        (
            {
                "getZones": ["public"],
                "getZoneSettings2 public": RUNS,
                "getZoneNames": ["public"],
                "getZoneByName public": PATH,
                "getSettings2": SAVED,
            },
            "zone public: services",
        ),
        ({"getPolicies": ["mine"], "getPolicySettings mine": RUNS}, "policy mine: services"),
        (
            {
                "getPolicyNames": ["mine"],
                "getPolicyByName mine": PATH,
                "getSettings /org/fedoraproject/FirewallD1/config/1": SAVED,
            },
            "policy mine: services",
        ),
        (
            {"getIPSets": ["mine"], "getIPSetSettings mine": ["", "", "", "hash:net", {}, ["10.0.0.1"]]},
            "ipset mine: entries; ipset mine: type",
        ),
        (
            {
                "getIPSetNames": ["mine"],
                "getIPSetByName mine": PATH,
                "getSettings /org/fedoraproject/FirewallD1/config/1": ["", "", "", "hash:ip", {}, []],
            },
            "ipset mine: type",
        ),
        ({"getAllRules": [["ipv4", "filter", "INPUT", 0, ["-j", "ACCEPT"]]]}, "direct: rules"),
    ],
)
def test_what_a_reload_would_change(firewalld: FakeFirewalld, replies: dict[str, Any], lost: str) -> None:
    firewalld.replies.update(replies)
    assert refusal(firewalld) == (
        "This change needs a reload of firewalld. The reload would change settings that differ between the "
        f"running and the saved configuration: {lost}. Nothing was changed. Save the running configuration "
        "(firewall-cmd --runtime-to-permanent) or load the saved one (firewall-cmd --reload), and run again."
    )


def test_what_is_ours_may_change(firewalld: FakeFirewalld) -> None:
    firewalld.replies.update({"getPolicies": ["hpc_ports_in"], "getPolicySettings hpc_ports_in": RUNS})
    check_reload(firewalld.handed_in)


def test_what_is_saved_as_it_runs(firewalld: FakeFirewalld) -> None:
    firewalld.replies.update(
        {
            "getZones": ["public"],
            "getZoneSettings2 public": RUNS,
            "getZoneNames": ["public"],
            "getZoneByName public": PATH,
            "getSettings2": RUNS,
        }
    )
    check_reload(firewalld.handed_in)
