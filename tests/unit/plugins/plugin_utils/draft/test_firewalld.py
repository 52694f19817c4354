# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of firewalld, as its files have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.firewalld import read_firewalld

SERVICES = {
    "ssh": '<port protocol="tcp" port="22"/>',
    "samba-client": '<port protocol="udp" port="137"/><include service="ssh"/>',
    "mdns": '<port protocol="udp" port="5353"/><destination ipv4="224.0.0.251"/>',
    "tftp-client": '<source-port protocol="udp" port="69"/>',
}
PUBLIC = """
<service name="ssh"/><port port="8000-8009" protocol="tcp"/><protocol value="vrrp"/>
<rule family="ipv4"><source address="10.20.9.0/24"/><drop/></rule>
<rule family="ipv4"><source address="10.20.0.0/16"/><port port="8649" protocol="udp"/><accept/></rule>
<rule priority="-5" family="ipv4"><source address="10.20.9.1"/><service name="ssh"/><accept/></rule>
<rule priority="5"><port port="9000" protocol="tcp"/><accept/></rule>
<rule priority="6"><port port="9000" protocol="tcp"/><drop/></rule>
<rule family="ipv6"><source address="fd00::/64" invert="True"/><port port="111" protocol="tcp"/><reject/></rule>
<rule><port port="111" protocol="tcp"/><accept/></rule>
<rule><port port="1" protocol="tcp"/><log/></rule>
<rule><port port="7" protocol="tcp"/><accept/></rule>
<rule><source address="10.20.0.7"/><port port="7" protocol="tcp"/><drop/></rule>
"""


def copied(folder: Path, **zones: str) -> Path:
    """Write the files of a host: zones of the site, services of firewalld."""
    site, system = folder / "etc" / "firewalld", folder / "usr" / "lib" / "firewalld"
    for path in (site / "zones", site / "ipsets", system / "services", system / "zones"):
        path.mkdir(parents=True)
    for name, inner in SERVICES.items():
        (system / "services" / f"{name}.xml").write_text(f"<service>{inner}</service>", encoding="utf-8")
    for name, inner in zones.items():
        target = ' target="ACCEPT"' if name == "trusted" else ""
        (site / "zones" / f"{name}.xml").write_text(f"<zone{target}>{inner}</zone>", encoding="utf-8")
    (system / "zones" / "public.xml").write_text("<zone/>", encoding="utf-8")
    entries = "<entry>10.77.0.0/24</entry><entry>10.78.0.1</entry>"
    (site / "ipsets" / "friends.xml").write_text(f'<ipset type="hash:net">{entries}</ipset>', encoding="utf-8")
    return folder


def accepts(folder: Path, source: str, protocol: str, port: int) -> bool:
    return any(
        source in region.sources and any(ports.covers(protocol, port) for ports in region.ports)
        for region in read_firewalld(folder).accepted
    )


@pytest.mark.parametrize(
    "source,protocol,port,passes",
    [
        ("192.0.2.1", "tcp", 22, True),
        ("192.0.2.1", "tcp", 23, False),
        ("192.0.2.1", "tcp", 8009, True),
        ("192.0.2.1", "ip", 112, True),
        ("10.20.0.1", "udp", 8649, True),
        ("10.21.0.1", "udp", 8649, False),
        ("10.20.9.2", "udp", 8649, False),
        ("10.20.9.2", "tcp", 22, False),
        ("10.20.9.1", "tcp", 22, True),
        ("192.0.2.1", "tcp", 9000, True),
        ("192.0.2.1", "tcp", 111, True),
        ("fd00::1", "tcp", 111, True),
        ("fd01::1", "tcp", 111, False),
        ("192.0.2.1", "tcp", 1, False),
        ("10.20.0.7", "tcp", 7, False),
        ("10.20.0.8", "tcp", 7, True),
        ("10.77.0.9", "tcp", 1, True),
        ("10.78.0.1", "udp", 1, True),
    ],
)
def test_the_zones_of_a_host(tmp_path: Path, source: str, protocol: str, port: int, passes: bool) -> None:
    folder = copied(tmp_path, public=PUBLIC, trusted='<source ipset="friends"/>')
    assert accepts(folder, source, protocol, port) is passes
    assert read_firewalld(folder).left == []


def test_the_default_zone_is_the_one_in_the_settings(tmp_path: Path) -> None:
    folder = copied(tmp_path, cluster='<service name="samba-client"/>')
    (folder / "etc" / "firewalld" / "firewalld.conf").write_text("# x\nDefaultZone=cluster\n", encoding="utf-8")
    assert accepts(folder, "10.0.0.1", "udp", 137) and accepts(folder, "10.0.0.1", "tcp", 22)
    assert not accepts(folder, "10.0.0.1", "udp", 138)


@pytest.mark.parametrize(
    "zone,reason",
    [
        ('<source mac="02:00:00:00:00:01"/>', "zone public: source {'mac': '02:00:00:00:00:01'}"),
        ('<service name="odd"/>', "zone public: service odd: its file is missing; copy /usr/lib/firewalld as well"),
        ('<service name="tftp-client"/>', "zone public: service tftp-client: a source port"),
        ('<source-port port="69" protocol="udp"/>', "zone public: source-port 69 udp"),
        ('<forward-port port="80" protocol="tcp" to-port="8080"/>', "zone public: forward-port 80 tcp 8080"),
        (
            '<rule><port port="80" protocol="tcp"/><accept><limit value="1/m"/></accept></rule>',
            "zone public: rich rule: a limit",
        ),
        ('<rule><destination address="192.0.2.1"/><accept/></rule>', "zone public: rich rule: destination 192.0.2.1"),
    ],
)
def test_what_a_port_file_cannot_express_is_left(tmp_path: Path, zone: str, reason: str) -> None:
    assert read_firewalld(copied(tmp_path, public=zone)).left == [reason]


def test_zones_of_interfaces_and_policies_are_left(tmp_path: Path) -> None:
    folder = copied(tmp_path, public="", dmz='<interface name="eth1"/><service name="ssh"/>')
    (folder / "etc" / "firewalld" / "policies").mkdir()
    for name in ("mine", "hpc_ports_in"):
        (folder / "etc" / "firewalld" / "policies" / f"{name}.xml").write_text("<policy/>", encoding="utf-8")
    (folder / "etc" / "firewalld" / "direct.xml").write_text("<direct/>", encoding="utf-8")
    assert read_firewalld(folder).left == [
        "zone dmz: it decides about interface eth1",
        "policy mine",
        "direct.xml: direct rules",
    ]


def test_the_zone_of_the_interface_by_which_the_host_is_reached_decides(tmp_path: Path) -> None:
    folder = copied(tmp_path, public="", dmz='<interface name="eth1"/><service name="ssh"/>')
    read = read_firewalld(folder, ["eth1"])
    assert (read.left, len(read.accepted)) == ([], 1)


def test_a_folder_without_zones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder with etc/firewalld"):
        read_firewalld(tmp_path)
