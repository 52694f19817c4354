# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What busctl prints, read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import dbus
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text,values",
    [
        ("", []),
        ("b true\n", [True]),
        ('s "RUNNING"\n', ["RUNNING"]),
        ('as 2 "ssh" "dhcpv6-client"\n', [["ssh", "dhcpv6-client"]]),
        ("as 0\n", [[]]),
        # firewalld 1.3.3: zone.getZoneSettings2
        (
            'a{sv} 5 "short" s "Public" "services" as 2 "ssh" "dhcpv6-client" "masquerade" b false "ports" a(ss) 1 '
            '"80" "tcp" "priority" i -32000\n',
            [
                {
                    "short": "Public",
                    "services": ["ssh", "dhcpv6-client"],
                    "masquerade": False,
                    "ports": [("80", "tcp")],
                    "priority": -32000,
                }
            ],
        ),
        # ipset.getIPSetSettings
        (
            '(ssssa{ss}as) "" "" "A \\"b\\" \\\\ c" "hash:net" 1 "family" "inet6" 1 "fd64::/64"\n',
            [("", "", 'A "b" \\ c', "hash:net", {"family": "inet6"}, ["fd64::/64"])],
        ),
        # direct.getAllRules
        (
            'a(sssias) 1 "ipv4" "filter" "INPUT" 0 2 "-j" "ACCEPT"\n',
            [[("ipv4", "filter", "INPUT", 0, ["-j", "ACCEPT"])]],
        ),
        ('s "Z\\303\\274rich\\n"\n', ["Z\u00fcrich\n"]),
        ('as 1 "rule family=\\"ipv4\\" accept"\n', [['rule family="ipv4" accept']]),
        ('sas "x" 1 "y"\n', ["x", ["y"]]),
    ],
)
def test_real_messages(text: str, values: list[Any]) -> None:
    assert dbus.parsed(text) == values


def escaped(text: str) -> str:
    """As systemd's cescape() does."""
    plain = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 39: "\\'", 92: "\\\\"}
    return "".join(plain.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode())


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@given(st.lists(st.text(characters), max_size=4), st.dictionaries(st.text(characters), st.text(characters), max_size=3))
def test_any_text_comes_back(values: list[str], pairs: dict[str, str]) -> None:
    one = " ".join(["as", str(len(values)), *(f'"{escaped(value)}"' for value in values)])
    other = " ".join(
        ["a{sv}", str(len(pairs)), *(f'"{escaped(key)}" s "{escaped(value)}"' for key, value in pairs.items())]
    )
    assert dbus.parsed(one) == [values]
    assert dbus.parsed(other) == [pairs]


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
