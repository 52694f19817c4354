# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tables of other programs, as nft scripts, for the ports and peers of the test packets.

Echo requests and replies pass everywhere, so that it is seen which packets were answered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

_BEGIN = {
    "inet": "meta l4proto { icmp, ipv6-icmp } accept",
    "ip": "meta l4proto icmp accept",
    "ip6": "meta l4proto ipv6-icmp accept",
}
_PRIORITIES = (-300, -150, -10, 0, 0, 5, 100, 300)
# Rules that nobody can judge who does not know the user, the second or the chance.
UNKNOWABLE = (
    "meta skuid != 4711 drop",
    "numgen random mod 2 0 drop",
    'meta time < "2001-01-01" drop',
    "meta length < 30 drop",
    "meta cpu 77 drop",
    "ip ttl < 3 drop",
    "ip6 hoplimit < 3 drop",
)


class Tables(NamedTuple):
    """A script that loads tables, and one that deletes them; whether all that their rules look at can be told."""

    script: str
    removal: str
    is_knowable: bool


class _Writer:
    """Writes one table for packets of one direction."""

    def __init__(self, randomness: random.Random, direction: str, ports: Sequence[int], peers: Sequence[str]) -> None:
        self._random, self._direction = randomness, direction
        self._ports, self._peers = ports or [22], peers
        self.family = randomness.choice(["inet", "inet", "inet", "ip", "ip6"])
        self._versions = {"inet": (4, 6), "ip": (4,), "ip6": (6,)}[self.family]
        self._side = "saddr" if direction == "in" else "daddr"
        self.is_knowable = True

    def table(self, name: str) -> str:
        """Return the table."""
        hooks = ("input", "prerouting") if self._direction == "in" else ("output", "postrouting")
        chains = [self._regular(number) for number in (2, 1, 0)]
        chains += [self._base(number, self._random.choice(hooks)) for number in range(self._random.randrange(1, 4))]
        if self._random.random() < 0.3:
            chains.append(self._translating())
        return "table {} {} {{\n{}\n}}\n".format(self.family, name, "\n".join([*self._sets(), *chains]))

    # ---- sets

    def _sets(self) -> list[str]:
        found = [
            f"set ports {{ type inet_service; flags interval; elements = {{ {self._port_elements()} }} }}",
            f"map verdicts {{ type inet_service : verdict; flags interval; "
            f"elements = {{ {self._verdict_elements()} }} }}",
        ]
        for version in self._versions:
            kind = f"ipv{version}_addr"
            networks = ", ".join(sorted({self._network(version) for number in range(3)}))
            found += [
                f"set peers{version} {{ type {kind}; flags interval; auto-merge; elements = {{ {networks} }} }}",
                f"set hosts{version} {{ type {kind}; elements = {{ {self._peer(version)} }} }}",
                f"set both{version} {{ type {kind} . inet_service; flags interval; elements = {{ "
                f"{self._network(version)} . {self._range()} }} }}",
                f"map what{version} {{ type {kind} . inet_proto . inet_service : verdict; elements = {{ "
                f"{self._peer(version)} . tcp . {self._port()} : drop, "
                f"{self._peer(version)} . udp . {self._port()} : accept }} }}",
            ]
        return found

    def _port_elements(self) -> str:
        cuts = sorted(self._random.sample(range(1, 65536), 4))
        return f"{cuts[0]}-{cuts[1]}, {cuts[2]}-{cuts[3]}"

    def _verdict_elements(self) -> str:
        cuts = sorted({self._port() for number in range(4)})
        verdicts = ["drop", "accept", "jump c1", "goto c0", "return", "continue"]
        return ", ".join(f"{port} : {self._random.choice(verdicts)}" for port in cuts)

    def _port(self) -> int:
        return self._random.choice(self._ports)

    def _range(self) -> str:
        first, last = sorted((self._port(), self._port()))
        return str(first) if first == last else f"{first}-{last}"

    def _peer(self, version: int) -> str:
        of_version = [peer for peer in self._peers if (":" in peer) == (version == 6)]
        return self._random.choice(of_version or ["10.64.0.3" if version == 4 else "fd64::3"])

    def _network(self, version: int) -> str:
        peer = self._peer(version)
        if version == 4:
            network = f"{peer.rsplit('.', 1)[0]}.0/{self._random.choice([24, 26, 28])}"
            return network if self._random.random() < 0.6 else peer
        return f"{peer}/128" if self._random.random() < 0.5 else "fd64::/" + self._random.choice(["125", "126", "64"])

    # ---- chains

    def _regular(self, number: int) -> str:
        rules = [self._rule("", number) for count in range(self._random.randrange(1, 4))]
        return self._chain(f"c{number}", rules)

    def _base(self, number: int, hook: str) -> str:
        priority = self._random.choice(_PRIORITIES)
        is_early = priority < -200 and hook in ("prerouting", "output")
        rules = [_BEGIN[self.family]]
        if is_early:
            # Replies come by here, too, and nobody knows yet that they are.
            verdict = self._random.choice(["drop", "accept", "jump c0"])
            rules += [f"tcp flags & (syn | ack) == syn {self._port_match()} {verdict}"]
            rules += ["ct state != invalid drop", "ct mark 0 drop"]
            policy = "accept"
        else:
            rules += ["ct state established,related accept"]
            rules += [self._rule(hook, -1) for count in range(self._random.randrange(1, 6))]
            policy = self._random.choice(["accept", "accept", "drop"])
        if self._random.random() < 0.1:
            rules.insert(
                2,
                self._random.choice(
                    [rule for rule in UNKNOWABLE if not rule.startswith("ip") or self.family == "inet"]
                ),
            )
            self.is_knowable = False
        return self._chain(f"b{number}", [f"type filter hook {hook} priority {priority}; policy {policy};", *rules])

    def _translating(self) -> str:
        if self._direction == "in":
            return self._chain(
                "n",
                [
                    "type nat hook prerouting priority dstnat; policy accept;",
                    f"tcp dport {self._range()} redirect to :{self._port()}",
                ],
            )
        return self._chain(
            "n",
            [
                "type nat hook postrouting priority srcnat; policy accept;",
                _BEGIN[self.family],
                f"udp dport {self._range()} masquerade",
                f"{self._match('postrouting')} drop",
            ],
        )

    @staticmethod
    def _chain(name: str, rules: Sequence[str]) -> str:
        return "chain {} {{\n{}\n}}".format(name, "\n".join("  " + rule for rule in rules))

    # ---- rules

    def _rule(self, hook: str, number: int) -> str:
        matches = [self._match(hook) for count in range(self._random.choice([0, 1, 1, 1, 2]))]
        does = self._random.choice(
            [
                "",
                "",
                "counter",
                "meta mark set 5",
                "ct mark set 7",
                "meta mark set ct mark",
                "limit rate over 1000000/second drop",
                "comment",
            ]
        )
        if does == "limit rate over 1000000/second drop":
            return " ".join([*matches, does])
        end = self._verdict(hook, number)
        if does == "comment":
            return " ".join([*matches, end, 'comment "a { b } # 1"'])
        return " ".join([*matches, does, end])

    def _verdict(self, hook: str, number: int) -> str:
        choices = ["drop", "accept", "return" if number >= 0 else "drop", "continue"]
        choices += [f"{how} c{other}" for other in range(3) if other > number for how in ("jump", "goto")]
        if hook in ("input", "output"):
            choices.append("reject with icmpx type admin-prohibited" if self.family == "inet" else "drop")
        if number == -1:
            choices += [
                "tcp dport vmap @verdicts",
                "udp dport vmap @verdicts",
                f"tcp dport vmap {{ {self._port()} : drop, 1-10 : jump c2 }}" if self._small() else "drop",
            ]
            if self.family != "ip6":
                choices.append(f"ip {self._side} . meta l4proto . th dport vmap @what4")
            if self.family != "ip":
                choices.append(f"ip6 {self._side} . meta l4proto . th dport vmap @what6")
        return self._random.choice(choices)

    def _small(self) -> bool:
        return all(port > 10 for port in self._ports)

    def _port_match(self) -> str:
        return self._random.choice(
            [
                f"tcp dport {self._range()}",
                f"udp dport {self._range()}",
                f"tcp dport != {self._range()}",
                f"meta l4proto {{ tcp, udp }} th dport {{ {self._port()}, {self._port()} }}",
                "tcp dport @ports",
                "udp dport != @ports",
                f"tcp dport > {self._port()}",
                f"tcp dport {self._port()}",
                f"udp dport <= {self._port()}",
                f"tcp dport & 3 == {self._random.randrange(4)}",
            ]
        )

    def _match(self, hook: str) -> str:
        kinds = [self._port_match, self._port_match, self._state_match, self._interface_match]
        kinds += [self._ipv4_match] * 2 if 4 in self._versions else []
        kinds += [self._ipv6_match] * 2 if 6 in self._versions else []
        if hook in ("input", "prerouting") and self._random.random() < 0.1:
            # Of an address of one link, the route is that link's: not told here.
            guard = "ip6 saddr != fe80::/10 " if 6 in self._versions else ""
            return guard + "fib saddr . iif oif missing"
        return self._random.choice(kinds)()

    def _state_match(self) -> str:
        return self._random.choice(
            [
                "ct state new",
                "ct state invalid",
                "ct state { new, untracked }",
                "ct state != new",
                "ct direction original",
                "ct direction reply",
                "ct mark 7",
                "ct mark != 7",
                "ct status dnat",
                "ct status & (snat | dnat) == 0",
                "meta mark 5",
                "meta mark != 5",
                "meta mark & 0x4 == 4",
                "tcp flags syn",
                "tcp flags & (fin | syn | rst | ack) == syn",
                "tcp flags != syn",
                "tcp flags & (fin | syn | rst | ack) != syn",
                "tcp flags ack",
                "meta l4proto tcp",
                "meta l4proto { tcp, udp }",
                "meta l4proto != udp",
                "tcp sport > 20040",
                "udp sport 20000-20030",
                "meta pkttype host",
                "meta pkttype multicast",
                "fib daddr type local",
                "fib daddr type != local",
                "ct zone 0",
                "limit rate 1000000/second burst 100000 packets",
            ]
        )

    def _interface_match(self) -> str:
        here, there = ("iifname", "oifname") if self._direction == "in" else ("oifname", "iifname")
        return self._random.choice(
            [
                f'{here} "eth0"',
                f'{here} != "eth0"',
                f'{here} "fab*"',
                f'{here} {{ "eth9", "fab0" }}',
                f'{there} "eth0"',
                f'{there} != "eth0"',
                f'{here[:3]} "eth0"',
                f'{here} "lo"',
                f'{here} {{ "e*", "lo" }}',
            ]
        )

    def _ipv4_match(self) -> str:
        peer, other = self._peer(4), self._peer(4)
        first, last = sorted((peer, other), key=lambda text: tuple(map(int, text.split("."))))
        return self._random.choice(
            [
                f"ip {self._side} {self._network(4)}",
                f"ip {self._side} @peers4",
                f"ip {self._side} != @peers4",
                f"ip {self._side} @hosts4",
                f"ip {self._side} . tcp dport @both4",
                f"ip {self._side} . udp dport != @both4",
                f"ip {self._side} & 0.0.0.3 == 0.0.0.{self._random.randrange(4)}",
                "ip protocol tcp",
                "ip protocol != tcp",
                f"ip {self._side} {first}-{last}" if first != last else f"ip {self._side} {peer}",
                f"ip {self._side} . tcp dport {{ {peer} . {self._port()}, 10.64.0.0/28 . 1-{65000} }}",
                "ip frag-off & 0x1fff != 0",
                "meta nfproto ipv4" if self.family == "inet" else "ip version 4",
                "ip saddr 192.0.2.1",
                "ip daddr 192.0.2.1",
            ]
        )

    def _ipv6_match(self) -> str:
        return self._random.choice(
            [
                f"ip6 {self._side} {self._network(6)}",
                f"ip6 {self._side} @peers6",
                f"ip6 {self._side} != @peers6",
                f"ip6 {self._side} @hosts6",
                f"ip6 {self._side} . tcp dport @both6",
                "ip6 nexthdr udp",
                "exthdr frag exists",
                "exthdr frag missing",
                "ip6 daddr fe80::/10",
                f"ip6 {self._side} {{ fd64::1-fd64::7, 2400::/16 }}",
                "meta nfproto ipv6" if self.family == "inet" else "ip6 version 6",
                "meta protocol ip6",
            ]
        )


def random_tables(randomness: random.Random, direction: str, ports: Sequence[int], peers: Sequence[str]) -> Tables:
    """Return one to three tables for packets of one direction."""
    script = removal = ""
    is_knowable = True
    for number in range(randomness.randrange(1, 4)):
        writer = _Writer(randomness, direction, ports, peers)
        script += writer.table(f"other{number}")
        removal += f"delete table {writer.family} other{number}\n"
        is_knowable = is_knowable and writer.is_knowable
    # Which of the host's addresses a redirected packet has from then on depends on the kernel's version.
    is_knowable = is_knowable and not ("redirect to" in script and " daddr " in script)
    return Tables(script, removal, is_knowable)
