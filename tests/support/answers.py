# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a small site answer in a run of verify, as their modules do, and how an answer is spoilt."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    Limits,
    VerifyOptions,
    VerifyRun,
    new_run,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered, suspects
from ansible_collections.hpc.ports.tests.support import probed_site
from hypothesis import strategies as st

PHASES = ("probed", "stopped", "compared", "judged")
NAMES = {phase: f"verify_{phase}" for phase in PHASES}
Path = tuple[Any, ...]
_HOSTS = ("ctl", "n1", "mon", "laptop")
_QUERY = "[?port==`443` || port==`9090`]"
# What n1 does wrong: it has drifted, answers who may not ask, and has nobody at a port that a flow opens.
_DRIFTED = "n1"
# mon judges what its container opens.
_RESTRICTED, _CONTAINER = "mon", "10.88.0.2"
_WRONG = {("laptop", "n1", "443/tcp"): "open", ("mon", "n1", "9090/udp"): "refused"}


def site() -> Plan:
    """Return the plan of the site."""
    hosts = {host: probed_site.HOSTS[host] for host in _HOSTS}
    return probed_site.plan_of({**hosts, _RESTRICTED: {**hosts[_RESTRICTED], "egress": "restricted"}})


def begin(plan: Plan) -> VerifyRun:
    """Return a run of verify over the whole site."""
    return new_run(plan, VerifyOptions(_HOSTS, _QUERY, False, Limits(1.0, 2, 1000, 1000.0, 5, 50_000)))


def answers_of(plan: Plan, run: VerifyRun) -> dict[str, dict[str, Any]]:
    """Return the variables of each host: what its modules returned, all as the plan says but for _WRONG."""
    return with_judgements(
        plan,
        run,
        {
            host: {
                "verify_probed": _probed(plan, run, host),
                "verify_stopped": _stopped(plan, run, host),
                "verify_compared": _compared(plan, host),
            }
            for host in run.options.hosts
        },
    )


