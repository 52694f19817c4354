# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs a run of a module starts on a host with firewalld."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.support.runs import Run, Runs
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE


def programs(run: Run) -> list[str]:
    """Return the first two words of each program that a run has started."""
    started = [operation.split()[1:3] for operation in run.operations if operation.startswith("start ")]
    return [" ".join(words) for words in started]


def test_each_question_is_asked_once(runs: Runs) -> None:
    first = runs.firewall(SAMPLE, confirm_within=600)
    assert first.result and first.result["changed"]
    # busctl has firewalld reload its files, once. All questions to firewalld go over one connection.
    assert programs(first) == [
        "systemctl show",
        "nft --version",
        "unshare -n",
        "systemd-run --quiet",
        "busctl --system",
        "/bin/sh /etc/hpc-ports/undo/run",
        "nft -f",
        "nft -f",
    ]
    confirmation = runs.confirm(first.result["pending"]["token"])
    assert confirmation.result and confirmation.result["status"] == "confirmed"
    assert programs(confirmation) == ["nft -s", "systemctl show"]
    unchanged = runs.firewall(SAMPLE, confirm_within=600)
    assert unchanged.result and not unchanged.result["changed"]
    # The confirmation keeps no listing of nft.
    assert programs(unchanged) == ["systemctl show", "nft -s"]


# Questions of all forms: what firewalld answers over a connection of our own, and as busctl prints it.
_BOTH = """
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import unsaved
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.dbus import CONFIG_PATH, Bus
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError

def answers(bus):
    try:
        refused = bus.settings("zone.getZoneSettings2", "none")
    except CommandError as exc:
        refused = exc.output
    return [
        refused,
        unsaved._running(bus),
        unsaved._saved(bus),
        bus.read("checkPermanentConfig"),
        bus.read("queryPanicMode"),
        bus.properties("version", "state", "IPSetTypes"),
        bus.properties("FirewallBackend", path=CONFIG_PATH, interface=".config"),
        {name: bus.read("ipset.getEntries", name) for name in bus.read("ipset.getIPSets")},
        {name: bus.rich_rules(name) for name in bus.read("policy.getPolicies")},
    ]

asked = []
def ask(*question):
    asked.append(Bus().ask(*question))
    return asked[-1]

result = [answers(Bus(ask=ask)), answers(Bus(ask=lambda *question: None)), sum(answer is None for answer in asked)]
"""
_SETTINGS_OF_OTHERS = """
firewall-cmd --quiet --permanent --new-ipset=theirs --type=hash:net --family=inet6
firewall-cmd --quiet --permanent --ipset=theirs --add-entry=fd64::/64
firewall-cmd --quiet --permanent --zone=public --add-port=80-90/tcp
firewall-cmd --quiet --permanent --zone=public --add-rich-rule='rule family=ipv4 masquerade'
firewall-cmd --quiet --permanent --zone=public --add-forward-port=port=81:proto=tcp:toport=82:toaddr=10.64.0.1
"""


def test_one_connection_answers_as_busctl_does(daemon: Daemon, runs: Runs) -> None:
    daemon.host.shell(_SETTINGS_OF_OTHERS + call("reload"))
    runs.apply(SAMPLE)
    by_connection, by_busctl, unanswered = runs.call(_BOTH)
    assert by_connection == by_busctl and not unanswered
    refusal, running, *_others = by_connection
    assert refusal == "Call failed: INVALID_ZONE: none"
    assert running["ipset theirs"]["entries"] == ["fd64::/64"] and running["zone public"]["ports"]
