# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to break the lab: what is done to which host, which connections must turn, and what the diagnosis must be.

No two touch the same connection, so all of them are there in one run of verify. Each is there on hosts with nftables
and with firewalld, where the backend matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.ports.tests.lab.networks import SECOND, has_way
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


def to(
    target: str,
    *ports: str,
    intended: str = "open",
    version: int = 0,
    source: str = "",
    but: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells the connections to these ports of a target, all of them without ports, where there is a way."""

    def is_one(cell: Mapping[str, Any]) -> bool:
        return (
            has_way(cell)
            and (cell["target"] == target or not target)
            and (not ports or f"{cell['port']}/{cell['protocol']}" in ports)
            and (cell["intended"] in (intended, intended or cell["intended"]))
            and (not version or (":" in cell["address"]) == (version == 6))
            and (cell["source"] in (only or (source or cell["source"],)))
            and cell["source"] not in but
        )

    return is_one


def opened(target: str, *ports: str, **more: Any) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test for connections that a target accepts against its policy."""
    is_one = to(target, *ports, intended="filtered", but=_RESTRICTED, **more)
    return lambda cell: (
        is_one(cell)
        and cell["denied_by"] == "target"
        and (cell["source"], cell["port"], cell["protocol"]) not in _DROPPED_AT_SOURCE
    )


def either(*cells: Callable[[Mapping[str, Any]], bool]) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells the connections that any of these tells."""
    return lambda cell: any(is_one(cell) for is_one in cells)


def without(cells: Callable[[Mapping[str, Any]], bool], source: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return the same but for what another fault does to the IPv4 connections of a source."""
    return lambda cell: cells(cell) and (cell["source"] != source or ":" in cell["address"])


def but_to(
    cells: Callable[[Mapping[str, Any]], bool], others: Callable[[Mapping[str, Any]], bool]
) -> Callable[[Mapping[str, Any]], bool]:
    """Return the same but for what other faults do first."""
    return lambda cell: cells(cell) and not others(cell)


def table(
    name: str, hook: str, rule: str, kind: str = "filter", priority: int = 5, family: str = "inet"
) -> tuple[str, str]:
    """Return the commands that add and remove another program's table with one rule."""
    chain = f"chain c {{\ntype {kind} hook {hook} priority {priority}\n{rule}\n}}"
    return f"nft 'table {family} {name} {{\n{chain}\n}}'", f"nft delete table {family} {name}"


def _blocklist(network: str) -> tuple[str, str]:
    return (
        f"nft 'table ip site_list {{ set bad {{ type ipv4_addr; flags interval; elements = {{ {network} }}; }}\n"
        "chain c { type filter hook input priority 6; ip saddr @bad ct state new drop; }; }'",
        "nft delete table ip site_list",
    )


def _foreign(
    name: str, host: str, rule: tuple[str, str], cells: Callable[[Mapping[str, Any]], bool], code: str, says: str
) -> Fault:
    return Fault(name, host, rule[0], cells, code, says, undo=rule[1])


_OURS = "nft insert rule inet hpc_ports {0}"
_NOT_OURS = (
    "nft delete rule inet {1} prerouting handle "
    "$(nft -a list chain inet {1} prerouting | sed -n 's/.*tcp dport {0} .* handle //p')"
)
# On hosts with firewalld, a table of ours judges before NAT.
_OURS_BESIDE = "nft insert rule inet hpc_ports_published prerouting {0}"
_POLICY = (
    'firewall-cmd -q --policy hpc_ports_in --add-rich-rule=\'rule priority="-50" port port="{0}" protocol="tcp" {1}\''
)
_FLUSH = (
    "for set in $(nft list table inet firewalld | sed -n 's/.*ip saddr @\\(\\S*\\) tcp dport 9090 .*/\\1/p'); "
    "do nft flush set inet firewalld $set; done"
)

# The containers of the lab have /proc/sys for reading only.
_FORWARD = (
    "mkdir -p /run/box; mount -t proc proc /run/box; echo {0} > /run/box/sys/net/ipv4/ip_forward; umount /run/box"
)
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

_REDIRECT = table("site_nat", "prerouting", "tcp dport 2376 redirect to :22", kind="nat", priority=-100, family="ip")

# A way to one host that goes nowhere.
_NOWHERE = (
    "ip link add site0 type veth peer name site1; ip link set site0 up; ip link set site1 up; "
    "ip route add {0}/32 dev site0"
)
_BACK = "ip link delete site0"
_STRICT = "mount -t proc proc /run/box; echo {0} > /run/box/sys/net/ipv4/conf/site2/rp_filter; umount /run/box"


def _is_rejected(cell: Mapping[str, Any]) -> bool:
    """Tell the connection to a second address that another fault stops as well."""
    return (cell["address"], cell["source"], cell["port"], cell["protocol"]) == (
        SECOND["nfs2"],
        "alpha-controller",
        111,
        "udp",
    )


def _second_network(backend: str, host: str, address: str) -> Iterator[Fault]:
    """Yield what may be wrong on the way to the second address of a host."""

    def from_one(source: str, intended: str) -> Callable[[Mapping[str, Any]], bool]:
        return lambda cell: (
            not _is_rejected(cell)
            and (cell["address"], cell["source"], cell["intended"]) == (address, source, intended)
        )

    yield Fault(
        f"the reverse path filter is strict, {backend}",
        host,
        f"mkdir -p /run/box; {_STRICT.format(1)}",
        from_one("alpha-controller", "open"),
        "wrong_source",
        "the reverse path filter is strict",
        undo=_STRICT.format(0),
    )
    no_way = f"ip rule {{0}} from 10.203.0.71 to {address} unreachable"
    yield Fault(
        f"the router has no route, {backend}",
        BRIDGE,
        no_way.format("add"),
        from_one("monitor1", "open"),
        "not_arrived",
        "0 arrived.",
        undo=no_way.format("delete"),
    )
    yield Fault(
        f"the router has no route, and nothing is proven, {backend}",
        BRIDGE,
        "true",
        from_one("monitor1", "filtered"),
        "unreachable",
        "",
        undo="true",
    )


# As docker-proxy does: it takes the connection, and has nobody to connect to.
_PROXY = """ip route add unreachable 172.31.98.2/32
systemd-run --quiet --unit site-proxy bash -c 'exec -a docker-proxy python3 -c "import socket
server = socket.create_server((str(), {0}), family=socket.AF_INET6, dualstack_ipv6=True)
while True: server.accept()[0].close()" \
-proto tcp -host-ip 0.0.0.0 -host-port {0} -container-ip 172.31.98.2 -container-port 80'
until ss -Htln sport = :{0} | grep -q .; do sleep 0.1; done"""
_NO_PROXY = "systemctl stop site-proxy; ip route delete unreachable 172.31.98.2/32"

# As an administrator does who remembers ssh.
_UFW = "ufw allow 22/tcp > /dev/null; {0} ufw --force enable > /dev/null"
_NO_UFW = "ufw --force reset > /dev/null; nft delete table ip filter; nft delete table ip6 filter"
_BAN = """systemctl start fail2ban; until fail2ban-client ping > /dev/null 2>&1; do sleep 0.1; done
fail2ban-client set sshd banip {0} > /dev/null"""
_NO_BAN = "systemctl stop fail2ban; "

OURS = [
    Fault(
        "our rules drop, nftables",
        "ctl1",
        _OURS.format("input tcp dport 9400 drop"),
        to("ctl1", "9400/tcp"),
        "ruleset_drops",
        "table inet hpc_ports, chain input, `tcp dport 9400 drop`",
    ),
    Fault(
        "our rules drop, firewalld",
        "ctl2",
        _POLICY.format(9400, "drop"),
        to("ctl2", "9400/tcp"),
        "ruleset_drops",
        "chain filter_IN_policy_hpc_ports_in_",
    ),
    Fault(
        "a flow is missing, nftables",
        "alpha-login",
        "nft flush chain inet hpc_ports in_monitoring_nodes",
        to("alpha-login", "9090/tcp", "24224/tcp"),
        "ruleset_drops",
        "but flow monitoring_nodes allows them",
    ),
    Fault(
        "a flow is missing, firewalld",
        "nfs2",
        _FLUSH,
        to("nfs2", "9090/tcp", "24224/tcp", version=4),
        "ruleset_drops",
        "but flow monitoring_nodes allows them",
    ),
    Fault(
        "one port too many, nftables",
        "desk1",
        _OURS.format("prerouting tcp dport 2375 accept"),
        without(opened("desk1", "2375/tcp"), "laptop1"),
        "ruleset_allows",
        "table inet hpc_ports, chain prerouting, `tcp dport 2375 accept`",
    ),
    Fault(
        "one port too many, firewalld",
        "beta-controller",
        f"{_POLICY.format(2375, 'accept')}; {_OURS_BESIDE.format('tcp dport 2375 accept')}",
        without(opened("beta-controller", "2375/tcp"), "monitor1"),
        "ruleset_allows",
        "chain filter_IN_policy_hpc_ports_in_",
    ),
    Fault(
        "no rules at all, nftables",
        "beta-compute1",
        "systemctl stop hpc-ports-watch; nft delete table inet hpc_ports",
        opened("beta-compute1"),
        "ruleset_allows",
        "beta-compute1 accepts the connection",
    ),
    Fault(
        "no rules at all, firewalld",
        "alpha-compute2",
        "systemctl stop hpc-ports-watch firewalld.service; nft delete table inet hpc_ports_published",
        opened("alpha-compute2"),
        "ruleset_allows",
        "alpha-compute2 accepts the connection",
        undo=f"{START_FIREWALLD}; systemctl restart hpc-ports-published.service; systemctl start hpc-ports-watch",
    ),
    Fault(
        "our egress drops, nftables",
        "alpha-compute1",
        _OURS.format("output tcp dport 875 drop"),
        to("", "875/tcp", source="alpha-compute1"),
        "ruleset_drops",
        "The rules of hpc.ports on alpha-compute1 drop",
    ),
    Fault(
        "our egress drops, firewalld",
        "nfs2",
        "nft insert rule inet firewalld filter_OUT_policy_hpc_ports_out_deny tcp dport 24224 drop",
        to("monitor1", "24224/tcp", source="nfs2"),
        "ruleset_drops",
        "The rules of hpc.ports on nfs2 drop",
    ),
]

OTHERS = [
    _foreign(
        "another table drops, nftables",
        "ctl1",
        table("site_web", "input", "tcp dport 8443 drop"),
        to("ctl1", "8443/tcp"),
        "other_table",
        "table inet site_web, chain c, `tcp dport 8443 drop`",
    ),
    _foreign(
        "another table drops, firewalld",
        "ctl2",
        table("site_web", "input", "tcp dport 8443 drop"),
        without(to("ctl2", "8443/tcp"), "outsider"),
        "other_table",
        "table inet site_web, chain c, `tcp dport 8443 drop`",
    ),
    _foreign(
        "another table drops before ours, nftables",
        "alpha-controller",
        table("site_raw", "prerouting", "tcp dport 6817 drop", priority=-300, family="ip"),
        to("alpha-controller", "6817/tcp", version=4),
        "other_table",
        "table ip site_raw",
    ),
    _foreign(
        "another table drops before ours, firewalld",
        "beta-controller",
        table("site_raw", "prerouting", "tcp dport 6817 drop", priority=-300, family="ip"),
        to("beta-controller", "6817/tcp", version=4),
        "other_table",
        "table ip site_raw",
    ),
    _foreign(
        "another table drops one family",
        "alpha-controller",
        table("site_six", "input", "tcp dport 32767 drop", family="ip6"),
        to("alpha-controller", "32767/tcp", version=6),
        "other_table",
        "table ip6 site_six",
    ),
    _foreign(
        "another table rejects, nftables",
        "nfs1",
        table("site_udp", "input", "udp dport 111 reject"),
        to("nfs1", "111/udp"),
        "other_table",
        "table inet site_udp",
    ),
    _foreign(
        "another table rejects, firewalld",
        "nfs2",
        table("site_udp", "input", "udp dport 111 reject"),
        either(without(to("nfs2", "111/udp"), "beta-compute1"), _is_rejected),
        "other_table",
        "table inet site_udp",
    ),
    _foreign(
        "another table drops at the source, nftables",
        "alpha-login",
        table("site_out", "output", "tcp dport 20048 drop"),
        to("", "20048/tcp", source="alpha-login"),
        "other_table",
        "Rules of another program on alpha-login drop",
    ),
    _foreign(
        "another table drops at the source, firewalld",
        "beta-controller",
        table("site_out", "output", "tcp dport 32765 drop"),
        to("", "32765/tcp", source="beta-controller"),
        "other_table",
        "Rules of another program on beta-controller drop",
    ),
    Fault(
        "a port is redirected to another, and our rules let it pass",
        "pbs-server",
        f"{_REDIRECT[0]}; {_OURS.format('prerouting meta nfproto ipv4 tcp dport 2376 accept')}",
        opened("pbs-server", "2376/tcp", version=4),
        "ruleset_allows",
        "table inet hpc_ports, chain prerouting, `meta nfproto ipv4 tcp dport 2376 accept`",
        undo=f"{_REDIRECT[1]}; {_NOT_OURS.format(2376, 'hpc_ports')}",
    ),
    Fault(
        "ufw lets only ssh in, nftables",
        "pbs-exec",
        _UFW.format(""),
        but_to(to("pbs-exec"), either(to("pbs-exec", "22/tcp"), to("pbs-exec", source="pbs-server", version=4))),
        "other_table",
        "filter, chain INPUT, `policy drop`",
        undo=_NO_UFW,
    ),
    Fault(
        "ufw lets only ssh in, firewalld",
        "beta-controller",
        _UFW.format("ufw allow 2375/tcp > /dev/null; ufw allow 6820/tcp > /dev/null;"),
        but_to(
            to("beta-controller"),
            either(
                to("beta-controller", "22/tcp", "6820/tcp"),
                to("beta-controller", "5432/tcp", "6817/tcp", version=4),
                to("beta-controller", source="monitor1", version=4),
            ),
        ),
        "other_table",
        "filter, chain INPUT, `policy drop`",
        undo=_NO_UFW,
    ),
    Fault(
        "fail2ban has banned an address, nftables",
        "alpha-login",
        _BAN.format("10.203.0.98"),
        to("alpha-login", "22/tcp", version=4, source="laptop1"),
        "other_table",
        "table ip filter, chain f2b-sshd",
        undo=_NO_BAN + "nft delete table ip filter",
    ),
    Fault(
        "fail2ban has banned an address, firewalld",
        "beta-controller",
        "printf '[DEFAULT]\nbanaction = nftables-multiport\n' > /etc/fail2ban/jail.d/site.local; "
        + _BAN.format("10.203.0.98"),
        to("beta-controller", "22/tcp", version=4, source="laptop1"),
        "other_table",
        "table inet f2b-table, chain f2b-chain",
        undo=_NO_BAN + "rm /etc/fail2ban/jail.d/site.local",
    ),
    Fault(
        "a rule of iptables drops new connections",
        "alpha-compute1",
        "iptables -A INPUT -p tcp -m multiport --dports 9100,9400 -m conntrack --ctstate NEW -j DROP",
        to("alpha-compute1", "9100/tcp", "9400/tcp", version=4),
        "other_table",
        "table ip filter, chain INPUT",
        undo="nft delete table ip filter",
    ),
    _foreign(
        "a list of bad addresses drops, nftables",
        "workspace1",
        _blocklist("10.203.0.40/29"),
        to("workspace1", "3004/tcp", version=4, only=("pbs-exec", "pbs-server")),
        "other_table",
        "table ip site_list, chain c, `ip saddr @bad ct state new drop`",
    ),
    _foreign(
        "a list of bad addresses drops, firewalld",
        "ctl2",
        _blocklist("10.203.0.80/31"),
        to("ctl2", "80/tcp", "443/tcp", version=4, source="desk1"),
        "other_table",
        "table ip site_list, chain c, `ip saddr @bad ct state new drop`",
    ),
    _foreign(
        "dropped as it comes from the wire, nftables",
        "ctl1",
        table("site_wire", "ingress device eth0", "ip saddr 10.203.0.12 tcp dport 5432 drop", family="netdev"),
        to("ctl1", "5432/tcp", version=4),
        "other_table",
        "table netdev site_wire, chain c",
    ),
    _foreign(
        "dropped as it comes from the wire, firewalld",
        "ctl2",
        table("site_wire", "ingress device eth0", "ip saddr 10.203.0.11 tcp dport 5432 drop", family="netdev"),
        to("ctl2", "5432/tcp", version=4),
        "other_table",
        "table netdev site_wire, chain c",
    ),
    _foreign(
        "a port is forwarded to a dead container, nftables",
        "workspace1",
        table(
            "site_dead", "prerouting", "tcp dport 4369 dnat to 172.31.98.9:80", kind="nat", priority=-100, family="ip"
        ),
        to("workspace1", "4369/tcp", version=4),
        "published",
        "rules of another program forward it to 172.31.98.9 port 80 (table ip site_dead, chain c",
    ),
    _foreign(
        "a port is forwarded to a dead container, firewalld",
        "beta-controller",
        table(
            "site_dead", "prerouting", "tcp dport 5432 dnat to 172.31.98.9:80", kind="nat", priority=-100, family="ip"
        ),
        to("beta-controller", "5432/tcp", version=4),
        "published",
        "rules of another program forward it to 172.31.98.9 port 80 (table ip site_dead, chain c",
    ),
    Fault(
        "a proxy has lost its container, nftables",
        "workspace1",
        _PROXY.format(30000),
        to("workspace1", "30000/tcp"),
        "no_listener",
        "30000/tcp of workspace1 accepts connections but carries no data",
        undo=_NO_PROXY,
    ),
    Fault(
        "a proxy has lost its container, firewalld",
        "ctl2",
        _PROXY.format(8888),
        to("ctl2", "8888/tcp"),
        "no_listener",
        "8888/tcp of ctl2 accepts connections but carries no data",
        undo=_NO_PROXY,
    ),
    Fault(
        "a container publishes a port, and our rules do not judge it",
        "desk1",
        f"{_PUBLISHED}\n{_OURS.format('prerouting meta nfproto ipv4 tcp dport 7070 return')}",
        without(opened("desk1", "7070/tcp", version=4), "laptop1"),
        "published",
        "desk1 publishes 7070/tcp, and no rule of hpc.ports judges it: "
        "rules of another program forward it to 172.31.99.2 port 80 (table ip site_box",
        undo=f"{_UNPUBLISHED}; {_NOT_OURS.format(7070, 'hpc_ports')}",
    ),
    Fault(
        "a container publishes a port, and our table beside firewalld does not judge it",
        "ctl2",
        f"{_PUBLISHED}\n{_OURS_BESIDE.format('meta nfproto ipv4 tcp dport 7070 return')}",
        without(opened("ctl2", "7070/tcp", version=4), "outsider"),
        "published",
        "ctl2 publishes 7070/tcp, and no rule of hpc.ports judges it: "
        "rules of another program forward it to 172.31.99.2 port 80 (table ip site_box",
        undo=f"{_UNPUBLISHED}; {_NOT_OURS.format(7070, 'hpc_ports_published')}",
    ),
]

BETWEEN = [
    _foreign(
        "dropped on the way, to nftables",
        BRIDGE,
        table("there_a", "forward", "ip saddr 10.203.0.22 ip daddr 10.203.0.21 tcp dport 6819 drop", family="bridge"),
        to("alpha-controller", "6819/tcp", version=4, source="alpha-login"),
        "not_arrived",
        "did not arrive",
    ),
    _foreign(
        "dropped on the way, to firewalld",
        BRIDGE,
        table("there_b", "forward", "ip saddr 10.203.0.61 ip daddr 10.203.0.12 tcp dport 443 drop", family="bridge"),
        to("ctl2", "443/tcp", version=4, source="workspace1"),
        "not_arrived",
        "did not arrive",
    ),
    _foreign(
        "the answer is lost on the way, from nftables",
        BRIDGE,
        table("back_a", "forward", "ip saddr 10.203.0.61 tcp sport 3001 drop", family="bridge"),
        to("workspace1", "3001/tcp", version=4),
        "reply_lost",
        "the answer did not arrive",
    ),
    _foreign(
        "the answer is lost on the way, from firewalld",
        BRIDGE,
        table("back_b", "forward", "ip saddr 10.203.0.12 tcp sport 8200 drop", family="bridge"),
        to("ctl2", "8200/tcp", version=4),
        "reply_lost",
        "the answer did not arrive",
    ),
    _foreign(
        "the answer is dropped at the target, nftables",
        "monitor1",
        table("site_answers", "output", "udp sport 123 drop"),
        without(to("monitor1", "123/udp"), "pbs-exec"),
        "reply_lost",
        "its answer was not sent: table inet site_answers",
    ),
    _foreign(
        "the answer is dropped at the target, firewalld",
        "alpha-compute2",
        table("site_answers", "output", "tcp sport 9100 drop"),
        to("alpha-compute2", "9100/tcp"),
        "reply_lost",
        "its answer was not sent: table inet site_answers",
    ),
    _foreign(
        "the answer is dropped at the source, nftables",
        "pbs-server",
        table("site_back", "input", "tcp sport 53 drop"),
        to("monitor1", "53/tcp", source="pbs-server"),
        "reply_lost",
        "but its rules drop the answer: table inet site_back",
    ),
    _foreign(
        "the answer is dropped at the source, firewalld",
        "beta-controller",
        table("site_back", "input", "tcp sport 53 drop"),
        to("monitor1", "53/tcp", source="beta-controller"),
        "reply_lost",
        "but its rules drop the answer: table inet site_back",
    ),
    _foreign(
        "the source does not track what it sends, nftables",
        "desk1",
        table("site_fast", "output", "tcp dport 53 notrack", priority=-300),
        to("monitor1", "53/tcp", source="desk1"),
        "reply_lost",
        "arrived at desk1, but the host did not accept it",
    ),
    _foreign(
        "the source does not track what it sends, firewalld",
        "ctl2",
        table("site_fast", "output", "tcp dport 53 notrack", priority=-300),
        to("monitor1", "53/tcp", source="ctl2"),
        "reply_lost",
        "arrived at ctl2, but the host did not accept it",
    ),
    Fault(
        "answers take another way, nftables",
        "ctl1",
        _NOWHERE.format("10.203.0.201"),
        to("ctl1", "80/tcp", "443/tcp", version=4, source="outsider"),
        "reply_lost",
        "the answer did not arrive at outsider",
        undo=_BACK,
    ),
    Fault(
        "answers take another way, firewalld",
        "beta-controller",
        _NOWHERE.format("10.203.0.98"),
        to("beta-controller", "6820/tcp", version=4, source="laptop1"),
        "reply_lost",
        "the answer did not arrive at laptop1",
        undo=_BACK,
    ),
]

ADDRESSES = [
    Fault(
        "another source address, to nftables",
        "laptop1",
        "ip address add 10.203.0.197/24 dev eth0; ip route replace 10.203.0.81/32 dev eth0 src 10.203.0.197",
        either(
            to("desk1", version=4, source="laptop1"),
            opened("desk1", "2375/tcp", "7070/tcp", version=4, source="laptop1"),
        ),
        "wrong_source",
        "desk1 sees laptop1 as 10.203.0.197",
        undo="ip route delete 10.203.0.81/32; ip address delete 10.203.0.197/24 dev eth0",
    ),
    Fault(
        "another source address, to firewalld",
        "monitor1",
        "ip address add 10.203.0.196/24 dev eth0; ip route replace 10.203.0.31/32 dev eth0 src 10.203.0.196",
        either(
            to("beta-controller", version=4, source="monitor1"),
            opened("beta-controller", "2375/tcp", version=4, source="monitor1"),
        ),
        "wrong_source",
        "beta-controller sees monitor1 as 10.203.0.196",
        undo="ip route delete 10.203.0.31/32; ip address delete 10.203.0.196/24 dev eth0",
    ),
    _foreign(
        "translated on the way, to nftables",
        "ctl1",
        table(
            "site_snat",
            "postrouting",
            "ip daddr 10.203.0.61 tcp dport 3003 snat to 10.203.0.198",
            kind="nat",
            priority=100,
            family="ip",
        ),
        to("workspace1", "3003/tcp", version=4),
        "wrong_source",
        "as 10.203.0.198, but the plan expects",
    ),
    _foreign(
        "translated on the way, to firewalld",
        "ctl1",
        table(
            "site_snat2",
            "postrouting",
            "ip daddr 10.203.0.12 tcp dport 4006 snat to 10.203.0.199",
            kind="nat",
            priority=100,
            family="ip",
        ),
        to("ctl2", "4006/tcp", version=4),
        "wrong_source",
        "as 10.203.0.199, but the plan expects",
    ),
    _foreign(
        "another host answers, for nftables",
        "alpha-compute1",
        table(
            "site_dnat",
            "output",
            "ip daddr 10.203.0.51 tcp dport 2049 dnat to 10.203.0.21",
            kind="nat",
            priority=-100,
            family="ip",
        ),
        to("nfs1", "2049/tcp", version=4, source="alpha-compute1"),
        "elsewhere",
        "came from alpha-controller",
    ),
    _foreign(
        "another host answers, for firewalld",
        "alpha-compute2",
        table(
            "site_dnat",
            "output",
            "ip daddr 10.203.0.52 tcp dport 2049 dnat to 10.203.0.21",
            kind="nat",
            priority=-100,
            family="ip",
        ),
        to("nfs2", "2049/tcp", version=4, source="alpha-compute2"),
        "elsewhere",
        "came from alpha-controller",
    ),
    Fault(
        "a name means another host",
        "pbs-server",
        "echo 10.203.0.99 exec.example.org >> /etc/hosts",
        to("pbs-exec", version=4, source="pbs-server", intended=""),
        "elsewhere",
        "pbs-server resolves exec.example.org to 10.203.0.99",
        undo="grep -v exec.example.org /etc/hosts > /root/hosts; cat /root/hosts > /etc/hosts",
    ),
    Fault(
        "no route, to nftables",
        "outsider",
        "ip route add unreachable 10.203.0.71/32",
        to("monitor1", version=4, source="outsider", intended=""),
        "not_sent",
        "no route to 10.203.0.71",
        undo="ip route delete unreachable 10.203.0.71/32",
    ),
    Fault(
        "no route, to firewalld",
        "outsider",
        "ip route add unreachable 10.203.0.12/32",
        to("ctl2", version=4, source="outsider", intended=""),
        "not_sent",
        "no route to 10.203.0.12",
        undo="ip route delete unreachable 10.203.0.12/32",
    ),
    Fault(
        "a rule for routes forbids it, from nftables",
        "ctl1",
        "ip rule add to 10.203.0.12 ipproto tcp dport 15672 prohibit",
        to("ctl2", "15672/tcp", version=4),
        "not_sent",
        "Blocked by this host itself",
        undo="ip rule delete to 10.203.0.12 ipproto tcp dport 15672 prohibit",
    ),
    Fault(
        "a rule for routes forbids it, from firewalld",
        "ctl2",
        "ip rule add to 10.203.0.11 ipproto tcp dport 15672 prohibit",
        to("ctl1", "15672/tcp", version=4),
        "not_sent",
        "Blocked by this host itself",
        undo="ip rule delete to 10.203.0.11 ipproto tcp dport 15672 prohibit",
    ),
    *(
        fault
        for backend, host in (("nftables", "alpha-compute1"), ("firewalld", "nfs2"))
        for fault in _second_network(backend, host, SECOND[host])
    ),
    Fault(
        "the source is behind NAT, to nftables",
        "pbs-exec",
        "ip route add 10.203.0.71/32 via 10.207.0.1",
        to("monitor1", version=4, source="pbs-exec"),
        "wrong_source",
        "monitor1 sees pbs-exec as 10.203.0.194, but the plan expects 10.203.0.42",
        undo="ip route delete 10.203.0.71/32",
    ),
    Fault(
        "the source is behind NAT, to firewalld",
        "beta-compute1",
        "ip route add 10.203.0.52/32 via 10.208.0.1",
        to("nfs2", version=4, source="beta-compute1"),
        "wrong_source",
        "nfs2 sees beta-compute1 as 10.203.0.195, but the plan expects 10.203.0.32",
        undo="ip route delete 10.203.0.52/32",
    ),
]

FAULTS = [*OURS, *OTHERS, *BETWEEN, *ADDRESSES]
# Whose own rules the faults change.
DRIFTED = sorted({fault.host for fault in FAULTS if fault in OURS or " inet hpc_ports" in fault.do})


def is_open_to_others(cell: Mapping[str, Any]) -> bool:
    """Return whether a host with restricted egress drops what the target accepts from others, against its policy.

    The diagnosis is that of the target; verify has it where it asked the target's rules about this connection, too.
    """
    from_another = {**cell, "source": "pbs-server"}
    return cell["source"] in _RESTRICTED and any(
        fault.cells(from_another) and fault.code == cell["diagnosis"]["code"] for fault in FAULTS
    )
