# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to write instead of words of other firewalls: the advice at the end of error messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import Vaulted, listed, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import ANY
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    is_address,
    networks_between,
    parse_network,
)

_NO_STATE = "Remove it: hosts always accept the replies to connections that a flow allows."
_ONLY_ALLOWS = "Remove it: a flow always allows, and hosts drop the connections that no flow allows."
_DEFINE_SERVICE = "Define a service with these ports in firewall_services, and write its name into services."
_DEFINE_ENDPOINT = "Define an endpoint with these keys in firewall_endpoints, and write its name."
_INTERFACE = (
    "Write an endpoint with the networks of this interface (cidrs) into from or to. A host accepts everything on "
    "interfaces in its firewall_trusted_interfaces."
)
_RATE = "Remove it: a flow does not limit rates. Limit connections in the service, such as MaxStartups of sshd."
_UNTIL = "Write review_by: lint reports the flow after this day. A flow stays on until you remove it."
_USERS = "Remove it: a flow does not know users (docs/port-file.md says what to do)."
_SOURCES = "Write the endpoints or groups of the sources into from."
_TARGETS = "Write the endpoints or groups of the targets into to."
_SIDES = "Write the endpoints or groups that open the connections into from, and those that accept them into to."
_ORDER = "Remove it: flows only allow, so their order does not matter."
_ADDRESSES = "Write cidrs, a list of networks, or hostnames."
_NETWORKS = "Write cidrs, a list of networks."
_HOSTS = "Write groups, a list of groups of the inventory, or cidrs with the addresses of the hosts."
# Instead of a dictionary in a list of names, by the key of the flow.
INLINE = {"from": _DEFINE_ENDPOINT, "to": _DEFINE_ENDPOINT, "services": _DEFINE_SERVICE}
# By a key that an endpoint does not have.
ENDPOINT_KEYS = {
    "accept": "Write accept into the flow or the service that has the finding.",
    "address": _ADDRESSES,
    "addresses": _ADDRESSES,
    "host": _HOSTS,
    "hosts": _HOSTS,
    "network": _NETWORKS,
    "networks": _NETWORKS,
}
# By a key that a flow does not have.
FLOW_KEYS = {
    "action": _ONLY_ALLOWS,
    "allow": _ONLY_ALLOWS,
    "comment": "Write note.",
    "deny": f"{_ONLY_ALLOWS} To leave networks out, write except into the endpoint.",
    "dest": _TARGETS,
    "destination": _TARGETS,
    "destinations": _TARGETS,
    "direction": "Remove it: a flow goes from its sources to its targets, and the rules of both ends follow from it.",
    "dst": _TARGETS,
    "endpoints": _SIDES,
    "except": "Write except into the endpoint: its networks are not in the endpoint.",
    "expires": _UNTIL,
    "groups": _SIDES,
    "hosts": _SIDES,
    "interface": _INTERFACE,
    "interfaces": _INTERFACE,
    "limit": _RATE,
    "log": "Remove it: hosts do not log packets. With nftables, `nft list counters table inet hpc_ports` counts them.",
    "order": _ORDER,
    "policy": _ONLY_ALLOWS,
    "port": _DEFINE_SERVICE,
    "ports": _DEFINE_SERVICE,
    "priority": _ORDER,
    "proto": _DEFINE_SERVICE,
    "protocol": _DEFINE_SERVICE,
    "protocols": _DEFINE_SERVICE,
    "rate": _RATE,
    "source": _SOURCES,
    "source_ports": "Remove it: a flow opens the ports of its services, and replies are always accepted.",
    "sources": _SOURCES,
    "src": _SOURCES,
    "state": _NO_STATE,
    "target": _TARGETS,
    "targets": _TARGETS,
    "until": _UNTIL,
    "user": _USERS,
    "users": _USERS,
    "zone": _INTERFACE,
}

_ALWAYS = "Hosts always accept ICMP, ICMPv6 and IGMP, so no service is needed."
# IP protocols without ports, by the names that others write after the slash (RFC 2784, 4303, 4302, 9568).
_IP_PROTOCOLS = {"gre": 47, "esp": 50, "ah": 51, "sctp": 132, "vrrp": 112, "ospf": 89}
_WITH_PORTS = {"6": "tcp", "17": "udp"}
_ALWAYS_NAMES = ("icmp", "icmpv6", "ipv6-icmp", "icmp6", "igmp")
_EVERYTHING = ("any", "all", "*", "-1")
_BOTH = ("", *_EVERYTHING, "tcp,udp", "tcp+udp", "tcp/udp", "tcpudp", "both")
# A longer text is neither a port range nor the name of a host.
_LONGEST = 253
_EVERYWHERE = ("0.0.0.0/0", "::/0", "any", "all", "*", "internet", "world")
_ANYWHERE = "For any address, write the endpoint anywhere."
# The keys of an endpoint that have its addresses.
_OF_ADDRESSES = ("groups", "fallback_groups", "cidrs", "hostnames")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)


