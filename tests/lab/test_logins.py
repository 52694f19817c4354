# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to log in that make a change fail or cut hosts off: each works, or the play says what to do.

Each is tried on a host with nftables and on one with firewalld. One of them has its turn by default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.hosts import (
    FIREWALL,
    Play,
    firewall,
    on,
    play_started,
    restoring,
    state,
    table,
    wait_on,
)
from ansible_collections.hpc.ports.tests.support.run import scaled, turn

# Ansible reaches them with sudo.
BY_SUDO = ("alpha-compute1", "ctl2")
LIMIT = ("--limit", ",".join(BY_SUDO))
CHANGE = {"firewall_services": {"node_exporter": {"ports": ["9101/tcp"]}}}
JUMP, ADDRESS = "alpha-login", "10.203.0.22"
BEHIND = ("desk1", "ctl2")
THROUGH_JUMP = (
    "-o ProxyCommand='ssh -i {{ ansible_ssh_private_key_file }} -o StrictHostKeyChecking=no "
    f"-o LogLevel=ERROR -o UserKnownHostsFile=/dev/null -W [%h]:%p root@{ADDRESS}'"
)


def variables(**wanted: Any) -> str:
    return "-e" + json.dumps(wanted)


@contextmanager
def on_all(do: str, undo: str) -> Iterator[None]:
    """Do something on both hosts meanwhile."""
    with ExitStack() as stack:
        for host in BY_SUDO:
            stack.callback(on, host, undo)
            on(host, do)
        yield


def through_a_jump_host_with_restricted_egress(folder: Path) -> None:
    """It gets its firewall alone, and those behind it are still reached through it, by no flow but Ansible's own."""
    (folder / "jump.yml").write_text(
        json.dumps(
            {
                "all": {
                    "hosts": {
                        JUMP: {"firewall_egress": "restricted"},
                        **{host: {"ansible_ssh_extra_args": THROUGH_JUMP} for host in BEHIND},
                    }
                }
            }
        ),
        encoding="utf-8",
    )
    site = ("-i", "extensions/molecule/inventory", "-i", str(folder / "jump.yml"))
    comes_from = variables(firewall_endpoints={"controllers": {"cidrs": ["10.203.0.1/32", f"{ADDRESS}/32"]}})
    with restoring(JUMP, *BEHIND):
        assert firewall("--limit", ",".join(BEHIND), comes_from).code == 0
        run = firewall(*site, comes_from, "--limit", JUMP)
        assert (run.code, run.changed) == (0, {JUMP: 1}), run.output
        assert "chain output" in str(table(JUMP))
        # Not the connections without the jump host that Ansible keeps open.
        run = firewall(
            *site,
            comes_from,
            "-v",
            variables(ansible_control_path_dir=str(folder), **CHANGE),
            "--limit",
            ",".join(BEHIND),
        )
        assert (run.code, run.changed) == (0, dict.fromkeys(BEHIND, 1)), run.output
        assert run.text.count(f'"confirmed_from": "{ADDRESS} port ') == len(BEHIND)


def that_takes_long(folder: Path) -> None:
    """The change is confirmed with a warning, or undone where the window is too short for any login."""
    file = "/etc/ssh/sshrc"
    before = {host: state(host) for host in BY_SUDO}
    with restoring(*BY_SUDO), on_all(f"echo sleep {scaled(8)} > {file}", f"rm {file}"):
        undone = firewall(*LIMIT, variables(firewall_confirm_within=5, **CHANGE))
        assert undone.failed == dict.fromkeys(BY_SUDO, 1), undone.output
        assert undone.text.count("The host undid the change after 5 s") >= len(BY_SUDO), undone.output
        assert _says_slow(undone), undone.output
        assert {host: state(host) for host in BY_SUDO} == before
        done = firewall(*LIMIT, variables(firewall_confirm_within=scaled(22), **CHANGE))
        assert (done.code, done.changed) == (0, dict.fromkeys(BY_SUDO, 1)), done.output
        assert _says_slow(done), done.output


def _says_slow(run: Play) -> bool:
    return all(f"A login to {host} took" in run.text for host in BY_SUDO)


def by_a_sudo_that_wants_a_terminal(folder: Path) -> None:
    """And beside a network that the plan does not know."""
    fabric = "ip link add fab0 type veth peer name fab1; ip link set fab0 up; ip address add 10.250.7.9/16 dev fab0"
    file = "/etc/sudoers.d/terminal"
    with on_all(f"echo 'Defaults:admin requiretty' > {file}; {fabric}", f"rm {file}; ip link delete fab0"):
        run = firewall(*LIMIT)
        assert run.failed == dict.fromkeys(BY_SUDO, 1), run.output
        assert run.text.count("it requires a terminal (requiretty in the host's sudoers)") >= len(BY_SUDO)
        run = firewall(*LIMIT, variables(ansible_pipelining=False))
        assert (run.code, run.changed) == (0, dict.fromkeys(BY_SUDO, 0)), run.output
        assert "10.250.7.9" in run.text, run.output


def past_others_rules_that_drop_new_connections(folder: Path) -> None:
    """As ufw has them that was enabled without ssh, while Ansible's connection from before lives."""
    drops = (
        "table inet site_filter {\nchain input {\ntype filter hook input priority 0; policy drop;\n"
        "ct state established,related accept\niif lo accept\n}\n}"
    )
    before = {host: state(host) for host in BY_SUDO}
    wanted = variables(firewall_confirm_within=scaled(15), **CHANGE)
    assert firewall(*LIMIT).code == 0  # the connections are there then
    with (
        restoring(*BY_SUDO),
        on_all(f"nft '{drops}'", "nft delete table inet site_filter 2> /dev/null || true"),
        play_started(FIREWALL, *LIMIT, wanted) as running,
    ):
        for host in BY_SUDO:
            wait_on(host, "[ -L /run/hpc-ports/armed ]")
        for host in BY_SUDO:
            wait_on(host, "[ ! -L /run/hpc-ports/armed ]")
            on(host, "nft delete table inet site_filter")
        run = Play(running.wait(scaled(120)), running.printed[0])
    assert run.failed == dict.fromkeys(BY_SUDO, 1), run.output
    assert run.text.count("The host undid the change after") >= len(BY_SUDO), run.output
    assert run.text.count("table inet site_filter, chain input") >= len(BY_SUDO), run.output
    assert {host: state(host) for host in BY_SUDO} == before


WAYS = (
    through_a_jump_host_with_restricted_egress,
    that_takes_long,
    by_a_sudo_that_wants_a_terminal,
    past_others_rules_that_drop_new_connections,
)


@pytest.mark.takes_turns(2)
@pytest.mark.parametrize("way", turn(WAYS), ids=lambda way: way.__name__)
def test_a_login(way: Callable[[Path], None], tmp_path: Path) -> None:
    way(tmp_path)
