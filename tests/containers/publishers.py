# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What publishes ports of containers: Docker, netavark (Podman), the CNI plugins, and rules as of kube-proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hpc.ports.tests.containers.hosts import CLUSTER_IP, VIRTUAL, ContainerHost, Inner

# ---- Docker

# Where none can be mounted, runc does not mount cgroups, nor does it set limits. Podman starts it by the name of crun,
# with an option that runc does not have.
RUNTIME = """#!/usr/bin/python3
import json, os, sys

arguments = sys.argv[1:]
if "create" in arguments or "run" in arguments:
    place = next(
        following if option in ("--bundle", "-b") else option.partition("=")[2]
        for option, following in zip(arguments, arguments[1:] + [""])
        if option in ("--bundle", "-b") or option.startswith("--bundle=")
    )
    path = os.path.join(place, "config.json")
    with open(path) as file:
        config = json.load(file)
    config["mounts"] = [mount for mount in config["mounts"] if mount.get("type") not in ("cgroup", "cgroup2")]
    for key in ("resources", "cgroupsPath"):
        config["linux"].pop(key, None)
    config["process"].pop("rlimits", None)
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "cgroup"]
    with open(path, "w") as file:
        json.dump(config, file)
if "--cgroup-manager" in arguments:
    place = arguments.index("--cgroup-manager")
    del arguments[place : place + 2]
os.execv("/usr/sbin/runc", ["runc"] + arguments)
"""
# What Docker is started with here; the rest is what the package has.
SETTINGS = {
    "storage-driver": "vfs",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "runtimes": {"nested": {"path": "/usr/local/bin/runc-nested"}},
    "default-runtime": "nested",
}
# Docker before 28 drops what it does not forward for its own containers, and so Podman's IPv6.
_BESIDE_OTHERS = "[Service]\nExecStartPost=ip6tables --wait --policy FORWARD ACCEPT\n"
# Docker writes rules for IPv6 as well, where a network has it. (From Docker 27 on this is the default.)
WITH_IPV6 = {"experimental": True, "ip6tables": True}
# Servers on three ports, each of which says its container and the port.
SERVERS = """\
for port in 80 8443 22; do
  mkdir -p /www/$port
  echo $0 $port > /www/$port/index.html
  httpd -p $port -h /www/$port
done
exec sleep 1000000"""
# A server whose answer is that of another container of its project.
PROXY = """\
mkdir -p /www/cgi-bin
printf '#!/bin/sh\\necho\\nwget -q -O - http://172.30.0.10/\\n' > /www/cgi-bin/index.cgi
chmod 755 /www/cgi-bin/index.cgi
exec httpd -f -p 80 -h /www"""


class Docker:
    """Docker of the host's Debian, and its containers."""

    def __init__(self, host: ContainerHost, settings: Mapping[str, object]) -> None:
        self._host = host
        host.write("/usr/local/bin/runc-nested", RUNTIME, "755")
        host.write("/etc/docker/daemon.json", json.dumps({**SETTINGS, **settings}))
        host.write("/etc/systemd/system/docker.service.d/beside-others.conf", _BESIDE_OTHERS)
        host.host.shell("systemctl daemon-reload; systemctl enable --quiet --now docker")
        self("import", "/opt/inner.tar", "inner")

    def __call__(self, *arguments: str) -> str:
        """Return what the program docker prints."""
        return self._host.host.run("docker", *arguments).stdout.strip()

    def run(self, name: str, *options: str, program: str = SERVERS) -> None:
        """Have a container run a shell program, now and whenever Docker starts."""
        self(
            "run",
            "--detach",
            "--init=false",
            "--restart=always",
            f"--name={name}",
            *options,
            "inner",
            "/bin/sh",
            "-c",
            program,
            name,
        )

    def restart(self) -> None:
        """Restart Docker, and so its containers."""
        self._host.host.shell("systemctl restart docker")
        self.wait()

    def inner(self, name: str) -> Inner:
        """Return the network of a container as it runs now."""
        path = self("inspect", "--format={{.NetworkSettings.SandboxKey}}", name)
        return Inner(self._host.host, path.replace("/var/run/", "/run/"))

    def wait(self) -> None:
        """Wait until all containers run."""
        self._host.host.wait("test $(docker ps --quiet | wc -l) = $(docker ps --all --quiet | wc -l)")


# ---- what is called as Podman and Kubernetes call it, for a network namespace that stands for a container