def ports_advice(value: object) -> str:
    """Return what to write instead of ports that `parse_ports` refuses, or an empty text."""
    text = str(value) if isinstance(value, int) and value in range(65536) else value
    if not isinstance(text, str) or isinstance(text, Vaulted) or len(text) > _LONGEST:
        return ""
    ports, _slash, protocol = "".join(text.lower().split()).partition("/")
    if _is_always_accepted(ports, protocol):
        return _ALWAYS
    if protocol == "ip" and ports in _WITH_PORTS:
        ports, protocol = "1-65535", _WITH_PORTS[ports]
    number = _IP_PROTOCOLS.get(ports if protocol in ("", "ip") else protocol)
    if number:
        return f"Write '{number}/ip', the IP protocol without its ports."
    if ports in ("tcp", "udp"):
        ports, protocol = protocol, ports
    if ports in _EVERYTHING and protocol in (*_EVERYTHING, "", "ip") or (ports, protocol) == ("0-255", "ip"):
        return f"Write '{ANY}' for all ports and all IP protocols, or '1-65535/tcp' for all ports of TCP."
    if ports in _EVERYTHING or re.fullmatch(r"0[-:]65535", ports):
        ports = "1-65535"
    protocols = ("tcp", "udp") if protocol in _BOTH else (protocol,)
    texts = [f"{ports.replace(':', '-')}/{name}" for name in protocols]
    if not all(map(_is_ports, texts)):
        return _advice_for_entries("".join(text.lower().split()))
    return "" if texts == [value] else f"Write {', '.join(map(repr, texts))}{' or both' if len(texts) > 1 else ''}."


def _advice_for_entries(text: str) -> str:
    """Return how to write `80,443/tcp`, where the last protocol counts for all ports before it."""
    *others, last = text.replace(":", "-").split(",")
    protocol = last.partition("/")[2]
    texts = [*(part if "/" in part else f"{part}/{protocol}" for part in others), last]
    return f"Write each as an entry: {listed(list(map(repr, texts)))}." if others and all(map(_is_ports, texts)) else ""


def _is_always_accepted(ports: str, protocol: str) -> bool:
    return (protocol or ports) in _ALWAYS_NAMES or protocol == "ip" and ports in map(str, ALWAYS_ACCEPTED)


def _is_ports(text: str) -> bool:
    with suppress(ValueError):
        return bool(parse_ports(text))
    return False


def service_advice(name: str, known: Collection[str]) -> str:
    """Return what to write instead of a name in `services` that is no service."""
    is_ports = _is_ports(name) or bool(ports_advice(name))
    return nearest(name, known) or (_DEFINE_SERVICE if is_ports else "")


def endpoint_advice(name: str, known: Collection[str]) -> str:
    """Return what to write instead of a name in `from` or `to` that is neither an endpoint nor a group."""
    if isinstance(name, Vaulted) or len(name) > _LONGEST:
        return ""
    if name.lower() in _EVERYWHERE:
        return _endpoint_like("any address", "cidrs: [0.0.0.0/0, '::/0']") if "anywhere" not in known else _ANYWHERE
    about_several = _advice_for_networks(name) or _advice_for_list(name, known)
    if about_several or any(_ends_of_range(name)):
        return about_several
    if is_address(name.partition("/")[0]):
        return _endpoint_like("a network", f"cidrs: ['{name}']")
    near = "" if "." in name else nearest(name, known)
    if not _HOST_NAME.fullmatch(name.lower()) or near and not any(map(str.isdigit, name)):
        return near
    by_address = _endpoint_like("a host", "cidrs: [192.0.2.10/32]", " with its address")
    by_name = f"hostnames: [{name}] works too, but the controller must resolve the name."
    return f"{near} {by_address} {by_name}".lstrip()