def with_judgements(
    plan: Plan, run: VerifyRun, variables: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the variables, with what the hosts judge that are asked after such answers."""
    packets = suspects(plan, run, registered(NAMES, variables, variables.__getitem__))
    return {
        host: {
            **names,
            "verify_judged": {
                "changed": False,
                "judgements": [
                    _judgement("accept" if host == _DRIFTED else "drop", packet) for packet in packets[host]
                ],
            }
            if host in packets
            else {"changed": False, "skipped": True},
        }
        for host, names in variables.items()
    }


def _source(plan: Plan, host: str, address: str) -> str:
    return next((text for text in plan.inventory.hosts[host].addresses if (":" in text) == (":" in address)), "")


def _outcome(expectation: Any) -> str:
    port = f"{expectation.port}/{expectation.protocol}"
    return _WRONG.get((expectation.source, expectation.target, port), expectation.expected)


def _probed(plan: Plan, run: VerifyRun, host: str) -> dict[str, Any]:
    results = _results(plan, run, [item for item in run.expected.expectations if item.source == host])
    inside = [{**result, "reachable": None} for result in _results(plan, run, run.from_containers.get(host, ()))]
    for result in inside:
        result["source"] = _CONTAINER
    containers = [{"address": _CONTAINER, "interface": "podman0", "results": inside}] if inside else []
    said = {"changed": False, "failed": False, "results": results, "containers": containers}
    return said if results else {"skipped": True}


def _results(plan: Plan, run: VerifyRun, expectations: Iterable[Expectation]) -> list[dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for expectation in expectations:
        result = results.setdefault(
            expectation.address,
            {
                "address": expectation.address,
                "reachable": True,
                "open": [],
                "refused": [],
                "filtered": [],
                "error": [],
                "rejected": [],
                "details": {},
                "nonces": {},
                "seconds": {},
                "attempts": {},
                "source": _source(plan, expectation.source, expectation.address),
                "elsewhere": {},
            },
        )
        port, outcome = f"{expectation.port}/{expectation.protocol}", _outcome(expectation)
        result[outcome].append(port)
        result["seconds"][port] = 0.25
        if outcome == "open":
            result["nonces"].setdefault(run.parts[expectation.target]["nonce"], []).append(port)
        if outcome == "filtered":
            result["attempts"][port] = 2
            result["details"][port] = "No route to host; the kernel does not report the sender."
    return list(results.values())


def _stopped(plan: Plan, run: VerifyRun, host: str) -> dict[str, Any]:
    ports = run.parts[host]["listen"]
    nobody = [port for source, target, port in _WRONG if target == host and _WRONG[source, target, port] == "refused"]
    held = [port for port in ports if port not in nobody]
    return {
        "changed": True,
        "failed": False,
        "alive": True,
        "listening": {"0.0.0.0": held, "::": held} if held else {},
        "in_use": {},
        "not_held": {"0.0.0.0": {port: "Permission denied" for port in nobody}} if nobody else {},
        "not_counted": "",
        "counts": _counts(plan, run, host),
    }


def _counts(plan: Plan, run: VerifyRun, host: str) -> dict[str, Any]:
    counts: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = {
        name: defaultdict(lambda: defaultdict(dict)) for name in ("left", "arrived", "passed", "answered", "returned")
    }
    for expectation in run.expected.expectations:
        port, passes = f"{expectation.port}/{expectation.protocol}", _outcome(expectation) == "open"
        peer = (
            expectation.address
            if expectation.source == host
            else _source(plan, expectation.source, expectation.address)
        )
        own = _source(plan, host, expectation.address) if expectation.source == host else expectation.address
        names = (
            ["left", *(["returned"] if passes else [])]
            if expectation.source == host
            else ["arrived", *(["passed", "answered"] if passes else [])]
            if expectation.target == host
            else []
        )
        for name in names:
            counts[name][own][peer].setdefault("1", []).append(port)
    for expectation in run.from_containers.get(host, ()):
        port = f"{expectation.port}/{expectation.protocol}"
        counts["arrived"][expectation.address][_CONTAINER].setdefault("1", []).append(port)
        if expectation.expected == "open":
            counts["left"][_CONTAINER][expectation.address].setdefault("1", []).append(port)
    return {
        name: {own: dict(peers) for own, peers in counts_of_name.items()} for name, counts_of_name in counts.items()
    }


def _compared(plan: Plan, host: str) -> dict[str, Any]:
    if host not in plan.hosts:
        return {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"}
    objects = ["chain input", "set users_4"] if host == _DRIFTED else []
    return {
        "changed": bool(objects),
        "failed": False,
        "backend": "nftables",
        "changes": {"objects": objects, "flows_added": [], "ports_changed": {}},
    }


def _judgement(verdict: str, packet: Any) -> dict[str, Any]:
    rule = {
        "verdict": verdict,
        "table": "inet site",
        "chain": "input",
        "rule": f"th dport {packet.port} {verdict}",
        "is_ours": False,
        "unknown": "",
        "notes": [],
    }
    return {
        **rule,
        "interface": "eth0",
        "reverse_path": {"mode": 1, "is_dropped": False},
        "listening": ["0.0.0.0"],
        "route": {"interface": "eth0", "source": packet.source, "gateway": "", "kind": "unicast", "error": ""},
        "reply": {**rule, "verdict": "accept"},
    }


# ---- how an answer is spoilt

_DEEP: Any = {}
for _level in range(400):
    _DEEP = [_DEEP] if _level % 2 else {"results": _DEEP}
HOSTILE = "\x1b]0;x\x07\x9b2J\nwrong: ctl -> n1\u202e\u2028\u200b\ud800"
JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    1e300,
    "",
    "no",
    "true",
    "0",
    "-1",
    "22",
    "22/tcp",
    "0/tcp",
    "70000/tcp",
    "22/sctp",
    "٢٢/tcp",
    "443/tcp",
    "999.1.1.1",
    "10.0.0.1/8",
    "fe80::1%\x1b",
    "::",
    "open",
    "path",
    HOSTILE,
    HOSTILE + "x" * 100_000,
    HOSTILE,
    HOSTILE,
    "x" * 100_000,
    "{{ 1 + 1 }}",
    [],
    {},
    [[]],
    [None],
    ["22/tcp"],
    [HOSTILE],
    {"a": 1},
    {"22/tcp": HOSTILE},
    {HOSTILE: {HOSTILE: [HOSTILE]}},
    {"0.0.0.0": ["443/tcp"]},
    {1: 2},
    (1, 2),
    _DEEP,
]
_KEY = "\x1b[31mkey"


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the way to every value in an answer, the answer itself included."""
    yield path
    if isinstance(value, dict):
        for key, member in value.items():
            yield from places(member, (*path, key))
    if isinstance(value, list):
        for number, member in enumerate(value):
            yield from places(member, (*path, number))


def spoilt(answer: Any, path: Path, how: str, junk: Any) -> Any:
    """Return an answer with one value `replaced`, `deleted`, said `twice` or `added` to, or with another `key`."""
    answer = copy.deepcopy(answer)
    if not path:
        return junk if how == "replaced" else answer
    above = answer
    for step in path[:-1]:
        above = above[step]
    last = path[-1]
    if how == "replaced":
        above[last] = junk
    elif how == "deleted":
        del above[last]
    elif how == "twice":
        if isinstance(above, list):
            above.append(copy.deepcopy(above[last]))
    elif how == "key":
        if isinstance(above, dict):
            above[junk if isinstance(junk, (str, int, float, bool)) else _KEY] = above.pop(last)
    elif isinstance(above[last], dict):
        above[last][_KEY] = junk
    elif isinstance(above[last], list):
        above[last].append(junk)
    return answer


class Spoilt(NamedTuple):
    """One answer of one host was spoilt: which variable, and how; `variables` has those of all hosts."""

    host: str
    name: str
    how: str
    variables: dict[str, dict[str, Any]]


@st.composite
def spoilt_answers(draw: st.DrawFn, variables: Mapping[str, Mapping[str, Any]]) -> Spoilt:
    """Return what the hosts say, one value of which is not what a module says, or not all of it."""
    host = draw(st.sampled_from(sorted(variables)))
    name = draw(st.sampled_from(sorted(variables[host])))
    path = draw(st.sampled_from(list(places(variables[host][name]))))
    how = draw(st.sampled_from(["replaced", "replaced", "deleted", "twice", "added", "key"]))
    answer = spoilt(variables[host][name], path, how, draw(st.sampled_from(JUNK)))
    return Spoilt(host, name, how, {**variables, host: {**variables[host], name: answer}})