class Netavark:
    """A container as Podman's netavark sets up its network: `driver` is iptables or nftables."""

    def __init__(
        self, host: ContainerHost, driver: str, number: int, ports: Mapping[int, int], dns: bool = False
    ) -> None:
        self.name, self._host, self._driver, self._dns = f"nv-{driver}", host, driver, dns
        self.addresses = {4: f"10.88.{number}.2", 6: f"fd00:88:{number}::2"}
        self._network, self._ports, self._number = f"podman{number}", ports, number
        self.set_up()

    def set_up(self) -> None:
        """Make the namespace, its network and its servers, as Podman does when the container starts."""
        self._host.host.shell(f"ip netns add {self.name}; mkdir -p /run/netavark")
        self._call("setup")
        serve(self._host, self.name)

    def tear_down(self) -> None:
        """Remove all of it, as Podman does when the container ends."""
        self._call("teardown")
        self._host.host.shell(f"ip netns pids {self.name} | xargs --no-run-if-empty kill; ip netns delete {self.name}")

    @property
    def inner(self) -> Inner:
        """The network of the container."""
        return Inner(self._host.host, f"/run/netns/{self.name}")

    def _call(self, action: str) -> None:
        self._host.host.run(
            "/usr/lib/podman/netavark",
            "--config=/run/netavark",
            "--aardvark-binary=/usr/lib/podman/aardvark-dns",
            action,
            f"/run/netns/{self.name}",
            text=json.dumps(self._config()),
            NETAVARK_FW=self._driver,
        )

    def _config(self) -> dict[str, object]:
        subnets = [
            (f"10.88.{self._number}.0/24", f"10.88.{self._number}.1"),
            (f"fd00:88:{self._number}::/64", f"fd00:88:{self._number}::1"),
        ]
        network = {
            "name": self._network,
            "id": f"{self._number:064x}",
            "driver": "bridge",
            "network_interface": self._network,
            "subnets": [{"subnet": subnet, "gateway": gateway} for subnet, gateway in subnets],
            "ipv6_enabled": True,
            "internal": False,
            "dns_enabled": self._dns,
            "ipam_options": {"driver": "host-local"},
        }
        options = {"interface_name": "eth0", "static_ips": list(self.addresses.values()), "aliases": [self.name]}
        return {
            "container_id": f"{self._number + 10:064x}",
            "container_name": self.name,
            "networks": {self._network: options},
            "network_info": {self._network: network},
            "port_mappings": [
                {"host_ip": "", "host_port": outer, "container_port": inner, "protocol": "tcp", "range": 1}
                for outer, inner in self._ports.items()
            ],
        }


def serve(host: ContainerHost, name: str) -> None:
    """Start the servers of a container in a namespace of that name."""
    servers = "".join(
        f"mkdir -p /srv/{name}/{port}; echo {name} {port} > /srv/{name}/{port}/index.html\n"
        f"ip netns exec {name} busybox httpd -p {port} -h /srv/{name}/{port}\n"
        for port in (80, 8443, 22)
    )
    host.host.shell(f"ip -n {name} link set lo up\n{servers}")