def _advice_for_list(name: str, known: Collection[str]) -> str:
    names = _parts(name)
    is_list = len(names) > 1 and set(names) <= set(known)
    return f"Write a list of names: [{', '.join(names)}]." if is_list else ""


def _advice_for_networks(name: str) -> str:
    networks = _range(name)
    if networks:
        return _endpoint_like("a range", _cidrs(networks), " with networks that cover it")
    networks = _parts(name)
    return _endpoint_like("networks", _cidrs(networks)) if len(networks) > 1 and all(map(_is_network, networks)) else ""


def network_advice(value: object) -> str:
    """Return what to write instead of a network that `parse_network` refuses, or an empty text."""
    if not isinstance(value, str) or isinstance(value, Vaulted) or len(value) > _LONGEST:
        return ""
    networks = _range(value)
    if networks:
        return f"Write {listed(list(map(repr, networks)))}."
    networks = _parts(value)
    is_list = len(networks) > 1 and all(map(_is_network, networks))
    return f"Write each as an entry: {listed(list(map(repr, networks)))}." if is_list else ""


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _is_network(text: str) -> bool:
    with suppress(ValueError):
        return bool(parse_network(text))
    return False


def _range(text: str) -> list[str]:
    """Return the networks of a range of addresses such as `10.0.0.1-10.0.0.9` or `10.0.0.1-9`."""
    return list(map(str, networks_between(*_ends_of_range(text))))


def _ends_of_range(text: str) -> tuple[str, str]:
    """Return the first and the last address, empty for other texts."""
    first, _dash, last = ("".join(part.split()) for part in text.partition("-"))
    last = f"{first.rpartition('.')[0]}.{last}" if last.isdigit() and "." in first else last
    return (first, last) if is_address(first) and last else ("", "")


def _cidrs(networks: Collection[str]) -> str:
    return f"cidrs: [{listed(list(map(repr, networks)))}]"


def inventory_host_advice(name: str, groups: Mapping[str, Collection[str]], within_cluster: bool) -> str:
    """Return what to write instead of a host of the inventory in `from` or `to`, empty for other names."""
    if isinstance(name, Vaulted) or not any(name in hosts for hosts in groups.values()):
        return ""
    group = group_of(name, groups)
    its_group = f"Write one of its groups, such as {group}. " if group else ""
    alone = (
        "add a group with it to the inventory, because the flow has within_cluster."
        if within_cluster
        else _endpoint(" with its address", "cidrs: [192.0.2.10/32]")
    )
    return f"It is a host of the inventory, not a group. {its_group}For this host alone, {alone}"


def group_of(host: str, groups: Mapping[str, Collection[str]]) -> str:
    """Return the group that says best what a host is: a canonical one but `managed`, of the fewest hosts."""
    names = [name for name, hosts in groups.items() if host in hosts and name not in ("all", "ungrouped")]

    def rank(name: str) -> tuple[bool, bool, int, str]:
        return name == "managed", name not in CANONICAL_GROUPS, len(groups[name]), name

    return min(names, key=rank, default="")


def empty_endpoint_advice(shipped: Mapping[str, object], flow: str) -> str:
    """Return what to write instead of null for a shipped endpoint that a flow names."""
    if flow == MANAGEMENT_FLOW:
        return "Write the addresses that Ansible connects from, such as {cidrs: [192.0.2.10/32]}."
    filled = [key for key in _OF_ADDRESSES if shipped.get(key)] or ["cidrs"]
    return f"To empty it, write {{{', '.join(f'{key}: []' for key in filled)}}}. To turn the flow off, {_off(flow)}."


def unused_service_advice(name: str, flow: str, services: Collection[str]) -> str:
    """Return what to write instead of null for a service that a flow uses."""
    if flow == MANAGEMENT_FLOW:
        return "Write the ports of Ansible's ssh, such as {ports: [22/tcp]}."
    others = ", ".join(service for service in services if service != name)
    narrower = f", or leave the service out: firewall_flows.{flow}.services: [{others}]" if others else ""
    return f"To open none of its ports, {_off(flow)}{narrower}."


def _off(flow: str) -> str:
    return f"write firewall_flows.{flow}.enabled: false"


def _endpoint_like(what: str, content: str, which: str = "") -> str:
    return f"For {what}, {_endpoint(which, content)}"


def _endpoint(which: str, content: str) -> str:
    example = f"my_endpoint: {{{content}}}"
    return f"define an endpoint{which} in firewall_endpoints, such as {example}, and write its name."
