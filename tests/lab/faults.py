# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to break the lab: what is done to which host, which connections must turn, and what the diagnosis must be.

No two touch the same connection, so all of them are there in one run of verify. Each is there on hosts with nftables
and with firewalld, where the backend matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.ports.tests.support.hosts import START_FIREWALLD

BRIDGE = "the bridge of the lab"  # between the hosts
# These may open only what a flow names, so a target that lets them in is not seen.
_DROPPED_AT_SOURCE = (("alpha-login", 20048, "tcp"), ("beta-controller", 32765, "tcp"))
_RESTRICTED = ("alpha-compute1", "nfs1", "nfs2", "workspace1")


@dataclass(frozen=True)
class Fault:
    """One fault. `do` and `undo` are shell commands on `host`; without `undo` the host gets its firewall again.

    `cells` tells which connections must turn, `code` is the diagnosis of each, and `says` is in its text.
    """

    name: str
    host: str
    do: str
    cells: Callable[[Mapping[str, Any]], bool]
    code: str
    says: str
    undo: str = ""


def to(target: str, *ports: str, intended: str = "open", version: int = 0, source: str = "",
       but: tuple[str, ...] = ()) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells the connections to these ports of a target, all of them without ports."""
    def is_one(cell: Mapping[str, Any]) -> bool:
        return (cell["target"] == target or not target) and (
            not ports or f"{cell['port']}/{cell['protocol']}" in ports) and (
            cell["intended"] in (intended, intended or cell["intended"])) and (
            not version or (":" in cell["address"]) == (version == 6)) and (
            not source or cell["source"] == source) and cell["source"] not in but
    return is_one


def opened(target: str, *ports: str, **more: Any) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells the connections that a target lets in against its policy."""
    is_one = to(target, *ports, intended="filtered", but=_RESTRICTED, **more)
    return lambda cell: is_one(cell) and cell["denied_by"] == "target" and (
        cell["source"], cell["port"], cell["protocol"]) not in _DROPPED_AT_SOURCE


def either(*cells: Callable[[Mapping[str, Any]], bool]) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells the connections that any of these tells."""
    return lambda cell: any(is_one(cell) for is_one in cells)


def without(cells: Callable[[Mapping[str, Any]], bool], source: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return the same but for what another fault does to the IPv4 connections of a source."""
    return lambda cell: cells(cell) and (cell["source"] != source or ":" in cell["address"])


def table(name: str, hook: str, rule: str, kind: str = "filter", priority: int = 5,
          family: str = "inet") -> tuple[str, str]:
    """Return how to add and to remove a table of somebody else with one rule."""
    chain = f"chain c {{\ntype {kind} hook {hook} priority {priority}\n{rule}\n}}"
    return f"nft 'table {family} {name} {{\n{chain}\n}}'", f"nft delete table {family} {name}"


def _foreign(name: str, host: str, rule: tuple[str, str], cells: Callable[[Mapping[str, Any]], bool], code: str,
             says: str) -> Fault:
    return Fault(name, host, rule[0], cells, code, says, undo=rule[1])


_OURS = "nft insert rule inet hpc_ports {0}"
_POLICY = ("firewall-cmd -q --policy hpc_ports_in "
           "--add-rich-rule='rule priority=\"-50\" port port=\"{0}\" protocol=\"tcp\" {1}'")
_FLUSH = ("for set in $(nft list table inet firewalld | sed -n 's/.*ip saddr @\\(\\S*\\) tcp dport 9090 .*/\\1/p'); "
          "do nft flush set inet firewalld $set; done")

