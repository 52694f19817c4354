# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replies of firewalld, as busctl prints them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import dbus
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError


def bus(text: str, commands: list[list[str]] | None = None) -> dbus.Bus:
    """Return a bus on which busctl prints this text."""

    def run(command: list[str]) -> str:
        if commands is not None:
            commands.append(command)
        return text

    return dbus.Bus(run, lambda *question: None)


@pytest.mark.parametrize(
    "text,value",
    [
        ("", None),
        ('{"type":"b","data":[true]}\n', True),
        ('{"type":"as","data":[["ssh","dhcpv6-client"]]}\n', ["ssh", "dhcpv6-client"]),
        ('{"type":"as","data":[[]]}\n', []),
        # ipset.getIPSetSettings
        (
            '{"type":"(ssssa{ss}as)","data":[["","","\\"b\\" \\\\ c","hash:net",{"family":"inet6"},["fd64::/64"]]]}\n',
            ["", "", '"b" \\ c', "hash:net", {"family": "inet6"}, ["fd64::/64"]],
        ),
        # direct.getAllRules
        (
            '{"type":"a(sssias)","data":[[["ipv4","filter","INPUT",0,["-j","ACCEPT"]]]]}\n',
            [["ipv4", "filter", "INPUT", 0, ["-j", "ACCEPT"]]],
        ),
        ('{"type":"s","data":["Z\u00fcrich\\n"]}\n', "Z\u00fcrich\n"),
    ],
)
def test_the_reply_of_a_method(text: str, value: Any) -> None:
    assert bus(text).read("method") == value


def test_settings_are_plain_values() -> None:
    """Of zone.getZoneSettings2, as firewalld 1.3.3 replies."""
    text = (
        '{"type":"a{sv}","data":[{"short":{"type":"s","data":"Public"},"services":{"type":"as","data":["ssh"]},'
        '"masquerade":{"type":"b","data":false},"ports":{"type":"a(ss)","data":[["80","tcp"]]},'
        '"priority":{"type":"i","data":-32000}}]}\n'
    )
    assert bus(text).settings("zone.getZoneSettings2", "public") == {
        "short": "Public",
        "services": ["ssh"],
        "masquerade": False,
        "ports": [["80", "tcp"]],
        "priority": -32000,
    }


def test_properties_come_one_per_line() -> None:
    commands: list[list[str]] = []
    text = '{"type":"s","data":"1.3.3"}\n{"type":"as","data":["hash:net"]}\n'
    assert bus(text, commands).properties("version", "IPSetTypes") == ["1.3.3", ["hash:net"]]
    assert commands[0][:2] == ["busctl", "--json=short"] and commands[0][-2:] == ["version", "IPSetTypes"]


def test_a_truncated_reply_is_an_error() -> None:
    with pytest.raises(CommandError, match="did not print JSON"):
        bus('{"type":"as","data":[["ssh"').read("zone.getZones")


def test_the_command_of_a_method() -> None:
    start = ["busctl", "--system", "--auto-start=no", "--timeout=300", "call", "org.fedoraproject.FirewallD1"]
    assert dbus.entries_command("users", ["10.0.0.1", "10.0.0.2"]) == [
        *start,
        "/org/fedoraproject/FirewallD1",
        "org.fedoraproject.FirewallD1.ipset",
        "setEntries",
        "sas",
        "users",
        "2",
        "10.0.0.1",
        "10.0.0.2",
    ]
    assert dbus.command("reload") == [*start, "/org/fedoraproject/FirewallD1", "org.fedoraproject.FirewallD1", "reload"]
