# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change over a new connection to the host, or report that the host undid it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown

# Seconds after the end of the confirmation period in which a host must undo the change and answer again.
RETURN_WITHIN = 60.0
_PAUSE = 0.5
UNSEEN = "The connection ended while the host changed its firewall, so the changes are unknown."
_FORGOTTEN = (
    "The host does not know the change that it just received. Either it was restarted, and has the last confirmed "
    "ruleset, or it has kept the change and its answer was lost. Run again."
)
_UNDONE = (
    "The host undid the change after {0} s, because no new connection confirmed it. The previous ruleset is active "
    "again."
)
_UNREACHABLE = (
    "The host has not answered for {0:.0f} s. It should have undone the change by itself after {1} s. Last error: {2}."
)
# This many logins must fit into the confirmation period. One confirms the change; the others are a reserve.
_LOGINS = 3
_SLOW = "A login to {0} took {1} s: set firewall_confirm_within to {2} or more."
# How ansible-core reports that a module returned no valid result, since 2.19 and before, and the reason from sudo.
_NOT_RUN = ("Module result deserialization failed", "MODULE FAILURE")
_NO_TERMINAL = "you must have a tty to run sudo"
_REQUIRES_TTY = (
    "sudo did not run the module: it requires a terminal (requiretty in the host's sudoers), and Ansible with "
    "pipelining provides none. Remove requiretty for this user, or set ansible_pipelining: false."
)
_FINAL = ("confirmed", "reverted", "unknown", "other format")
_NOT_FINAL = {
    "not new": "Ansible could not make a new connection: the connection from {0} was used again. Make sure that only "
    "Ansible keeps connections to the host open (ControlPath in ~/.ssh/config)",
    "not made": "The run that started the change has not finished",
    "altered": "The host's ruleset is no longer the applied one: another program changed the firewall meanwhile",
}
# Errors of ssh that never connected, and of Ansible waiting for sudo. In these cases, no module was started.
_NEVER_MADE = (
    "connect to host",
    "Could not resolve hostname",
    "banner exchange",
    "kex_exchange_identification",
    "Permission denied",
    "Host key verification failed",
    "waiting for privilege escalation prompt",
)
_OUTCOME_KEYS = ("confirmed_from", "cuts", "leaves", "failed", "msg")


class PendingChange(NamedTuple):
    """A change that is undone unless it is confirmed within `seconds`, and the `result` of the module `firewall`.

    `login` is the duration of the login to the host in seconds. `loss` is the error if the connection ended meanwhile.
    """

    host: str
    result: Mapping[str, Any]
    seconds: int
    login: float = 0.0
    loss: AnsibleConnectionFailure | None = None

    @property
    def dropping(self) -> str:
        """Return a sentence about other rules on the host that may drop new connections, empty if there are none."""
        rules = self.result.get("other_rules", {}).get("dropping", [])
        return f"Other rules on the host may be the cause: {'; '.join(rules)}." if rules else ""


class HostAnswer(NamedTuple):
    """The last result of the module `firewall_confirm`, and the last error before it, empty if there was none.

    `login` is the duration of the login in seconds. It is 0 after an error, because errors distort the duration.
    """

    result: Mapping[str, Any]
    trouble: str
    login: float = 0.0


def may_have_begun(loss: AnsibleConnectionFailure) -> bool:
    """Return whether an established connection ended. In this case, the host may have started to change its rules."""
    return not any(text in str(loss) for text in _NEVER_MADE)