# The containers of the lab have /proc/sys for reading only.
_FORWARD = "mkdir -p /run/box; mount -t proc proc /run/box; echo {0} > /run/box/sys/net/ipv4/ip_forward; umount /run/box"
# A service in a network of its own, as of a container, and the rule that docker writes for it.
_PUBLISHED = f"""set -e
systemd-run --quiet --unit site-box --property PrivateNetwork=yes python3 -m http.server 80
pid=$(systemctl show --property MainPID --value site-box)
until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/1/ns/net)" ]; do sleep 0.1; done
ip link add vethbox type veth peer name eth0 netns $pid
ip address add 172.31.99.1/24 dev vethbox
ip link set vethbox up
nsenter --target $pid --net sh -ec '
  ip address add 172.31.99.2/24 dev eth0; ip link set eth0 up; ip route add default via 172.31.99.1
  until ss -Htln | grep -q :80; do sleep 0.1; done'
{_FORWARD.format(1)}
nft 'table ip site_box {{
chain c {{
type nat hook prerouting priority -100
tcp dport 7070 dnat to 172.31.99.2:80
}}
}}'"""
_UNPUBLISHED = f"nft delete table ip site_box; systemctl stop site-box; {_FORWARD.format(0)}"

OURS = [
    Fault("our rules drop, nftables", "ctl1", _OURS.format("input tcp dport 9400 drop"), to("ctl1", "9400/tcp"),
          "ruleset_drops", "table inet hpc_ports, chain input, `tcp dport 9400 drop`"),
    Fault("our rules drop, firewalld", "ctl2", _POLICY.format(9400, "drop"), to("ctl2", "9400/tcp"),
          "ruleset_drops", "chain filter_IN_policy_hpc_ports_in_"),
    Fault("a flow is missing, nftables", "alpha-login", "nft flush chain inet hpc_ports in_monitoring_nodes",
          to("alpha-login", "9090/tcp", "24224/tcp"), "ruleset_drops", "though flow monitoring_nodes allows it"),
    Fault("a flow is missing, firewalld", "nfs2", _FLUSH, to("nfs2", "9090/tcp", "24224/tcp", version=4),
          "ruleset_drops", "though flow monitoring_nodes allows it"),
    Fault("one port too many, nftables", "desk1", _OURS.format("input tcp dport 2375 accept"),
          without(opened("desk1", "2375/tcp"), "laptop1"),
          "ruleset_allows", "table inet hpc_ports, chain input, `tcp dport 2375 accept`"),
    Fault("one port too many, firewalld", "beta-controller", _POLICY.format(2375, "accept"),
          without(opened("beta-controller", "2375/tcp"), "monitor1"), "ruleset_allows",
          "chain filter_IN_policy_hpc_ports_in_"),
    Fault("no rules at all, nftables", "beta-compute1",
          "systemctl stop hpc-ports-watch; nft delete table inet hpc_ports", opened("beta-compute1"),
          "ruleset_allows", "beta-compute1 lets it through"),
    Fault("no rules at all, firewalld", "alpha-compute2", "systemctl stop firewalld.service", opened("alpha-compute2"),
          "ruleset_allows", "alpha-compute2 lets it through", undo=START_FIREWALLD),
    Fault("our egress drops, nftables", "alpha-compute1", _OURS.format("output tcp dport 875 drop"),
          to("", "875/tcp", source="alpha-compute1"), "ruleset_drops", "The rules of hpc.ports on alpha-compute1 drop"),
    Fault("our egress drops, firewalld", "nfs2",
          "nft insert rule inet firewalld filter_OUT_policy_hpc_ports_out_deny tcp dport 24224 drop",
          to("monitor1", "24224/tcp", source="nfs2"), "ruleset_drops", "The rules of hpc.ports on nfs2 drop"),
]

