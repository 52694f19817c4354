# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the result of a module on a host into data of known types, or a reason why it cannot be read.

A host may have another version of a module, or another program in place of its Python. A result is used only if it has
the form in the documentation of the module, see `parsed`. Keys that nothing reads are dropped. Texts for people are
made safe to print (`word`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import FILTERED, OPEN
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, OUTCOMES

# The key of a result that cannot be read; its value is the reason. No host can send it: unknown keys are dropped.
UNREADABLE = "unreadable"

# By host and phase: the readable results of the phase's module; empty for a task that did not run.
Registered = Mapping[str, Mapping[str, Mapping[str, Any]]]
Parse = Callable[[str, Any], Any]
_PORT = re.compile(r"([0-9]{1,5})/(?:tcp|udp)", re.ASCII)
_SCOPE = re.compile(r"[!-$&-~]{1,15}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,20}", re.ASCII)
_LONGEST_ADDRESS = 64
_MOST_SHOWN = 60
_HUGE = 10**9
_MODULES = {"probed": "verify_probe", "stopped": "verify_listen", "compared": "firewall", "judged": "verify_judge"}
_FLAGS = ("failed", "unreachable", "skipped")
_TEXTS = ("msg", "skip_reason")


class UnreadableError(ValueError):
    """A result does not have the form of its module; the text names the key."""


def parsed(phase: str, said: object) -> dict[str, Any]:
    """Return the registered results of a phase (`probed`, `stopped`, `compared` or `judged`), each value with its type.

    An empty result means no answer. An unreadable result counts as failed, with the reason as `UNREADABLE`.
    """
    try:
        return {} if said is None or said == {} else _answer(phase, said)
    except UnreadableError as exc:
        return unreadable(f"{_MODULES[phase]}: {exc}")


def unreadable(reason: str) -> dict[str, Any]:
    """Return the result of a module that failed for this reason."""
    return {"failed": True, "msg": f"Its results cannot be read: {reason}", UNREADABLE: reason}


def unreadable_hosts(found: Registered) -> dict[str, str]:
    """Return the hosts with an unreadable result, and the first reason of each."""
    return {
        host: reasons[0]
        for host, phases in found.items()
        for reasons in [[said[UNREADABLE] for said in phases.values() if UNREADABLE in said]]
        if reasons
    }


def _answer(phase: str, said: object) -> dict[str, Any]:
    """Return the status of a module that failed or did not run, or the result of one that ran."""
    answer = _mapping("", said)
    key, parse = _PHASES[phase]
    status = {
        **{name: _flag(name, answer[name]) for name in _FLAGS if name in answer},
        **{name: _word(name, answer[name]) for name in _TEXTS if name in answer},
    }
    if any(status.get(name) for name in _FLAGS) or key not in answer and "msg" in status:
        return status
    return {**status, **parse(answer)}


# ---- values


def _refuse(key: str, got: object, expected: str) -> UnreadableError:
    return UnreadableError(f"{key or 'the result'}: got {_named(got)}, expected {expected}.")


def _named(value: object) -> str:
    """Return a value as short text, however large it is."""
    if value is None or isinstance(value, (bool, float)):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < _HUGE else "a huge number"
    if isinstance(value, str):
        return f"'{shown_start(value, _MOST_SHOWN)}'"
    return "a dictionary" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "something else"


def _missing(key: str) -> UnreadableError:
    return UnreadableError(f"{key}: got nothing, expected a value.")


def _mapping(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(key, value, "a dictionary")
    for name in value:
        if not isinstance(name, str):
            raise _refuse(key, name, "only strings as keys")
    return value


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refuse(key, value, "true or false")
    return value


def _known(key: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _refuse(key, value, "true, false or null")
    return value


def _word(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refuse(key, value, "a string")
    return shown_start(value)


def _whole(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _HUGE:
        raise _refuse(key, value, "a whole number")
    return value


def _seconds(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _HUGE:
        raise _refuse(key, value, "a number of seconds")
    return value


def _one_of(*choices: str) -> Parse:
    def parse(key: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _refuse(key, value, f"one of {', '.join(filter(None, choices))}")
        return value

    return parse


def _matching(pattern: re.Pattern[str], expected: str) -> Parse:
    def parse(key: str, value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _refuse(key, value, expected)
        return value

    return parse


def _port(key: str, value: object) -> str:
    match = _PORT.fullmatch(value) if isinstance(value, str) else None
    if not match or not 1 <= int(match[1]) <= 65535:
        raise _refuse(key, value, "a port such as 22/tcp")
    return match[0]


def is_port(value: object) -> bool:
    """Return whether a value is a port, such as 22/tcp."""
    with suppress(UnreadableError):
        return bool(_port("", value))
    return False


def _port_or_path(key: str, value: object) -> str:
    return "path" if value == "path" else _port(key, value)


def _address(key: str, value: object) -> str:
    """Return an address; a link-local address may have a scope."""
    if not isinstance(value, str) or len(value) > _LONGEST_ADDRESS or not _is_address(value):
        raise _refuse(key, value, "an IPv4 or IPv6 address")
    return value


@lru_cache(maxsize=1 << 16)
def _is_address(text: str) -> bool:
    bare, percent, scope = text.partition("%")
    with suppress(ValueError):
        return bool(ip_address(bare)) and (not percent or ":" in bare and bool(_SCOPE.fullmatch(scope)))
    return False


def _maybe_address(key: str, value: object) -> str:
    return "" if value == "" else _address(key, value)


def _list(parse: Parse) -> Parse:
    def parse_all(key: str, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise _refuse(key, value, "a list")
        return [parse(f"{key}[{number}]", item) for number, item in enumerate(value)]

    return parse_all


def _by(name: Parse, parse: Parse) -> Parse:
    """Return the parser of a dictionary with keys of one kind and values of one type."""

    def parse_all(key: str, value: object) -> dict[str, Any]:
        return {
            name(key, part): parse(f"{key}[{shown_start(part, _MOST_SHOWN)}]", item)
            for part, item in _mapping(key, value).items()
        }

    return parse_all


def _record(required: Mapping[str, Parse], optional: Mapping[str, Parse] | None = None) -> Parse:
    """Return the parser of a dictionary with known keys; optional keys may be missing."""

    def parse_all(key: str, value: object) -> dict[str, Any]:
        said, before = _mapping(key, value), f"{key}." if key else ""
        for name in required:
            if name not in said:
                raise _missing(before + name)
        return {
            name: parse(before + name, said[name])
            for name, parse in {**required, **(optional or {})}.items()
            if name in said
        }

    return parse_all


def _once(key: str, items: Iterable[object]) -> None:
    """Raise UnreadableError for duplicates, which could contradict each other."""
    seen = set()
    for item in items:
        if item in seen:
            raise UnreadableError(
                f"{key}: got {shown(' '.join(item) if isinstance(item, tuple) else str(item))} twice, expected it once."
            )
        seen.add(item)


# ---- of the module verify_probe

_PORTS = _list(_port)
_RESULT = _record(
    {
        "address": _address,
        "reachable": _known,
        **dict.fromkeys((*OUTCOMES, "rejected"), _PORTS),
        "details": _by(_port_or_path, _word),
        "nonces": _by(_word, _PORTS),
        "seconds": _by(_port, _seconds),
        "attempts": _by(_port, _whole),
        "source": _maybe_address,
        "elsewhere": _by(_word, _list(_address)),
    }
)


def _probed(said: Mapping[str, Any]) -> dict[str, Any]:
    results = _record({"results": _list(_RESULT)})("", said)["results"]
    for number, result in enumerate(results):
        _check_source(f"results[{number}].source", result)
    _once("results", (result["address"] for result in results))
    for number, result in enumerate(results):
        key = f"results[{number}]"
        _once(key, (port for name in OUTCOMES for port in result[name]))
        _once(f"{key}.nonces", (port for ports in result["nonces"].values() for port in ports))
        _within(f"{key}.rejected", result["rejected"], FILTERED, result)
        _within(f"{key}.nonces", (port for ports in result["nonces"].values() for port in ports), OPEN, result)
    return {"results": results}


def _check_source(key: str, result: Mapping[str, Any]) -> None:
    """Raise UnreadableError unless a probe with an answer has a source address in the family of the target."""
    source, address = result["source"], result["address"]
    if not source and (result["open"] or result["refused"] or result["reachable"]):
        raise _refuse(key, source, "the address that was answered")
    if source and ((":" in source) != (":" in address) or ip_address(source).is_unspecified):
        raise _refuse(key, source, f"an address that reaches {address}")


def _within(key: str, ports: Iterable[str], name: str, result: Mapping[str, Any]) -> None:
    for port in set(ports) - set(result[name]):
        raise _refuse(key, port, f"only ports that are {name}")


# ---- of the module verify_listen, when stopped


def _maybe(parse: Parse) -> Parse:
    def parse_it(key: str, value: object) -> Any:
        return None if value is None else parse(key, value)

    return parse_it


_BY_ADDRESS = _by(_address, _PORTS)
_STOPPED = _record(
    {
        "alive": _flag,
        "listening": _BY_ADDRESS,
        "in_use": _BY_ADDRESS,
        "not_held": _by(_address, _by(_port, _word)),
        "not_counted": _word,
        "counts": _record(
            {},
            dict.fromkeys(
                COUNTERS, _maybe(_by(_address, _by(_address, _by(_matching(_COUNT, "a number of packets"), _PORTS))))
            ),
        ),
    },
    {"own": _by(_address, _flag), "dead_ends": _by(_port, _word)},
)


def _stopped(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _STOPPED("", said)
    _once(
        "listening, in_use and not_held",
        (
            (address, port)
            for name in ("listening", "in_use", "not_held")
            for address, ports in found[name].items()
            for port in ports
        ),
    )
    for name, counted_there in found["counts"].items():
        _once(f"counts.{name}", _counted_ports(counted_there or {}))
    return found


def _counted_ports(found: Mapping[str, Mapping[str, Mapping[str, list[str]]]]) -> Iterator[tuple[str, str, str]]:
    return (
        (own, peer, port)
        for own, peers in found.items()
        for peer, by_number in peers.items()
        for ports in by_number.values()
        for port in ports
    )


# ---- of the module firewall, in check mode

_COMPARED = _record({"changes": _record({"objects": _list(_word)})}, {"backend": _one_of("nftables", "firewalld", "")})


def _compared(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _COMPARED("", said)
    return found


# ---- of the module verify_judge

_ROUTE = _record(
    {}, {"interface": _word, "source": _maybe_address, "gateway": _maybe_address, "kind": _word, "error": _word}
)
_JUDGED: dict[str, Parse] = {"verdict": _one_of("accept", "drop", "reject", "unknown")}
_ABOUT: dict[str, Parse] = {"table": _word, "chain": _word, "rule": _word, "is_ours": _flag, "unknown": _word}
_JUDGEMENT = _record(
    _JUDGED,
    {
        **_ABOUT,
        "notes": _list(_word),
        "interface": _word,
        "route": _ROUTE,
        "listening": _list(_address),
        "reverse_path": _record({"is_dropped": _flag}),
        "reply": _record(_JUDGED, _ABOUT),
    },
)


def _judged(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _record({"judgements": _list(_JUDGEMENT)})("", said)
    return found


def counted(found: Registered, packets: Mapping[str, Sequence[object]]) -> Registered:
    """Return the results; those of verify_judge cannot be read if there is not exactly one for each packet."""
    return {
        host: {**phases, "judged": _counted(phases.get("judged", {}), len(packets.get(host, ())))}
        for host, phases in found.items()
    }


def _counted(said: Mapping[str, Any], asked: int) -> Mapping[str, Any]:
    given = len(said["judgements"]) if "judgements" in said else asked
    return (
        said
        if given == asked
        else unreadable(f"verify_judge: judgements: got {given}, expected {asked}, one for each packet.")
    )


_PHASES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "probed": ("results", _probed),
    "stopped": ("alive", _stopped),
    "compared": ("changes", _compared),
    "judged": ("judgements", _judged),
}
