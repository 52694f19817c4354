# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of firewalld, read for a draft: what is read is what the daemon does with them."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.firewalld import read_firewalld
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.support.imported import check
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# The peer's answers to closed ports look like those of a target that rejects: zones drop what they do not accept.
_TARGETS = st.sampled_from(["DROP", "DROP", "ACCEPT"])
_OPENED = st.lists(
    st.sampled_from(
        [
            '<service name="ssh"/>',
            '<service name="site"/>',
            '<port port="80-443" protocol="tcp"/>',
            '<port port="8080" protocol="udp"/>',
            '<port port="21" protocol="sctp"/>',
            '<protocol value="udp"/>',
            '<source-port port="68" protocol="udp"/>',
        ]
    ),
    max_size=3,
    unique=True,
)
_SOURCES = st.sampled_from(
    [
        "",
        '<source address="10.64.0.0/30"/>',
        '<source address="10.64.0.0/16"/>',
        '<source address="10.64.0.0/24" invert="True"/>',
        '<source ipset="some"/>',
    ]
)
_WHAT = st.sampled_from(
    ["", '<service name="site"/>', '<port port="22-80" protocol="tcp"/>', '<protocol value="tcp"/>']
)
_ACTIONS = st.sampled_from(["<accept/>", "<accept/>", "<drop/>", '<log prefix="x"/>'])
_PRIORITIES = st.sampled_from([-10, 0, 0, 10])


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Return a rich rule. firewalld refuses one without ports if it has no source, or only writes to a log."""
    source, what, action = draw(_SOURCES), draw(_WHAT), draw(_ACTIONS)
    family = ' family="ipv4"' if source else ""
    priority = draw(_PRIORITIES)
    if not what and (not source or "log" in action):
        what = '<port port="442" protocol="tcp"/>'
    return f'<rule{family} priority="{priority}">{source}{what}{action}</rule>'


# What is sent ends with an echo request.
_ECHO = "".join(f'<rule priority="-100"><protocol value="{name}"/><accept/></rule>' for name in ("icmp", "ipv6-icmp"))


@st.composite
def zones(draw: st.DrawFn) -> dict[str, str]:
    """Return the files of two zones: that of the interface, and one with sources."""

    def zone(sources: str) -> str:
        parts = [*draw(_OPENED), *draw(st.lists(rules(), max_size=3))]
        return f'{_HEAD}<zone target="{draw(_TARGETS)}">{sources}{"".join(parts)}{_ECHO}</zone>'

    sources = draw(st.sampled_from(["", '<source address="10.64.0.0/24"/>', '<source ipset="some"/>']))
    return {"zones/public.xml": zone(""), "zones/cluster.xml": zone(sources)}


_HEAD = '<?xml version="1.0"?>'
_SITE = {
    "services/site.xml": f'{_HEAD}<service><port port="79" protocol="udp"/><port port="443" protocol="tcp"/></service>',
    "ipsets/some.xml": f'{_HEAD}<ipset type="hash:net"><entry>10.64.0.2</entry><entry>10.65.0.0/16</entry></ipset>',
}


@settings(
    max_examples=examples(30, 8),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=zones())
def test_what_is_read_of_zones_is_what_firewalld_does(daemon: Daemon, wires: Wires, files: dict[str, str]) -> None:
    for path, text in {**_SITE, **files}.items():
        daemon.write(f"/etc/firewalld/{path}", text)
    daemon.host.shell(f"firewall-offline-cmd --check-config; {call('reload')}")  # the daemon knows no new service yet
    read = read_firewalld(daemon.machine.path("/"))
    unread = [line for line in read.left if "source-port" not in line and "sctp" not in line]
    assert not unread
    with daemon.host.entered():
        check(wires, read.accepted)
