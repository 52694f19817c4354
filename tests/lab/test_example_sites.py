# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of docs/sites.md over hosts of the lab, which take the addresses of the site meanwhile: real packets."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

import pytest
from ansible_collections.hpc.ports.tests.lab.networks import in_lab
from ansible_collections.hpc.ports.tests.support.hosts import ROOT, firewall, on, play, restoring
from ansible_collections.hpc.ports.tests.support.inventories import Connection, plan_of
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.truth_tables import connections_of, rows_about

_BRIDGE = "$(ip -o -4 address show to 10.203.0.1/32 | awk '{ print $2 }')"
_LAB = ROOT / "extensions" / "molecule" / "inventory" / "group_vars" / "all" / "lab.yml"
# All peers outside the inventory are this host of the lab.
_OUTSIDE = "outsider"
# Nobody listens: a connection that passes is refused. All are tried at the same time. Hosts refuse TCP as often as they
# are asked, but the kernel limits the rate of its answers to UDP, so only TCP is tried.
_TRY = """
import json, select, socket, sys, time
seconds, wanted = json.load(sys.stdin)
waiting, passed, poll = {}, [], select.poll()
for number, (source, address, port) in enumerate(wanted):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setblocking(False)
    sock.bind((source, 0))
    error = sock.connect_ex((address, port))
    if error == 115:
        waiting[sock.fileno()] = number, sock
        poll.register(sock, select.POLLOUT)
    elif error in (0, 111):
        passed.append(number)
end = time.monotonic() + seconds
while waiting and time.monotonic() < end:
    for handle, _event in poll.poll(100):
        number, sock = waiting.pop(handle)
        poll.unregister(sock)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, 111):
            passed.append(number)
print(json.dumps(passed))
"""
# At a time: a process has 1,024 files by default.
_MOST = 500


