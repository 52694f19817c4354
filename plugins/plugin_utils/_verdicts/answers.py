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
from typing import Any, Final

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_start
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import MOST_CONTAINERS
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import FILTERED, OPEN
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, OUTCOMES
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import (
    AnswerStatus,
    JudgeAnswer,
    Registered,
    statuses,
)

# The key of a result that cannot be read; its value is the reason. No host can send it: unknown keys are dropped.
UNREADABLE: Final = "unreadable"

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


def parsed(phase: str, result: object) -> dict[str, Any]:
    """Return the registered results of a phase (`probed`, `stopped`, `compared` or `judged`), each value with its type.

    An empty result means no answer. An unreadable result counts as failed, with the reason as `UNREADABLE`.
    """
    try:
        return {} if result is None or result == {} else _answer(phase, result)
    except UnreadableError as exc:
        return dict(unreadable(f"{_MODULES[phase]}: {exc}"))


def unreadable(reason: str) -> AnswerStatus:
    """Return the result of a module that failed for this reason."""
    return {"failed": True, "msg": f"Its results cannot be read: {reason}", UNREADABLE: reason}


def unreadable_hosts(registered: Registered) -> dict[str, str]:
    """Return the hosts with an unreadable result, and the first reason of each."""
    return {
        host: reasons[0]
        for host, answers in registered.items()
        for reasons in [[answer[UNREADABLE] for answer in statuses(answers) if UNREADABLE in answer]]
        if reasons
    }


def _answer(phase: str, result: object) -> dict[str, Any]:
    """Return the status of a module that failed or did not run, or the result of one that ran."""
    answer = _mapping("", result)
    key, parse = _PHASES[phase]
    status = {
        **{name: _flag(name, answer[name]) for name in _FLAGS if name in answer},
        **{name: _safe_text(name, answer[name]) for name in _TEXTS if name in answer},
    }
    if any(status.get(name) for name in _FLAGS) or key not in answer and "msg" in status:
        return status
    return {**status, **parse(answer)}


# ---- values


def _unexpected_value(key: str, got: object, expected: str) -> UnreadableError:
    return UnreadableError(f"{key or 'the result'}: got {_short_text(got)}, expected {expected}.")


def _short_text(value: object) -> str:
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
        raise _unexpected_value(key, value, "a dictionary")
    for name in value:
        if not isinstance(name, str):
            raise _unexpected_value(key, name, "only strings as keys")
    return value


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _unexpected_value(key, value, "true or false")
    return value


