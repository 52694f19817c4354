# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that services are configured to listen on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import (
    Listener,
    config_ports,
    rpc_ports,
    service_port,
    site_services,
    unchecked_ports,
    unopened_ports,
)
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = {
    "SlurmctldPort": {"service": "slurmctld", "default": "6817"},
    "SrunPortRange": {"service": "srun", "default": "32768-60000"},
}
SERVICES = {"slurmctld": {"ports": ["6817/tcp"]}, "srun": {"ports": ["8192-30000/tcp", "30001-60000/tcp"]}}


def found(text: str) -> list[tuple[str, str]]:
    return [(item["service"], item["ports"]) for item in config_ports(text, "/etc/slurm/slurm.conf", OPTIONS)]


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", ("6817/tcp", "32768-60000/tcp")),
        ("SlurmctldPort=7817", ("7817/tcp", "32768-60000/tcp")),
        ("slurmctldport = 7817 SrunPortRange=60001-63000", ("7817/tcp", "60001-63000/tcp")),
        ("SlurmctldPort=7817-7820\n", ("7817-7820/tcp", "32768-60000/tcp")),
        ("SlurmctldPort='7817'", ("7817/tcp", "32768-60000/tcp")),
        ("SlurmctldPort=7817\nSlurmctldPort=7818", ("7818/tcp", "32768-60000/tcp")),
        ("#SlurmctldPort=7817\nClusterName=a # SlurmctldPort=7818", ("6817/tcp", "32768-60000/tcp")),
        ("OldSlurmctldPort=7817", ("6817/tcp", "32768-60000/tcp")),
    ],
)
def test_config_ports(text: str, ports: tuple[str, str]) -> None:
    assert found(text) == [("slurmctld", ports[0]), ("srun", ports[1])]


def test_absent_options_of_a_file_that_includes_others_are_unknown() -> None:
    assert found("SrunPortRange=60001-63000\ninclude nodes.conf") == [("srun", "60001-63000/tcp")]
    assert found("# include nodes.conf") == [("slurmctld", "6817/tcp"), ("srun", "32768-60000/tcp")]


def test_config_ports_says_where_a_value_comes_from() -> None:
    set_here, by_default = config_ports("SlurmctldPort=6817", "/etc/slurm.conf", OPTIONS)
    assert set_here["what"] == "SlurmctldPort of /etc/slurm.conf"
    assert by_default["what"] == "SrunPortRange, not set in /etc/slurm.conf,"


def test_rpc_ports() -> None:
    assert rpc_ports(
        "   program vers proto   port  service\n"
        "    100000    4   tcp    111  portmapper\n"
        "    100003    4   tcp   2049  nfs\n"
        "    100005    1   udp  20048  mountd\n"
        "    100005    3   udp  20048  mountd\n"
        "    100021    4   tcp  40001  nlockmgr\n"
        "    100024    1   tcp  32765\n"
        "    100011    2   udp    875  rquotad\n"
    ) == [
        {"what": "RPC program 100005 (mountd)", "service": "mountd", "ports": "20048/udp"},
        {"what": "RPC program 100011 (rquotad)", "service": "rquotad", "ports": "875/udp"},
        {"what": "RPC program 100021 (nfs_locks)", "service": "nfs_locks", "ports": "40001/tcp"},
        {"what": "RPC program 100024 (nfs_locks)", "service": "nfs_locks", "ports": "32765/tcp"},
    ]


@pytest.mark.parametrize("text", ["", "rpcinfo: can't contact portmapper: RPC: Remote system error"])
def test_rpc_ports_of_a_host_without_rpcbind(text: str) -> None:
    assert rpc_ports(text) == []


def test_site_services() -> None:
    services = site_services({"slurmctld": {"ports": ["7817/tcp"]}, "slurmd": None})
    assert (services["slurmctld"]["ports"], services["slurmctld"]["exposure"]) == (["7817/tcp"], "cluster")
    assert "slurmd" not in services and services["slurmdbd"]["ports"] == ["6819/tcp"]


