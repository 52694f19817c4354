# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of a host that load one rule more than they are given: what comes of a ruleset that is wrong.

Each stands before the real one for whoever looks programs up by PATH, as the modules do. What undoes a change finds the
real one. Nothing here knows how the collection is written, only what it has the programs do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ansible_collections.hpc.ports.tests.support.hosts import on

# What fills our chain gets the rule. `when` tells what is loaded for real from what is only tried.
_NFT = """\
#!/bin/sh
test "$*" = "-f -" && {when} || exec /usr/sbin/nft "$@"
script=$(cat)
case $script in
  *"add rule inet hpc_ports {chain} "*) script="$script
insert rule inet hpc_ports {chain} {rule}" ;;
esac
printf '%s\\n' "$script" | /usr/sbin/nft -f -
"""
_FOR_REAL = "test /proc/self/ns/net -ef /proc/1/ns/net"
# By a call, the rules are the last arguments, their number before them. By a reload, they are in a file.
_BUSCTL = """\
#!/bin/sh
case "$*" in
  *" setPolicySettings sa{{sv}} hpc_ports_in "*)
    before=
    for word do
      shift
      test "$before" != as || word=$((word + 1))
      before=$word
      set -- "$@" "$word"
    done
    set -- "$@" 'rule {words}' ;;
  *".FirewallD1 reload") sed -i 's|</policy>|<rule family="ipv4">{elements}</rule></policy>|' {file} ;;
esac
exec /usr/bin/busctl "$@"
"""
_FILE = "/etc/firewalld/policies/hpc_ports_in.xml"


class Program(NamedTuple):
    """A program by name, and what stands before it."""

    name: str
    text: str

    @contextmanager
    def standing_on(self, host: str) -> Iterator[None]:
        """Have it stand there on a host meanwhile."""
        path = f"/usr/local/sbin/{self.name}"
        on(host, f"cat > {path} <<'END'\n{self.text}END\nchmod 755 {path}")
        try:
            yield
        finally:
            on(host, f"rm {path}")


def _nft(chain: str, rule: str, when: str = "true") -> Program:
    return Program("nft", _NFT.format(chain=chain, rule=rule, when=when))


def _busctl(words: str, elements: str) -> Program:
    return Program("busctl", _BUSCTL.format(words=words, elements=elements, file=_FILE))


# nftables: rules that come before all others of their chain, in the same transaction.
ANSWERS_DROPPED = _nft("output", "tcp sport 22 tcp flags & (syn | ack) == (syn | ack) drop")
ALL_DROPPED = _nft("output", "counter drop")
NEVER_LOADS = _nft("input", "tcp dport @nothing drop")
LOADS_WHEN_TRIED = _nft("input", "tcp dport @nothing drop", _FOR_REAL)
# firewalld accepts replies before any policy: redirect new connections to ssh to a port without a listener.
LED_ELSEWHERE = _busctl(
    'family="ipv4" forward-port port="22" protocol="tcp" to-port="9"',
    '<forward-port port="22" protocol="tcp" to-port="9"/>',
)
NAMES_NO_IPSET = _busctl('family="ipv4" source ipset="nothing" drop', '<source ipset="nothing"/><drop/>')
