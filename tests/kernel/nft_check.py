# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does this nft, with this kernel and this Python, do what the backend relies on? Standard library only.

Run it in a network namespace of its own: python3 nft_check.py FOLDER, the folder of the golden rulesets. Prints JSON:
the version, how many transitions and mendings were done, what somebody may do by hand that this nft cannot, what the
backend refused to mend, and what went wrong.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel, observed, views
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset as nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.restore import restoring_script
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import version
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._model import names
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import merged
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, FlowViews, State
from ansible_collections.hpc.ports.plugins.module_utils._model.state_diff import flow_changes
from ansible_collections.hpc.ports.tests.support.samples import BY_NFT, SAMPLE, random_policies, sharing_policies

_WORDS = {4: "any IPv4", 6: "any IPv6"}


KEPT = ListingCache(tempfile.mkdtemp())
NONE_KEPT = ListingCache("/nonexistent")


def main() -> None:
    """Print the result."""
    policies = {
        path.stem: parse_policy(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(Path(sys.argv[1]).glob("*.json"))
    }
    policies.update((f"random {number}", parse_policy(data)) for number, data in enumerate(random_policies(20)))
    policies.update((f"sharing {number}", parse_policy(data)) for number, data in enumerate(sharing_policies(10)))
    found = Check()
    for first, second in zip(policies, [*policies][1:]):
        found.transition(f"{first} to {second}", policies[first], policies[second])
    for case, (script, _objects) in BY_NFT.items():
        found.mending(case, script)
    found.recording()
    print(json.dumps({"version": run(["nft", "--version"]).split()[1], **vars(found)}))


class Check:
    """What was done, and what went wrong."""

    def __init__(self) -> None:
        self.transitions = 0
        self.mendings = 0
        self.not_possible: list[str] = []
        self.refusals: dict[str, str] = {}
        self.failures: list[str] = []

    def transition(self, name: str, first: Policy, second: Policy) -> None:
        """Apply one policy after another in place, then the file of the first over it, as at boot, and again."""
        self.transitions += 1
        apply(first)
        self.failures += [f"{name}: {text}" for text in problems(second)]
        kernel.load(nftables.script_of(nftables.ruleset_of(first)))
        self.failures += [f"{name} and back: {text}" for text in problems(first)]

    def mending(self, case: str, script: str) -> None:
        """Do something by hand, then apply."""
        policy = parse_policy(SAMPLE)
        kernel.load(f"add table {names.TABLE}\ndelete table {names.TABLE}\n")
        apply(policy)
        try:
            kernel.load(script + "\n")
        except CommandError:
            self.not_possible.append(case)
            return
        self.mendings += 1
        if running_state() == kernel.wanted_state(nftables.ruleset_of(policy)):
            self.failures.append(f"{case}: is not seen")
        try:
            self.failures += [f"{case}: {text}" for text in problems(policy)]
        except RuntimeError as exc:
            self.refusals[case] = str(exc)

    def recording(self) -> None:
        """Have records, apply other flows, undo that, mend the table, and enforce."""
        policy = parse_policy(SAMPLE)._replace(mode="observe")
        apply(policy)
        before = running_state()
        kernel.load(_RECORDS)
        self._expect("seen as drift", running_state() == before)
        self._expect("cannot be read", recorded() == RECORDED)
        for what, act in (
            ("other flows", lambda: apply(policy._replace(rules=policy.rules[:2]))),
            ("undone", lambda: kernel.load(restoring_script(running_state())) if COUNTS else None),
            ("loaded from the file", lambda: kernel.load(nftables.script_of(nftables.ruleset_of(policy)))),
            ("another chain", lambda: kernel.load(BY_NFT["a chain at no hook"][0] + "\n")),
            ("mended", lambda: apply(policy)),
        ):
            act()
            self._expect(what, recorded() == RECORDED)
        kernel.load(restoring_script(running_state()))
        self._expect("undone by an old nft", recorded() == (RECORDED if COUNTS else []))
        self._expect("begun anew", observed.observed(0).seconds is not None)
        apply(policy._replace(mode="enforce"))
        self._expect("enforced", not observed.observed(9).records and "set observed_since" not in running_state())

    def _expect(self, what: str, holds: bool) -> None:
        self.failures += [] if holds else [f"records: {what}"]


# One of each kind of set.
_ELEMENTS = (
    "in_v4 { 10.0.0.1 . tcp . 22 counter packets 5 bytes 300 expires 29d }",
    "in_v6 { fd64::1 . udp . 53 counter packets 6 bytes 300 expires 28d }",
    "out_ip_v4 { 10.0.0.1 . 112 counter packets 7 bytes 300 expires 27d }",
    "out_ip_v6 { fd64::1 . 253 counter packets 8 bytes 300 expires 26d }",
)
# An older nft crashes when it loads an element with a counter.
COUNTS = version(run) >= (1, 0, 6)
_RECORDS = "".join(
    f"add element {names.TABLE} observed_{element}\n"
    for element in (_ELEMENTS if COUNTS else [re.sub("counter packets . bytes 300 ", "", text) for text in _ELEMENTS])
)
RECORDED = [
    (*key, packets if COUNTS else 0, days)
    for key, packets, days in (
        (("in", "10.0.0.1", "tcp", 22), 5, 1),
        (("in", "fd64::1", "udp", 53), 6, 2),
        (("out", "10.0.0.1", "ip", 112), 7, 3),
        (("out", "fd64::1", "ip", 253), 8, 4),
    )
]


def recorded() -> list[tuple[str, str, str, int, int, int]]:
    """Return the records, with the days since the last packet."""
    found = observed.observed(9).records
    return [
        (record.direction, record.peer, record.protocol, record.port, record.packets, record.last_seconds // 86400)
        for record in found
    ]


def running_state() -> State:
    """Return what runs. Raises RuntimeError where a listing was kept that is not true any more."""
    kept, running = kernel.running_state(kept=KEPT), kernel.running_state(kept=NONE_KEPT)
    if kept != running:
        raise RuntimeError(f"kept is {kept}, and nft lists {running}")
    return running


def apply(policy: Policy) -> None:
    """Apply in place, as the module does."""
    ruleset = nftables.ruleset_of(policy)
    running, wanted = running_state(), kernel.wanted_state(ruleset)
    kernel.check_definitions(running, wanted)
    for script in transactions(ruleset, running, wanted):
        kernel.load(script)


def problems(policy: Policy) -> Iterator[str]:
    """Apply; yield what is then not as it should be."""
    try:
        apply(policy)
    except CommandError as exc:
        yield str(exc)
        return
    wanted = kernel.wanted_state(nftables.ruleset_of(policy))
    running = running_state()
    if running != wanted:
        yield f"runs {running}, wanted {wanted}"
    changes = flow_changes(views.flow_views(running), expected_views(policy))
    if any(changes.values()):
        yield f"carries other flows than expected: {changes}"


def expected_views(policy: Policy) -> FlowViews:
    """Return the flows of a policy, with their ports and addresses."""
    rules = [rule for rule in policy.rules if rule.direction == "in" or policy.egress == "restricted"]
    return {
        name: FlowView(
            ports=frozenset(map(str, merged(item for rule in rules if rule.name == name for item in rule.ports))),
            addresses=frozenset(text for rule in rules if rule.name == name for text in _addresses(rule)),
        )
        for name in {rule.name for rule in rules}
    }


def _addresses(rule: Rule) -> Iterator[str]:
    whole = {network.version for network in rule.peers if network.prefixlen == 0}
    if whole == {4, 6}:
        yield "any"
        return
    yield from (_WORDS[version] for version in whole)
    for network in rule.peers:
        if network.version not in whole:
            yield str(network.network_address if network.num_addresses == 1 else network)


if __name__ == "__main__":
    main()