@pytest.mark.parametrize(
    ("ports", "position", "port"),
    [
        (["6817/tcp"], None, "6817"),
        (["6817-6820/tcp", "7000/tcp"], None, "6817-6820"),
        (["32765/udp", "32766-32768/tcp"], None, "32766-32768"),
        (["32765/udp"], None, ""),
        (["6817/tcp"], 0, "6817"),
        (["6817/tcp"], 1, ""),
        (["15002-15003/tcp"], 1, "15003"),
        (["15003/tcp", "15002/tcp"], 1, "15002"),
        (["15002-15003/udp", "15004/tcp"], 0, "15004"),
    ],
)
def test_service_port(ports: list[str], position: int | None, port: str) -> None:
    assert service_port({"a": {"ports": ports}}, "a", position) == port


def test_the_port_of_a_service_that_the_port_file_lacks() -> None:
    assert service_port({}, "a") == service_port({}, "a", 0) == ""


@given(st.lists(st.tuples(st.integers(1, 65000), st.integers(0, 5)), max_size=4), st.integers(0, 30))
def test_positions_count_through_the_ranges(ranges: list[tuple[int, int]], position: int) -> None:
    ports = [str(first + more) for first, length in ranges for more in range(length + 1)]
    services = {"a": {"ports": [f"{first}-{first + length}/tcp" for first, length in ranges]}}
    assert service_port(services, "a", position) == (ports[position] if position < len(ports) else "")


@given(st.integers(0, 3))
def test_what_is_written_from_the_port_file_is_opened_by_it(position: int) -> None:
    services = site_services({})
    listeners = [listener(name, f"{port}/tcp") for name in services if (port := service_port(services, name, position))]
    assert listeners and unopened_ports(listeners, services) == []


def listener(service: str, ports: str) -> Listener:
    return {"what": "It", "service": service, "ports": ports}


@pytest.mark.parametrize(
    "item", [listener("slurmctld", "6817/tcp"), listener("srun", "29000-31000/tcp"), listener("unknown", "1/tcp")]
)
def test_listeners_that_the_port_file_covers(item: Listener) -> None:
    assert unopened_ports([item], SERVICES) == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            listener("slurmctld", "6817-6818/tcp"),
            "It is 6817-6818/tcp, but service slurmctld of the port file is 6817/tcp.",
        ),
        (listener("slurmctld", "6817/udp"), "It is 6817/udp, but service slurmctld of the port file is 6817/tcp."),
        (
            listener("srun", "59999-60001/tcp"),
            "It is 59999-60001/tcp, but service srun of the port file is 8192-30000/tcp, 30001-60000/tcp.",
        ),
    ],
)
def test_listeners_that_it_does_not_cover(item: Listener, message: str) -> None:
    assert unopened_ports([item], SERVICES) == [message]


def test_everything_covers_every_listener() -> None:
    services = {"all": {"ports": ["any/ip"]}}
    assert unopened_ports([listener("all", "1-65535/udp"), listener("all", "47/ip")], services) == []


@pytest.mark.parametrize("service", [{}, {"ports": []}])
def test_a_service_without_ports_covers_nothing(service: dict[str, list[str]]) -> None:
    assert unopened_ports([listener("slurmctld", "6817/tcp")], {"slurmctld": service}) == [
        "It is 6817/tcp, but service slurmctld of the port file has no port."
    ]
    assert service_port({"slurmctld": service}, "slurmctld") == ""


def test_what_nothing_judges_is_told() -> None:
    items = [listener("slurmctld", "6817/tcp"), listener("unknown", "1/tcp")]
    assert unchecked_ports(items, SERVICES) == [
        "It is 1/tcp, and nothing checks that: the port file has no service unknown."
    ]


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ([], "Invalid firewall_services.a: got [], expected a dictionary."),
        ({"ports": "1/tcp"}, "Invalid firewall_services.a.ports: got '1/tcp', expected a list of ports."),
    ],
)
def test_services_that_are_none(service: Any, message: str) -> None:
    with pytest.raises(PortFileError) as caught:
        service_port({"a": service}, "a")
    assert str(caught.value) == message


def test_ports_that_are_none() -> None:
    with pytest.raises(ValueError) as caught:
        unopened_ports([listener("srun", "70000/tcp")], SERVICES)
    assert str(caught.value) == "got '70000/tcp', expected ports from 1 to 65535"
