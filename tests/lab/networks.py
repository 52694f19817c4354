# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More networks for hosts of the lab, in its namespace: second networks that few hosts reach, NAT, an isolated network.

The additional addresses of a host give no other host rights, so they change the rules of one host alone:
alpha-compute1, which may open NFS at nfs2.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.tests.support.hosts import LAB, managed_hosts, on, process_of
from ansible_collections.hpc.ports.tests.support.run import scaled

# The hosts with a route to the second networks, through the lab as the router: the first is answered over the same
# route; a host that is not listed here is answered by the other two.
ROUTED = ("alpha-login", "alpha-controller", "monitor1")
SECOND = {"alpha-compute1": "10.205.0.23", "nfs2": "10.204.0.52"}
ISOLATED = "10.206.0.0/24"
# It is on the wire of the lab; of these, only the last has addresses that it comes from in it.
_IN_ISOLATED = {"alpha-compute1": "10.206.0.23", "nfs2": "10.206.0.52", "outsider": "10.206.0.201"}
# Variables about them, in addition to the inventory.
VARIABLES: Mapping[str, Any] = {
    "vars": {"firewall_isolated_networks": [ISOLATED]},
    "hosts": {
        "alpha-compute1": {
            "firewall_addresses": ["10.203.0.23", "fd00:203::23", "10.205.0.23", "10.206.0.23"],
            "firewall_source_addresses": ["10.203.0.23", "fd00:203::23"],
        },
        "nfs2": {
            "firewall_addresses": ["10.203.0.52", "fd00:203::52", "10.204.0.52", "10.206.0.52"],
            "firewall_source_addresses": ["10.203.0.52", "fd00:203::52"],
        },
        # It is behind NAT, and the plan knows it.
        "laptop1": {"firewall_source_addresses": ["10.203.0.98", "fd00:203::97"]},
        "outsider": {"firewall_addresses": ["10.203.0.201", "fd00:203::201", "10.206.0.201"]},
    },
}
# netavark translates what leaves the lab, which must not happen to what goes to the second networks.
_ROUTER = """table ip site_router {
chain tracked { type filter hook prerouting priority -300
ip saddr 10.203.0.0/24 ip daddr 10.204.0.0/15 notrack
}
chain sources { type nat hook postrouting priority 99
ip saddr 10.207.0.42 snat to 10.203.0.194
ip saddr 10.208.0.32 snat to 10.203.0.195
ip saddr 10.209.0.97 snat to 10.203.0.98
}
}"""
_TRANSLATED = ("10.203.0.194", "10.203.0.195", "10.203.0.98")
_NO_WAY = "ip route {0} unreachable 10.204.0.0/15"
# All of the lab but Ansible itself.
_BEHIND_NAT = "ip route {0} 10.203.0.1/32 dev eth0; ip route {0} 10.203.0.0/25 via 10.209.0.1"
# What is asked at the second address is answered from there; the rest of the lab stays where it is.
_ANSWER = "ip rule {0} from {1} to 10.203.0.22 lookup 25"


class _Link(NamedTuple):
    """A link between a host and the lab, which is its router there."""

    host: str
    network: str
    number: int

    @property
    def name(self) -> str:
        return f"router-{self.network.replace('.', '-')}"

    def make(self) -> None:
        in_lab(
            f"ip link add {self.name} type veth peer name site2 netns {process_of(self.host)}; "
            f"ip address add {self.network}.1/24 dev {self.name}; ip link set {self.name} up"
        )
        on(self.host, f"ip address add {self.network}.{self.number}/24 dev site2; ip link set site2 up")

    def remove(self) -> None:
        in_lab(f"ip link delete {self.name}")


_LINKS = (
    _Link("nfs2", "10.204.0", 52),
    _Link("alpha-compute1", "10.205.0", 23),  # two networks
    _Link("pbs-exec", "10.207.0", 42),
    _Link("beta-compute1", "10.208.0", 32),
    _Link("laptop1", "10.209.0", 97),
)  # NAT


def has_way(cell: Mapping[str, Any]) -> bool:
    """Return whether the source of a connection has a route to the address, and back."""
    return cell["address"] not in SECOND.values() or cell["source"] == ROUTED[0]


def in_lab(command: str) -> None:
    """Run a shell command where the bridge of the lab is."""
    here, lab = (os.stat(path).st_ino for path in ("/proc/self/ns/net", f"/run/netns/{LAB}"))
    assert here == lab, "This would change the machine's own network."
    subprocess.run(["sh", "-ec", command], check=True, timeout=scaled(60))


@contextmanager
def more_networks() -> Iterator[None]:
    """Have the networks; what is broken there is no matter of theirs."""
    bridge = "$(ip -o -4 address show to 10.203.0.1/32 | awk '{ print $2 }')"
    with ExitStack() as ends:
        for link in _LINKS:
            link.make()
            ends.callback(link.remove)
        for host, address in _IN_ISOLATED.items():
            on(host, f"ip address add {address}/24 dev eth0")
            ends.callback(on, host, f"ip address delete {address}/24 dev eth0")
        for host, address in SECOND.items():
            on(
                host,
                f"{_ANSWER.format('add', address)}; ip route add default via {address.rsplit('.', 1)[0]}.1 table 25",
            )
            ends.callback(on, host, _ANSWER.format("delete", address))
        for host in {*managed_hosts(), "laptop1", "outsider"}.difference(ROUTED):
            on(host, _NO_WAY.format("add"))
            ends.callback(on, host, _NO_WAY.format("delete"))
        on("laptop1", _BEHIND_NAT.format("add"))
        ends.callback(on, "laptop1", _BEHIND_NAT.format("delete"))
        for address in _TRANSLATED:
            in_lab(f"ip address add {address}/32 dev {bridge}")
            ends.callback(in_lab, f"ip address delete {address}/32 dev {bridge}")
        in_lab(f"nft '{_ROUTER}'")
        ends.callback(in_lab, "nft delete table ip site_router")
        yield
