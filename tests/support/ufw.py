# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that ufw writes for both families, as commands of iptables-nft: who asks for ssh or the web is let in.

From its before.rules, after.rules and user.rules (0.36); 8022 is limited, 10.9.0.0/16 and fd09::/16 are denied.
"""

from __future__ import annotations

_RULES = """
-P INPUT DROP
-N ufw-before-input
-N ufw-after-input
-N ufw-reject-input
-N ufw-track-input
-N ufw-user-input
-N ufw-user-limit
-N ufw-user-limit-accept
-N ufw-not-local
-N ufw-logging-deny
-N ufw-skip-to-policy-input
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A INPUT -j ufw-reject-input
-A INPUT -j ufw-track-input
-A ufw-before-input -i lo -j ACCEPT
{first}-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p {icmp} -j ACCEPT
{local}-A ufw-before-input -j ufw-user-input
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-user-input -p tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,443 -m comment --comment 'dapp_Nginx%20Full' -j ACCEPT
-A ufw-user-input -p tcp --dport 8022 -m conntrack --ctstate NEW -m recent --set
-A ufw-user-input -p tcp --dport 8022 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 \
-j ufw-user-limit
-A ufw-user-input -p tcp --dport 8022 -j ufw-user-limit-accept
-A ufw-user-input -s {denied} -j DROP
-A ufw-user-input -p udp --dport 53 -j ACCEPT
-A ufw-user-limit -m limit --limit 3/minute -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT
-A ufw-user-limit-accept -j ACCEPT
-A ufw-after-input -p udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-skip-to-policy-input -j DROP
"""
_LOCAL = """-A ufw-before-input -j ufw-not-local
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
"""
_BY_PROGRAM = {
    "iptables-nft": _RULES.format(first="", icmp="icmp", local=_LOCAL, denied="10.9.0.0/16"),
    "ip6tables-nft": _RULES.format(
        first="-A ufw-before-input -m rt --rt-type 0 -j DROP\n", icmp="ipv6-icmp", local="", denied="fd09::/16"
    ),
}
# A shell program.
UFW = "".join(f"{program} {line}\n" for program, rules in _BY_PROGRAM.items() for line in rules.strip().splitlines())
