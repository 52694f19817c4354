# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that runs containers: real Docker in a privileged container of the lab's Debian, and the host's peer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.tests.containers.connections import Servers, dns_answer
from ansible_collections.hpc.ports.tests.support.containers import PYTHON, PYTHON_PATH, Container
from ansible_collections.hpc.ports.tests.support.namespaces import Pair, Space
from ansible_collections.hpc.ports.tests.support.run import scaled

# What the host has for its users beside its own addresses: an address of a load balancer, and one inside a cluster.
VIRTUAL = {4: ("203.0.113.240",), 6: ("2001:db8:f::240",)}
CLUSTER_IP = {4: ("10.96.0.10",), 6: ("2001:db8:c::10",)}
# Docker needs more than a host of the lab has. Ports may be published on addresses that are still to come. A host that
# forwards already is one where Docker leaves the policy of FORWARD as it is: accept.
_PRIVILEGED = (
    "--privileged",
    "--sysctl=net.ipv4.ip_nonlocal_bind=1",
    "--sysctl=net.ipv6.ip_nonlocal_bind=1",
    "--sysctl=net.ipv4.ip_forward=1",
    "--sysctl=net.ipv6.conf.all.forwarding=1",
)
# The peer sends what is for the virtual addresses, for containers and for services of a cluster to the host.
_ROUTES = """
for network in 172.16.0.0/12 10.88.0.0/14 10.96.0.0/16 203.0.113.0/24; do ip route add $network via 192.0.2.1; done
ip -6 route add throw fd00::/16 table local
for network in fd00::/16 2001:db8:f::/64 2001:db8:c::/64; do ip -6 route add $network via 2001:db8::1; done
"""
_OURS = re.compile(r"^table inet (hpc_ports|hpc_ports_published|firewalld) \{.*?^\}\n", re.MULTILINE | re.DOTALL)


class Kind(NamedTuple):
    """A Debian release, the backend, and what writes the rules of the containers."""

    release: str
    backend: str
    iptables: str


RELEASES = ("11", "12", "13")
KINDS = [Kind(release, "nftables", iptables) for iptables in ("nft", "legacy") for release in RELEASES]
# Without our policies, firewalld accepts all, so that what is closed is closed by ours.
_START_FIREWALLD = """
systemctl enable --quiet --now firewalld
until firewall-cmd --quiet --state; do sleep 0.2; done
firewall-cmd --quiet --set-default-zone=trusted
"""


class ContainerHost(Pair):
    """The host, and its peer, which answers as a DNS server (10.64.0.53) and on the ports 9001 and 9002."""

    python, python_path = PYTHON, PYTHON_PATH
    host: Container

    def __init__(self, kind: Kind, name: str) -> None:
        self._join(Container(kind.release, name, "containers", _PRIVILEGED, is_new=True))
        for program in ("iptables", "ip6tables"):
            self.host.shell(f"update-alternatives --quiet --set {program} /usr/sbin/{program}-{kind.iptables}")
        if kind.backend == "firewalld":
            self.host.shell(_START_FIREWALLD)
        # Its answer depends on which side is faster.
        self.host.shell("systemctl mask --quiet --now ssh.socket ssh.service")
        self.write("/etc/resolv.conf", "nameserver 10.64.0.53\n")

    def _join(self, host: Container) -> None:
        super().__init__(host)
        self.peer.arrange(_ROUTES)
        self.servers = Servers()
        self.servers.udp(self.peer, "10.64.0.53", 53, dns_answer)
        for address, port in itertools.product(("10.64.0.7", "fd64::7"), (9001, 9002)):
            self.servers.tcp(self.peer, address, port, "the peer")
            self.servers.udp(self.peer, address, port, lambda _question: b"the peer")

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file on the host."""
        self.host.run("sh", "-ec", f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode} {path}", text=text)

    def apply(self, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Give the host a policy and confirm it; return the result of the module."""
        result = self.module(policy=policy, confirm_within=scaled(60))
        assert not result.get("failed"), result
        if "pending" in result:
            answer = self.module("firewall_confirm", token=result["pending"]["token"])
            assert answer.get("status") == "confirmed" and not answer.get("failed"), answer
        return result

    def remove_firewall(self) -> None:
        """Leave the host without our rules."""
        result = self.module(state="absent")
        assert not result.get("failed"), result

    def foreign_rules(self) -> str:
        """Return all rules but ours and firewalld's, with their handles, and as iptables lists them."""
        listing = self.host.shell("nft -s -a list ruleset")
        saved = self.host.shell(
            "for program in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do"
            " $program-save 2> /dev/null | grep -v '^#'; done | sed 's/\\[[0-9]*:[0-9]*\\]//'"
        )
        return _OURS.sub("", listing) + saved

    def boot(self) -> None:
        """Have the host boot, and join it to a peer again."""
        self.servers.close()
        self.host.restart()
        self.peer.close()
        self._join(self.host)

    def close(self) -> None:
        """Remove both."""
        self.servers.close()
        super().close()
        self.host.remove()


class Inner(Space):
    """The network namespace of a container on the host."""

    def __init__(self, host: Container, path: str) -> None:  # pylint: disable=super-init-not-called
        self._host, self._path = host, path

    @property
    def network(self) -> str:
        """The file of the network namespace."""
        return f"/proc/{self._host.pid}/root{self._path}"