def _flag_or_null(key: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _unexpected_value(key, value, "true, false or null")
    return value


def _safe_text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _unexpected_value(key, value, "a string")
    return shown_start(value)


def _whole_number(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _HUGE:
        raise _unexpected_value(key, value, "a whole number")
    return value


def _seconds(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _HUGE:
        raise _unexpected_value(key, value, "a number of seconds")
    return value


def _one_of(*choices: str) -> Parse:
    def parse(key: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _unexpected_value(key, value, f"one of {', '.join(filter(None, choices))}")
        return value

    return parse


def _matching(pattern: re.Pattern[str], expected: str) -> Parse:
    def parse(key: str, value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _unexpected_value(key, value, expected)
        return value

    return parse


def _port(key: str, value: object) -> str:
    match = _PORT.fullmatch(value) if isinstance(value, str) else None
    if not match or not 1 <= int(match[1]) <= 65535:
        raise _unexpected_value(key, value, "a port such as 22/tcp")
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
        raise _unexpected_value(key, value, "an IPv4 or IPv6 address")
    return value


@lru_cache(maxsize=1 << 16)
def _is_address(text: str) -> bool:
    bare, percent, scope = text.partition("%")
    with suppress(ValueError):
        return bool(ip_address(bare)) and (not percent or ":" in bare and bool(_SCOPE.fullmatch(scope)))
    return False


def _address_or_empty(key: str, value: object) -> str:
    return "" if value == "" else _address(key, value)


def _list(parse: Parse) -> Parse:
    def parse_all(key: str, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise _unexpected_value(key, value, "a list")
        return [parse(f"{key}[{number}]", element) for number, element in enumerate(value)]

    return parse_all


def _dictionary_of(parse_name: Parse, parse: Parse) -> Parse:
    """Return the parser of a dictionary with keys of one kind and values of one type."""

    def parse_all(key: str, value: object) -> dict[str, Any]:
        return {
            parse_name(key, name): parse(f"{key}[{shown_start(name, _MOST_SHOWN)}]", entry)
            for name, entry in _mapping(key, value).items()
        }

    return parse_all


def _record(required: Mapping[str, Parse], optional: Mapping[str, Parse] | None = None) -> Parse:
    """Return the parser of a dictionary with known keys; optional keys may be missing."""

    def parse_all(key: str, value: object) -> dict[str, Any]:
        mapping, prefix = _mapping(key, value), f"{key}." if key else ""
        for name in required:
            if name not in mapping:
                raise _missing(prefix + name)
        return {
            name: parse(prefix + name, mapping[name])
            for name, parse in {**required, **(optional or {})}.items()
            if name in mapping
        }

    return parse_all


def _check_unique(key: str, values: Iterable[object]) -> None:
    """Raise UnreadableError for duplicates, which could contradict each other."""
    values_before = set()
    for value in values:
        if value in values_before:
            raise UnreadableError(
                f"{key}: got {shown(' '.join(value) if isinstance(value, tuple) else str(value))} twice, expected it "
                "once."
            )
        values_before.add(value)


# ---- of the module verify_probe

_PORT_LIST = _list(_port)
_RESULT = _record(
    {
        "address": _address,
        "reachable": _flag_or_null,
        **dict.fromkeys((*OUTCOMES, "rejected"), _PORT_LIST),
        "details": _dictionary_of(_port_or_path, _safe_text),
        "nonces": _dictionary_of(_safe_text, _PORT_LIST),
        "seconds": _dictionary_of(_port, _seconds),
        "attempts": _dictionary_of(_port, _whole_number),
        "source": _address_or_empty,
        "elsewhere": _dictionary_of(_safe_text, _list(_address)),
    }
)


_CONTAINER = _record({"address": _address, "interface": _safe_text, "results": _list(_RESULT)})


def _probe_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    parsed_answer: dict[str, Any] = _record({"results": _list(_RESULT)}, {"containers": _list(_CONTAINER)})("", answer)
    containers = parsed_answer.get("containers", [])
    if len(containers) > MOST_CONTAINERS:
        raise _unexpected_value("containers", len(containers), f"at most {MOST_CONTAINERS}")
    _check_unique("containers", (container["address"] for container in containers))
    _check_results("results", parsed_answer["results"])
    for number, container in enumerate(containers):
        key, address = f"containers[{number}]", container["address"]
        if ip_address(address).is_unspecified:
            raise _unexpected_value(f"{key}.address", address, "an address of a container")
        _check_results(f"{key}.results", container["results"])
    return parsed_answer


def _check_results(name: str, results: Sequence[Mapping[str, Any]]) -> None:
    """Raise UnreadableError for results that contradict each other."""
    for number, result in enumerate(results):
        _check_source(f"{name}[{number}].source", result)
    _check_unique(name, (result["address"] for result in results))
    for number, result in enumerate(results):
        key = f"{name}[{number}]"
        _check_unique(key, (port for outcome in OUTCOMES for port in result[outcome]))
        _check_unique(f"{key}.nonces", (port for ports in result["nonces"].values() for port in ports))
        _check_outcome(f"{key}.rejected", result["rejected"], FILTERED, result)
        _check_outcome(f"{key}.nonces", (port for ports in result["nonces"].values() for port in ports), OPEN, result)


def _check_source(key: str, result: Mapping[str, Any]) -> None:
    """Raise UnreadableError unless a probe with an answer has a source address in the family of the target."""
    source, address = result["source"], result["address"]
    if not source and (result["open"] or result["refused"] or result["reachable"]):
        raise _unexpected_value(key, source, "the address that was answered")
    if source and ((":" in source) != (":" in address) or ip_address(source).is_unspecified):
        raise _unexpected_value(key, source, f"an address that reaches {address}")


def _check_outcome(key: str, ports: Iterable[str], name: str, result: Mapping[str, Any]) -> None:
    for port in set(ports) - set(result[name]):
        raise _unexpected_value(key, port, f"only ports that are {name}")


# ---- of the module verify_listen, when stopped


def _nullable(parse: Parse) -> Parse:
    def parse_it(key: str, value: object) -> Any:
        return None if value is None else parse(key, value)

    return parse_it


_PORTS_BY_ADDRESS = _dictionary_of(_address, _PORT_LIST)
_STOPPED = _record(
    {
        "alive": _flag,
        "listening": _PORTS_BY_ADDRESS,
        "in_use": _PORTS_BY_ADDRESS,
        "not_held": _dictionary_of(_address, _dictionary_of(_port, _safe_text)),
        "not_counted": _safe_text,
        "counts": _record(
            {},
            dict.fromkeys(
                COUNTERS,
                _nullable(
                    _dictionary_of(
                        _address,
                        _dictionary_of(_address, _dictionary_of(_matching(_COUNT, "a number of packets"), _PORT_LIST)),
                    )
                ),
            ),
        ),
    },
    {"own": _dictionary_of(_address, _flag), "dead_ends": _dictionary_of(_port, _safe_text)},
)


def _listen_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _STOPPED("", answer)
    _check_unique(
        "listening, in_use and not_held",
        (
            (address, port)
            for name in ("listening", "in_use", "not_held")
            for address, ports in result[name].items()
            for port in ports
        ),
    )
    for name, counts in result["counts"].items():
        _check_unique(f"counts.{name}", _counted_connections(counts or {}))
    return result


def _counted_connections(counts: Mapping[str, Mapping[str, Mapping[str, list[str]]]]) -> Iterator[tuple[str, str, str]]:
    return (
        (own, peer, port)
        for own, peers in counts.items()
        for peer, by_number in peers.items()
        for ports in by_number.values()
        for port in ports
    )


# ---- of the module firewall, in check mode

_COMPARED = _record(
    {"changes": _record({"objects": _list(_safe_text)})}, {"backend": _one_of("nftables", "firewalld", "")}
)


def _firewall_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _COMPARED("", answer)
    return result


# ---- of the module verify_judge

_ROUTE = _record(
    {},
    {
        "interface": _safe_text,
        "source": _address_or_empty,
        "gateway": _address_or_empty,
        "kind": _safe_text,
        "error": _safe_text,
    },
)
_VERDICT_KEY: dict[str, Parse] = {"verdict": _one_of("accept", "drop", "reject", "unknown")}
_RULE_KEYS: dict[str, Parse] = {
    "table": _safe_text,
    "chain": _safe_text,
    "rule": _safe_text,
    "is_ours": _flag,
    "unknown": _safe_text,
}
_JUDGEMENT = _record(
    _VERDICT_KEY,
    {
        **_RULE_KEYS,
        "notes": _list(_safe_text),
        "interface": _safe_text,
        "route": _ROUTE,
        "listening": _list(_address),
        "reverse_path": _record({"is_dropped": _flag}),
        "reply": _record(_VERDICT_KEY, _RULE_KEYS),
    },
)


def _judge_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = _record({"judgements": _list(_JUDGEMENT)})("", answer)
    return result


def complete_answers(registered: Registered, packets: Mapping[str, Sequence[object]]) -> Registered:
    """Return the results; those of verify_judge cannot be read if there is not exactly one for each packet."""
    return {
        host: {**answers, "judged": _judge_answer_if_complete(answers.get("judged", {}), len(packets.get(host, ())))}
        for host, answers in registered.items()
    }


def _judge_answer_if_complete(answer: JudgeAnswer, expected: int) -> JudgeAnswer:
    count = len(answer["judgements"]) if "judgements" in answer else expected
    if count == expected:
        return answer
    reason = f"verify_judge: judgements: got {count}, expected {expected}, one for each packet."
    return {**unreadable(reason)}


_PHASES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "probed": ("results", _probe_answer),
    "stopped": ("alive", _listen_answer),
    "compared": ("changes", _firewall_answer),
    "judged": ("judgements", _judge_answer),
}