class Cni:
    """A container as the CNI plugins bridge and portmap set up its network."""

    name = "cni"
    addresses = {4: "10.89.0.2", 6: "fd00:89::2"}

    def __init__(self, host: ContainerHost, ports: Mapping[int, int]) -> None:
        self._host, self._ports = host, ports
        self.set_up()

    def set_up(self) -> None:
        """Make the namespace, its network and its servers."""
        # A boot takes the namespace, but not the plugins' note of its address.
        self._host.host.shell(f"ip netns add {self.name}; rm -rf /var/lib/cni")
        ranges = [[{"subnet": "10.89.0.0/24"}], [{"subnet": "fd00:89::/64"}]]
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": ranges, "routes": routes},
        }
        mappings = [
            {"hostPort": outer, "containerPort": inner, "protocol": "tcp"} for outer, inner in self._ports.items()
        ]
        found = self._call(bridge)
        self._call({"type": "portmap", "runtimeConfig": {"portMappings": mappings}, "prevResult": found})
        serve(self._host, self.name)

    @property
    def inner(self) -> Inner:
        """The network of the container."""
        return Inner(self._host.host, f"/run/netns/{self.name}")

    def _call(self, config: Mapping[str, object]) -> object:
        environment: dict[str, Any] = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": f"/run/netns/{self.name}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/usr/lib/cni",
        }
        done = self._host.host.run(
            f"/usr/lib/cni/{config['type']}",
            text=json.dumps({"cniVersion": "0.4.0", "name": "cni", **config}),
            check=False,
            **environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


# ---- kube-proxy, whose rules are written by hand

_KUBE_CHAINS = "KUBE-SERVICES KUBE-NODEPORTS KUBE-SVC-A KUBE-EXT-A KUBE-SEP-A KUBE-MARK-MASQ KUBE-POSTROUTING"
_KUBE_IPTABLES = """
n="{iptables} -w -t nat"
for chain in {chains}; do $n -N $chain; done
$n -I PREROUTING -j KUBE-SERVICES
$n -I OUTPUT -j KUBE-SERVICES
$n -I POSTROUTING -j KUBE-POSTROUTING
$n -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
$n -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
$n -A KUBE-POSTROUTING -j MASQUERADE
$n -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
$n -A KUBE-SERVICES -d {cluster_ip} -p tcp --dport 80 -j KUBE-SVC-A
for port in {virtual_ports}; do $n -A KUBE-SERVICES -d {virtual} -p tcp --dport $port -j KUBE-EXT-A; done
$n -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
for port in {node_ports}; do $n -A KUBE-NODEPORTS -p tcp --dport $port -j KUBE-EXT-A; done
$n -A KUBE-EXT-A -j KUBE-MARK-MASQ
$n -A KUBE-EXT-A -j KUBE-SVC-A
$n -A KUBE-SVC-A -j KUBE-SEP-A
$n -A KUBE-SEP-A -p tcp -j DNAT --to-destination {pod}
{iptables} -w -I FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
{iptables} -w -I FORWARD -d {address} -j ACCEPT
{iptables} -w -I FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
"""
_KUBE_NFTABLES = """
table {family} kube-proxy {{
  map service-ips {{
    type {kind} . inet_proto . inet_service : verdict
    elements = {{ {cluster_ip} . tcp . 80 : goto service-a, {virtual_elements} }}
  }}
  map service-nodeports {{
    type inet_proto . inet_service : verdict
    elements = {{ {node_elements} }}
  }}
  chain services {{
    {word} daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local {word} daddr != {loopback} meta l4proto . th dport vmap @service-nodeports
  }}
  chain nat-prerouting {{ type nat hook prerouting priority -100; jump services; }}
  chain nat-output {{ type nat hook output priority -100; jump services; }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100
    meta mark & 0x4000 == 0x4000 masquerade
  }}
  chain external-a {{
    meta mark set mark or 0x4000
    goto service-a
  }}
  chain service-a {{ meta l4proto tcp dnat to {pod}; }}
}}
"""
_KUBE_CLEAR = """
n="{iptables} -w -t nat"
$n -D PREROUTING -j KUBE-SERVICES
$n -D OUTPUT -j KUBE-SERVICES
$n -D POSTROUTING -j KUBE-POSTROUTING
for chain in {chains}; do $n -F $chain; done
for chain in {chains}; do $n -X $chain; done
"""
# How kube-proxy can write them. Its third mode, ipvs, needs a module of the kernel.
KUBE_MODES = ("iptables", "iptables-legacy", "nftables")


class KubeProxy:
    """Rules as kube-proxy writes them for one service, with a pod behind it."""

    def __init__(
        self, host: ContainerHost, pod: Mapping[int, str], node_ports: Sequence[int], virtual_ports: Sequence[int]
    ) -> None:
        self._host, self._pod, self._node_ports, self._virtual_ports = host, pod, node_ports, virtual_ports

    def set_up(self, mode: str) -> None:
        """Write the rules, as kube-proxy does when it starts."""
        for version in (4, 6):
            if mode == "nftables":
                self._host.host.nft(self._nftables(version))
            else:
                self._host.host.shell(self._iptables(version, mode if version == 4 else mode.replace("ip", "ip6", 1)))

    def clear(self, mode: str) -> None:
        """Remove the rules, as kube-proxy does before it writes them in another mode."""
        for family in ("ip", "ip6"):
            if mode == "nftables":
                self._host.host.nft(f"delete table {family} kube-proxy")
            else:
                self._host.host.shell(_KUBE_CLEAR.format(iptables=mode.replace("ip", family, 1), chains=_KUBE_CHAINS))

    def _iptables(self, version: int, program: str) -> str:
        address = self._pod[version]
        return _KUBE_IPTABLES.format(
            iptables=program,
            chains=_KUBE_CHAINS,
            cluster_ip=CLUSTER_IP[version][0],
            virtual=VIRTUAL[version][0],
            virtual_ports=" ".join(map(str, self._virtual_ports)),
            node_ports=" ".join(map(str, self._node_ports)),
            address=address,
            pod=self._pod_port(version),
        )

    def _pod_port(self, version: int) -> str:
        return f"[{self._pod[6]}]:80" if version == 6 else f"{self._pod[4]}:80"

    def _nftables(self, version: int) -> str:
        word = "ip" if version == 4 else "ip6"
        virtual = ", ".join(f"{VIRTUAL[version][0]} . tcp . {port} : goto external-a" for port in self._virtual_ports)
        return _KUBE_NFTABLES.format(
            family=word,
            word=word,
            kind=f"ipv{version}_addr",
            cluster_ip=CLUSTER_IP[version][0],
            virtual_elements=virtual,
            node_elements=", ".join(f"tcp . {port} : goto external-a" for port in self._node_ports),
            loopback="127.0.0.0/8" if version == 4 else "::1",
            pod=self._pod_port(version),
        )
