# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render policies and ipsets as the XML files of firewalld."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    PRIORITY,
    FirewalldPolicy,
    IPSet,
    RichRule,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import rule_line

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    "<!-- Written by the Ansible collection hpc.ports; changes here are undone by its next run. -->\n"
)


def ipset_xml(ipset: IPSet) -> str:
    """Return the file of an ipset; `short` names the flow."""
    return "".join(
        [
            _HEAD,
            f'<ipset type="{ipset.kind}">\n',
            f"  <short>{ipset.flow}</short>\n" if ipset.flow else "",
            '  <option name="family" value="inet6"/>\n' if ipset.version == 6 else "",
            *(f"  <entry>{entry}</entry>\n" for entry in ipset.entries),
            "</ipset>\n",
        ]
    )


def policy_xml(policy: FirewalldPolicy, ipset_flows: Mapping[str, str]) -> str:
    """Return the file of a policy; a comment names the flow of a rule that looks up no ipset of this flow."""
    head = '<policy priority="{0}" target="{1}">\n  <ingress-zone name="{2}"/>\n  <egress-zone name="{3}"/>\n'
    return "".join(
        [
            _HEAD,
            head.format(PRIORITY, policy.target, policy.ingress_zone, policy.egress_zone),
            *(_comment(rule, ipset_flows) + rule.xml() for rule in policy.rules),
            "</policy>\n",
        ]
    )


def _comment(rule: RichRule, ipset_flows: Mapping[str, str]) -> str:
    looked_up = [side[1] for side in (rule.source, rule.destination) if side[:1] == ("ipset",)]
    is_known = any(ipset_flows.get(ipset) == rule.flow for ipset in looked_up)
    return "" if is_known or not rule.flow else f"  <!-- {rule.flow}: {rule_line(rule)} -->\n"