@dataclass(frozen=True)
class Rehearsal:
    """A site whose hosts are hosts of the lab: `stand_ins` by the name of the site's host."""

    kind: str
    stand_ins: Mapping[str, str]

    @cached_property
    def expected(self) -> dict[Connection, bool]:
        """Return the truth table without the controller, hosts without stand-in, and peers without address."""
        absent = {*plan_of(self.kind).inventory.hosts, self.controller, "0.0.0.0"}.difference(self.stand_ins)
        result = {}
        for connection in connections_of(self.kind):
            if connection.protocol == "tcp" and not absent & {connection.source, connection.target}:
                rows = rows_about(self.kind, connection)
                result[connection] = bool(rows) and all(row.passes for row in rows)
        return result

    @cached_property
    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses of the site by host of the lab."""
        ends = {end for connection in self.expected for end in (connection.source, connection.target)}
        outside = sorted(ends.difference(self.stand_ins))
        return {**{host: self.addresses_of(name) for name, host in self.stand_ins.items()}, _OUTSIDE: outside}

    def addresses_of(self, name: str) -> list[str]:
        """Return the addresses of a host of the site, or the address outside itself."""
        if name not in self.stand_ins:
            return [name]
        return [str(network.ip) for network in plan_of(self.kind).addresses.host_networks([name])]

    @property
    def controller(self) -> str:
        """Return the address of the controller."""
        [network] = plan_of(self.kind).catalogue.endpoints["controllers"].cidrs
        return str(network.ip)

    @contextmanager
    def addressed(self) -> Iterator[None]:
        """Give the hosts of the lab the addresses of the site meanwhile, on one wire."""
        with ExitStack() as ends:
            for host in self.addresses:
                on(host, "; ".join(self._commands(host, "add")))
                ends.callback(on, host, "; ".join(reversed(self._commands(host, "delete"))))
            in_lab(f"ip address add {self.controller}/32 dev {_BRIDGE}")
            ends.callback(in_lab, f"ip address delete {self.controller}/32 dev {_BRIDGE}")
            for text in (text for texts in self.addresses.values() for text in texts if ":" not in text):
                in_lab(f"ip route add {text} dev {_BRIDGE} src {self.controller}")
                ends.callback(in_lab, f"ip route delete {text} dev {_BRIDGE}")
            yield

    @contextmanager
    def firewalls(self) -> Iterator[None]:
        """Give the hosts the firewalls of the site meanwhile. These accept no ssh from the controller of the lab."""
        options = ("-i", str(ROOT / "inventories" / self.kind), "-e", f"@{_LAB}", "--limit", ",".join(self.stand_ins))
        # The lab's own firewalls accept no ssh from the controller of the site.
        removal = play("remove", "--limit", ",".join(self.stand_ins.values()))
        assert removal.code == 0, removal.output
        try:
            run = firewall(*options)
            assert run.code == 0, run.output
            yield
        finally:
            removal = play("remove", *options)
            assert removal.code == 0, removal.output

    def _commands(self, host: str, verb: str) -> list[str]:
        own = self.addresses[host]
        others = {self.controller, *(text for texts in self.addresses.values() for text in texts)}.difference(own)
        addresses = [f"ip address {verb} {text} dev eth0" + " nodad" * (verb == "add" and ":" in text) for text in own]
        sources = {text: nearest(text, own) for text in sorted(others)}
        routes = [f"ip route {verb} {text} dev eth0 src {source}" for text, source in sources.items() if source]
        return [*addresses, *routes]

    def passes(self, source: str) -> dict[Connection, set[bool]]:
        """Try the connections of a source at all addresses of their targets, and return what was seen."""
        own = self.addresses_of(source)
        tried = [
            (connection, (near, address, connection.port))
            for connection in self.expected
            if connection.source == source
            for address in self.addresses_of(connection.target)
            for near in [nearest(address, own)]
            if near
        ]
        verdicts: dict[Connection, set[bool]] = defaultdict(set)
        for start in range(0, len(tried), _MOST):
            some = tried[start : start + _MOST]
            attempts = json.dumps([scaled(2), [attempt for _connection, attempt in some]])
            program = f"python3 -c {shlex.quote(_TRY)} <<'END'\n{attempts}\nEND"
            passed = json.loads(on(self.stand_ins.get(source, _OUTSIDE), program))
            for number, (connection, _attempt) in enumerate(some):
                verdicts[connection].add(number in passed)
        return verdicts


def nearest(address: str, own: list[str]) -> str:
    """Return the address of the same family that has the longest start in common; empty without one."""
    wanted = ip_address(address)

    def common(text: str) -> int:
        difference = int(wanted) ^ int(ip_address(text))
        return -difference.bit_length()

    return max((text for text in own if ip_address(text).version == wanted.version), key=common, default="")


# Both backends, with each Debian.
ISOLATED = Rehearsal(
    "isolated",
    {
        "ctl": "ctl2",
        "dbd": "alpha-controller",
        "login": "alpha-login",
        "node1": "alpha-compute1",
        "node2": "nfs1",
        "node3": "nfs2",
        "node4": "beta-compute1",
        "files": "beta-controller",
        "mon": "monitor1",
        "ldap": "desk1",
        "gate": "workspace1",
    },
)
PORTAL = Rehearsal(
    "portal",
    {
        "ctl": "ctl1",
        "login": "alpha-login",
        "node1": "alpha-compute1",
        "node2": "alpha-compute2",
        "node3": "nfs1",
        "node4": "pbs-exec",
        "files": "nfs2",
        "ondemand": "beta-controller",
        "hub": "ctl2",
        "grafana": "monitor1",
    },
)


@pytest.mark.takes_turns(2)
@pytest.mark.parametrize("site", [ISOLATED, PORTAL], ids=lambda site: site.kind)
def test_packets_pass_as_the_table_of_the_site_says(site: Rehearsal) -> None:
    with restoring(*site.stand_ins.values()), site.addressed(), site.firewalls():
        seen = {
            connection: verdicts
            for source in {connection.source for connection in site.expected}
            for connection, verdicts in site.passes(source).items()
        }
    wrong = [str(connection) for connection, verdicts in seen.items() if verdicts != {site.expected[connection]}]
    assert (wrong, len(seen) > 1000) == ([], True)
    # Between IP versions there is nothing to try.
    untried = site.expected.keys() - seen.keys()
    assert all(":" in f"{connection.source}{connection.target}" for connection in untried)