OTHERS = [
    _foreign("another table drops, nftables", "ctl1", table("site_web", "input", "tcp dport 8443 drop"),
             to("ctl1", "8443/tcp"), "other_table", "table inet site_web, chain c, `tcp dport 8443 drop`"),
    _foreign("another table drops, firewalld", "ctl2", table("site_web", "input", "tcp dport 8443 drop"),
             without(to("ctl2", "8443/tcp"), "outsider"), "other_table",
             "table inet site_web, chain c, `tcp dport 8443 drop`"),
    _foreign("another table drops before ours, nftables", "alpha-controller",
             table("site_raw", "prerouting", "tcp dport 6817 drop", priority=-300, family="ip"),
             to("alpha-controller", "6817/tcp", version=4), "other_table", "table ip site_raw"),
    _foreign("another table drops before ours, firewalld", "beta-controller",
             table("site_raw", "prerouting", "tcp dport 6817 drop", priority=-300, family="ip"),
             to("beta-controller", "6817/tcp", version=4), "other_table", "table ip site_raw"),
    _foreign("another table drops one family", "alpha-controller",
             table("site_six", "input", "tcp dport 32767 drop", family="ip6"),
             to("alpha-controller", "32767/tcp", version=6), "other_table", "table ip6 site_six"),
    _foreign("another table rejects, nftables", "nfs1", table("site_udp", "input", "udp dport 111 reject"),
             to("nfs1", "111/udp"), "other_table", "table inet site_udp"),
    _foreign("another table rejects, firewalld", "nfs2", table("site_udp", "input", "udp dport 111 reject"),
             to("nfs2", "111/udp"), "other_table", "table inet site_udp"),
    _foreign("another table drops at the source, nftables", "alpha-login",
             table("site_out", "output", "tcp dport 20048 drop"), to("", "20048/tcp", source="alpha-login"),
             "other_table", "Rules of others on alpha-login drop"),
    _foreign("another table drops at the source, firewalld", "beta-controller",
             table("site_out", "output", "tcp dport 32765 drop"), to("", "32765/tcp", source="beta-controller"),
             "other_table", "Rules of others on beta-controller drop"),
    _foreign("a port is redirected to another", "pbs-server",
             table("site_nat", "prerouting", "tcp dport 2376 redirect to :22", kind="nat", priority=-100, family="ip"),
             lambda cell: opened("pbs-server", "2376/tcp", version=4)(cell) and cell["source"] in ("ctl2", "laptop1"),
             "published", "it is sent on to this host port 22 (table ip site_nat, chain c: tcp dport 2376 redirect to :22)"),
    Fault("a container publishes a port, nftables", "desk1", _PUBLISHED,
          without(opened("desk1", "7070/tcp", version=4), "laptop1"), "published",
          "desk1 publishes 7070/tcp past its firewall: it is sent on to 172.31.99.2 port 80 (table ip site_box", undo=_UNPUBLISHED),
    Fault("a container publishes a port, firewalld", "ctl2", _PUBLISHED,
          without(opened("ctl2", "7070/tcp", version=4), "outsider"), "published",
          "ctl2 publishes 7070/tcp past its firewall: it is sent on to 172.31.99.2 port 80 (table ip site_box", undo=_UNPUBLISHED),
]

BETWEEN = [
    _foreign("dropped on the way, to nftables", BRIDGE,
             table("there_a", "forward", "ip saddr 10.203.0.22 ip daddr 10.203.0.21 tcp dport 6819 drop",
                   family="bridge"),
             to("alpha-controller", "6819/tcp", version=4, source="alpha-login"), "not_arrived", "did not arrive"),
    _foreign("dropped on the way, to firewalld", BRIDGE,
             table("there_b", "forward", "ip saddr 10.203.0.97 ip daddr 10.203.0.52 tcp dport 2049 drop",
                   family="bridge"),
             to("nfs2", "2049/tcp", version=4, source="laptop1"), "not_arrived", "did not arrive"),
    _foreign("the answer is lost on the way, from nftables", BRIDGE,
             table("back_a", "forward", "ip saddr 10.203.0.61 tcp sport 3001 drop", family="bridge"),
             to("workspace1", "3001/tcp", version=4), "reply_lost", "the answer did not come back"),
    _foreign("the answer is lost on the way, from firewalld", BRIDGE,
             table("back_b", "forward", "ip saddr 10.203.0.12 tcp sport 8200 drop", family="bridge"),
             to("ctl2", "8200/tcp", version=4), "reply_lost", "the answer did not come back"),
    _foreign("the answer is dropped at the target, nftables", "monitor1",
             table("site_answers", "output", "udp sport 123 drop"), to("monitor1", "123/udp"), "reply_lost",
             "its answer did not leave it: table inet site_answers"),
    _foreign("the answer is dropped at the target, firewalld", "alpha-compute2",
             table("site_answers", "output", "tcp sport 9100 drop"), to("alpha-compute2", "9100/tcp"), "reply_lost",
             "its answer did not leave it: table inet site_answers"),
    _foreign("the answer is dropped at the source, nftables", "pbs-server",
             table("site_back", "input", "tcp sport 53 drop"), to("monitor1", "53/tcp", source="pbs-server"),
             "reply_lost", "whose own rules drop it: table inet site_back"),
    _foreign("the answer is dropped at the source, firewalld", "beta-controller",
             table("site_back", "input", "tcp sport 53 drop"), to("monitor1", "53/tcp", source="beta-controller"),
             "reply_lost", "whose own rules drop it: table inet site_back"),
]

