# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts hold, whatever starts, stops and applies in which order."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, REFUSED, Try, outcomes
from ansible_collections.hpc.ports.tests.containers.publishers import KUBE_MODES
from ansible_collections.hpc.ports.tests.containers.sites import OUTSIDER, PLATFORM, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.run import SEED, examples, scaled

# Who comes from outside, and the host.
SOME = ("platform", "outsider", "host")
POLICIES = {
    "open": wanted(),
    "restricted": wanted("restricted"),
    "trusted": wanted(trusted=("docker*", "podman*")),
    "forwarded packets left alone": wanted("restricted", filtered=()),
}
REMOVED = "the firewall is removed, and comes back"
BOOT = "the host boots"
# What leaves the rules of others byte for byte as they are, like each policy.
OURS = (REMOVED, "our unit restarts")


def wrong(site: Site, policy: Mapping[str, Any]) -> dict[tuple[str, Try], tuple[str, str]]:
    """Return what fares other than a policy says: of `SOME`, and of what containers open to the peer.

    Docker's rules separate its networks before rules that were there earlier, so what containers get from each other
    depends on the order.
    """
    return site.wrong(policy, chosen=lambda name, one: name in SOME or one.target in PLATFORM.values())


def test_in_any_order_of_starts_stops_and_applies_the_verdicts_hold(changing_site: Site) -> None:
    site = changing_site
    randomness = random.Random(SEED)
    events = _events(site)
    names = [*POLICIES, *events]
    policy = POLICIES["open"]
    site.host.apply(policy)
    done = []
    for name in [name for _round in range(examples(1, 1)) for name in randomness.sample(names, len(names))]:
        done.append(name)
        rules = site.host.foreign_rules()
        if name in POLICIES:
            policy = POLICIES[name]
            site.host.apply(policy)
        else:
            events[name]()
            policy = POLICIES["open"] if name == REMOVED else policy
        assert name not in (*POLICIES, *OURS) or site.host.foreign_rules() == rules, done
        assert not wrong(site, policy), done
    assert not site.host.apply(policy)["changed"]
    # The order of others' rules may have changed.
    site.host.remove_firewall()
    site.measure_before()
    site.host.apply(policy)
    assert not site.wrong(policy)


def _events(site: Site) -> Mapping[str, Callable[[], object]]:
    def published_again() -> None:
        site.docker("rm", "--force", "pod")
        site.run_pod()

    def started_again() -> None:
        for publisher in site.netavark:
            publisher.tear_down()
            publisher.set_up()

    def removed_and_applied() -> None:
        site.host.remove_firewall()
        site.host.apply(wanted())

    return {
        "docker restarts": site.docker.restart,
        "a container restarts": lambda: site.docker("restart", "--time=0", "web"),
        "a container is made again": published_again,
        "Podman's containers are made again": started_again,
        REMOVED: removed_and_applied,
        "our unit restarts": lambda: site.host.host.shell("systemctl restart hpc-ports"),
        BOOT: lambda: boot(site),
    }


def boot(site: Site) -> None:
    """Have the host boot; our rules come before Docker and its containers."""
    site.boot()
    started = "systemctl show --property=ActiveEnterTimestampMonotonic --value"
    assert int(site.host.host.shell(f"{started} hpc-ports")) < int(site.host.host.shell(f"{started} docker"))


def test_what_no_flow_allows_is_closed_at_every_moment_while_docker_restarts(changing_site: Site) -> None:
    site = changing_site
    site.host.apply(wanted())
    tries = {
        (address, port): (site.host.peer, Try("tcp", OUTSIDER[6 if ":" in address else 4], address, port))
        for address in (HOST[4], HOST[6])
        for port in (8000, 8800, 8820)
    }
    restart = threading.Thread(target=site.docker.restart)
    restart.start()
    rounds = 0
    while restart.is_alive():
        assert set(outcomes(tries, patience=0.2).values()) == {FILTERED}
        rounds += 1
    restart.join()
    assert rounds > 2


def test_a_stopped_container_leaves_its_port_to_the_port_file(changing_site: Site) -> None:
    site = changing_site
    policy = wanted()
    site.host.apply(policy)
    site.docker("stop", "--time=0", "web")
    tries = {
        (source[4], port): (site.host.peer, Try("tcp", source[4], HOST[4], port))
        for source in (PLATFORM, OUTSIDER)
        for port in (8000, 8800, 8443)
    }
    expected = {
        (PLATFORM[4], 8000): REFUSED,
        (PLATFORM[4], 8800): FILTERED,
        (PLATFORM[4], 8443): REFUSED,
        (OUTSIDER[4], 8000): FILTERED,
        (OUTSIDER[4], 8800): FILTERED,
        (OUTSIDER[4], 8443): REFUSED,
    }
    try:
        assert outcomes(tries, expected) == expected
    finally:
        site.docker("start", "web")
    assert not site.wrong(policy, *SOME)


def test_kube_proxy_in_each_mode_that_it_has_here(changing_site: Site) -> None:
    """And as it goes from one to the other below the firewall."""
    site = changing_site
    policy = wanted()
    site.host.apply(policy)
    last = "iptables"
    for mode in (*KUBE_MODES, "iptables"):
        site.kube.clear(last)
        last = mode
        site.kube.set_up(mode)
        # Only in the first mode the host reaches node ports at 127.0.0.1. Docker's rules separate its networks before
        # rules that were there earlier, so what its containers get depends on the order.
        assert not site.wrong(policy, "platform", "outsider", "cni"), mode


def test_an_open_connection_to_a_published_port_lives_on_when_the_firewall_comes(site: Site) -> None:
    with site.host.peer.entered():
        sock = socket.create_connection((HOST[4], 8800), source_address=(OUTSIDER[4], 0), timeout=scaled(10))
    with sock:
        site.host.apply(wanted())
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").read().endswith(b"web 80\n")
    assert not site.wrong(wanted(), *SOME)
