# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check on a host with firewalld; tests/kernel has what both backends have in common."""

from __future__ import annotations

import random
import shlex
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import check_script, parse_answer
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.support.machine import without_invocation
from ansible_collections.hpc.ports.tests.support.run import SEED, examples
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

KEY = "0123456789abcdef"
POLICY = "/etc/firewalld/policies/hpc_ports_in.xml"
IPSET = "hpc_ports_in_slurm_control_4a"
# What may happen between two runs. The firewalld of Debian 13 owns its table, which others cannot change.
DRIFT = {
    "nothing": "true",
    "a reload": call("reload"),
    "a restart": "systemctl restart firewalld; sleep 1",
    "a port of a zone": "firewall-cmd --quiet --add-port=1234/tcp",
    "a saved port of a zone": "firewall-cmd --quiet --permanent --add-port=1234/tcp",
    "a rule of ours is gone": (
        "rule=$(firewall-cmd --policy hpc_ports_in --list-rich-rules | head -n 1); "
        'firewall-cmd --quiet --policy hpc_ports_in --remove-rich-rule "$rule"'
    ),
    "a rule more in our policy": (
        "firewall-cmd --quiet --policy hpc_ports_in --add-rich-rule 'rule service name=\"http\" accept'"
    ),
    "an entry is gone": f"firewall-cmd --quiet --ipset {IPSET} --remove-entry 10.64.0.0/16",
    "an entry more": f"firewall-cmd --quiet --ipset {IPSET} --add-entry 10.99.0.0/16",
    "the kernel's table is gone": "nft delete table inet firewalld || true",
    "a rule of the kernel is gone": "nft flush chain inet firewalld filter_IN_policy_hpc_ports_in_allow || true",
    "our table is gone": "nft delete table inet hpc_ports_published",
    "a file of ours is gone": f"rm {POLICY}",
    "a file of ours is another": f"sed -i s/tcp/udp/ {POLICY}",
    "a zone of the site": "printf '<zone/>' > /etc/firewalld/zones/site.xml",
    "panic mode": "firewall-cmd --quiet --panic-on",
    "firewalld is stopped": "systemctl stop firewalld",
    "firewalld is disabled": "systemctl disable --quiet firewalld",
    "our unit has failed, and all else is as before": (
        'nft=$(readlink -f "$(command -v nft)"); mount --bind /bin/false $nft; '
        "systemctl restart hpc-ports-published 2> /dev/null || true; umount $nft; "
        "systemctl is-failed hpc-ports-published"
    ),
    "the watch has failed": "systemctl stop hpc-ports-watch || true",
}


def run(daemon: Daemon, **options: Any) -> dict[str, Any]:
    """Return the result of the module, with its warnings as text."""
    found = daemon.module(policy=SAMPLE, key=KEY, diff=True, **options)
    texts = [str(text if isinstance(text, str) else text["event"]["msg"]) for text in found.get("warnings", [])]
    return {**without_invocation(found), "warnings": texts}


def settled(daemon: Daemon) -> None:
    pending = run(daemon).get("pending")
    if pending:
        assert daemon.module("firewall_confirm", token=pending["token"])["status"] == "confirmed"
        run(daemon)


def checked(daemon: Daemon) -> dict[str, Any] | None:
    return parse_answer(daemon.host.shell(f"sh -c {shlex.quote(check_script(KEY))}"))


@pytest.mark.takes_turns
def test_what_the_module_sees_is_seen(daemon: Daemon) -> None:
    chance = random.Random(SEED)
    for name in ["nothing", *chance.sample(sorted(DRIFT), min(len(DRIFT), examples(20)))]:
        settled(daemon)
        daemon.host.shell(DRIFT[name])
        answer, found = checked(daemon), run(daemon, check=True)
        assert answer in (None, found), name
        assert answer or name != "nothing"
        daemon.clean()