def named(host: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module with the host name in front of each warning.

    Ansible shows a warning without its host, and does not repeat the same warning for other hosts.
    """
    warnings = result.get("warnings")
    if not warnings or not isinstance(warnings, list):
        return result
    return {**result, "warnings": [_with_host(host, warning) for warning in warnings]}


def _with_host(host: str, warning: Any) -> Any:
    if isinstance(warning, str):
        return f"{host}: {warning}"
    if not hasattr(warning, "event"):
        return warning
    # The type of warnings in ansible-core 2.19 and later.
    return replace(warning, event=replace(warning.event, msg=f"{host}: {warning.event.msg}"))


def explained(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module. If sudo required a terminal, the message explains it, because Ansible does not."""
    message = str(result.get("msg", ""))
    output = f"{result.get('module_stdout')} {result.get('module_stderr')}"
    if message.startswith(_NOT_RUN) and _NO_TERMINAL in output:
        return {**result, "msg": f"{_REQUIRES_TTY} Ansible reported: {message}"}
    return result


def timed(
    execute: Callable[[], dict[str, Any]], now: Callable[[], float] = time.monotonic
) -> tuple[dict[str, Any], float]:
    """Return the result of a module, and the duration of the login: the total time without the module's run time."""
    began = now()
    result = execute()
    return result, now() - began - result.get("pending", result).get("ran_for", 0.0)


def final_answer(
    ask: Callable[[], dict[str, Any]],
    change: PendingChange,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> HostAnswer:
    """Connect to the host repeatedly until it has confirmed or undone the change, and return its answer.

    `ask` runs the module `firewall_confirm` over a new connection. Raises AnsibleConnectionFailure if the host has not
    answered `RETURN_WITHIN` seconds after it should have undone the change.
    """
    patience = change.seconds + RETURN_WITHIN
    end, trouble = now() + patience, shown(str(change.loss or "").strip())
    while True:
        try:
            result, login = timed(ask, now)
            if result.get("status") in _FINAL:
                return HostAnswer(result, trouble, 0.0 if trouble else login)
            trouble = str(result.get("msg") or _NOT_FINAL[result["status"]].format(result.get("confirmed_from")))
        except AnsibleError as exc:
            trouble = shown(str(exc).strip())
        if now() > end:
            raise AnsibleConnectionFailure(
                _sentences(
                    _UNREACHABLE.format(patience, change.seconds, trouble.rstrip(".")),
                    _slow_login_advice(change),
                    change.dropping,
                )
            )
        pause(_PAUSE)


def _slow_login_advice(change: PendingChange, login: float = 0.0) -> str:
    """Return advice if logins are too slow for the confirmation period, empty if they are fast enough."""
    longest = max(change.login, login)
    took = math.ceil(longest)
    return _SLOW.format(change.host, took, _LOGINS * took) if change.seconds < _LOGINS * longest else ""


def with_answer(change: PendingChange, answer: HostAnswer) -> dict[str, Any]:
    """Return the result of the module `firewall`, completed with the outcome of the change."""
    outcome = {key: answer.result[key] for key in _OUTCOME_KEYS if key in answer.result}
    slow = _slow_login_advice(change, answer.login)
    if answer.result["status"] == "confirmed":
        warnings = [*change.result.get("warnings", []), *answer.result.get("warnings", []), *filter(None, [slow])]
        return {"changed": True, **change.result, **outcome, "warnings": warnings}
    lacking = {"client": answer.result["client"]} if answer.result.get("advice") else {}
    return {**change.result, "changed": False, "failed": True, "msg": _undone_text(change, answer, slow), **lacking}


def with_cut(result: dict[str, Any], done: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of the module `firewall`, completed with that of the module `firewall_cut`."""
    if done.get("failed"):
        return {**result, "failed": True, "msg": _sentences(str(result.get("msg", "")), str(done["msg"]))}
    return {
        **result,
        "changed": result["changed"] or done["changed"],
        "connections_cut": done["connections_cut"],
        "warnings": [*result.get("warnings", []), *done.get("warnings", [])],
    }


def _undone_text(change: PendingChange, answer: HostAnswer, slow: str) -> str:
    """Return the message for a change that was not confirmed: the outcome and the likely cause."""
    result = answer.result
    if result["status"] == "unknown":
        return _FORGOTTEN
    if result["status"] == "other format":
        return str(result["msg"])
    text = _UNDONE.format(result["seconds"])
    if result["advice"]:
        return f"{text} Likely missing: {result['advice']}"
    allows = f"The policy itself allows {result['client']}." if result["client"] else ""
    reason = f"Last error: {answer.trouble.rstrip('.')}." if answer.trouble else ""
    return _sentences(text, allows, slow, reason, change.dropping)


def with_name(result: dict[str, Any], host_at: Callable[[str], str]) -> dict[str, Any]:
    """Return the result. If the policy does not allow `client`, and `client` is a managed host, the message says so."""
    client = result.get("client")
    host = host_at(client) if client else ""
    if not host:
        return result
    return {**result, "msg": f"{result['msg']} {client} is {host}: your jump host, or the host that Ansible runs on."}


def _sentences(*texts: str) -> str:
    return " ".join(filter(None, texts))