ADDRESSES = [
    Fault("another source address, to nftables", "laptop1",
          "ip address add 10.203.0.197/24 dev eth0; ip route replace 10.203.0.81/32 dev eth0 src 10.203.0.197",
          either(to("desk1", version=4, source="laptop1"), opened("desk1", "2375/tcp", "7070/tcp", version=4, source="laptop1")),
          "wrong_source", "desk1 sees 10.203.0.197",
          undo="ip route delete 10.203.0.81/32; ip address delete 10.203.0.197/24 dev eth0"),
    Fault("another source address, to firewalld", "monitor1",
          "ip address add 10.203.0.196/24 dev eth0; ip route replace 10.203.0.31/32 dev eth0 src 10.203.0.196",
          either(to("beta-controller", version=4, source="monitor1"),
                 opened("beta-controller", "2375/tcp", version=4, source="monitor1")), "wrong_source",
          "beta-controller sees 10.203.0.196",
          undo="ip route delete 10.203.0.31/32; ip address delete 10.203.0.196/24 dev eth0"),
    _foreign("translated on the way, to nftables", "ctl1",
             table("site_snat", "postrouting", "ip daddr 10.203.0.61 tcp dport 3003 snat to 10.203.0.198", kind="nat",
                   priority=100, family="ip"),
             to("workspace1", "3003/tcp", version=4), "wrong_source", "workspace1 sees 10.203.0.198"),
    _foreign("translated on the way, to firewalld", "ctl1",
             table("site_snat2", "postrouting", "ip daddr 10.203.0.12 tcp dport 4006 snat to 10.203.0.199", kind="nat",
                   priority=100, family="ip"),
             to("ctl2", "4006/tcp", version=4), "wrong_source", "ctl2 sees 10.203.0.199"),
    _foreign("another host answers, for nftables", "alpha-compute1",
             table("site_dnat", "output", "ip daddr 10.203.0.51 tcp dport 2049 dnat to 10.203.0.21", kind="nat",
                   priority=-100, family="ip"),
             to("nfs1", "2049/tcp", version=4, source="alpha-compute1"), "elsewhere", "answered by alpha-controller"),
    _foreign("another host answers, for firewalld", "alpha-compute2",
             table("site_dnat", "output", "ip daddr 10.203.0.52 tcp dport 2049 dnat to 10.203.0.21", kind="nat",
                   priority=-100, family="ip"),
             to("nfs2", "2049/tcp", version=4, source="alpha-compute2"), "elsewhere", "answered by alpha-controller"),
    Fault("a name means another host", "pbs-server", "echo 10.203.0.99 exec.example.org >> /etc/hosts",
          to("pbs-exec", version=4, source="pbs-server", intended=""), "elsewhere",
          "exec.example.org is 10.203.0.99 to pbs-server",
          undo="grep -v exec.example.org /etc/hosts > /root/hosts; cat /root/hosts > /etc/hosts"),
    Fault("no route, to nftables", "outsider", "ip route add unreachable 10.203.0.71/32",
          to("monitor1", version=4, source="outsider", intended=""), "not_sent", "no route to 10.203.0.71",
          undo="ip route delete unreachable 10.203.0.71/32"),
    Fault("no route, to firewalld", "outsider", "ip route add unreachable 10.203.0.12/32",
          to("ctl2", version=4, source="outsider", intended=""), "not_sent", "no route to 10.203.0.12",
          undo="ip route delete unreachable 10.203.0.12/32"),
]

FAULTS = [*OURS, *OTHERS, *BETWEEN, *ADDRESSES]
# Whose own rules the faults change.
DRIFTED = sorted({fault.host for fault in OURS})
