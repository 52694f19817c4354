# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether one host can connect to a port of another, and why, or why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.answer import answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.ends import end_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry, inquiry_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.text import answer_line, lines
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import UNREADABLE, complete_answers
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import AnswerStatus, Registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import as_options

_PHASES = ("judged", "probed", "stopped")


class ActionModule(ControllerAction):
    """`hpc.ports.explain_info`; documented in plugins/modules/explain_info.py."""

    ARGUMENTS = {
        **plan_arguments("plan", "from", "to", "to_port"),
        **{phase: {"type": "str", "default": ""} for phase in _PHASES},
        "probe": {"type": "bool", "default": False},
    }

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what to ask the two hosts or, when they have answered, the explanation."""
        store = self.store(options["plan"])
        ends = [end_of(key, options[key], task_vars["groups"], store) for key in ("from", "to")]
        (source, target), port = (host for host, note in ends), options["to_port"]
        name = f"explain-{digest((source, target, port))}"
        inquiry = store.kept(name, lambda plan: inquiry_of(plan, source, target, port))
        if not options["judged"]:
            return _questions(inquiry)
        names = {phase: options[phase] for phase in _PHASES}
        answers = registered(names, dict.fromkeys((source, target)), task_vars["hostvars"].raw_get)
        return self._answer(
            inquiry,
            store,
            complete_answers(answers, inquiry.packets),
            [note for host, note in ends if note],
            options["probe"],
            task_vars["ansible_play_hosts_all"],
        )

    def _answer(
        self,
        inquiry: Inquiry,
        store: Store,
        answers: Registered,
        notes: Sequence[str],
        probe: bool,
        play_hosts: Sequence[str],
    ) -> dict[str, Any]:
        silent = {
            host: _why_silent(phases["judged"], host in play_hosts)
            for host, phases in answers.items()
            if "judgements" not in phases["judged"] and inquiry.packets
        }
        answer = answer_of(store.plan(), inquiry, answers, silent)
        why = _why_no_probe(inquiry, answers, silent, probe, self._task.check_mode)
        text = list(map(shown, lines(answer, notes, why)))
        self._display.display("\n".join(["", *text, ""]))
        return shown_data(
            {
                "changed": False,
                "answer": answer_line(answer),
                "code": answer.code,
                "from": answer.reasons.source,
                "to": answer.reasons.target,
                "port": answer.reasons.port,
                "notes": list(notes),
                "plan": answer.reasons.as_data(),
                "ways": [way.as_data() for way in answer.ways],
                "silent": silent,
                "advice": answer.advice,
                "lines": text,
            }
        )


def _questions(inquiry: Inquiry) -> dict[str, Any]:
    return {
        "changed": False,
        "packets": {host: as_options(packets) for host, packets in inquiry.packets.items()},
        "parts": inquiry.parts,
    }


def _why_silent(judged: AnswerStatus, is_in_play: bool) -> str:
    if not is_in_play:
        return "it is not in this play (--limit)."
    text = str(judged.get("msg") or judged.get("skip_reason") or "it did not answer.")
    return f"Ansible cannot reach it: {text}" if judged.get("unreachable") else text


def _why_no_probe(
    inquiry: Inquiry, answers: Registered, silent: Mapping[str, str], probe: bool, check_mode: bool
) -> str:
    if not probe:
        return "No probe was requested. Send one with -e probe=true."
    if check_mode:
        return "No probe was sent in check mode."
    if not inquiry.parts:
        return "No probe was sent: there is nothing to try."
    unreadable = [
        f"The result of {host} cannot be read: {answer[UNREADABLE]}"
        for host, phases in answers.items()
        for answer in (phases["probed"], phases["stopped"])
        if UNREADABLE in answer
    ]
    if unreadable:
        return unreadable[0]
    source = inquiry.reasons.source
    if source in silent:
        return f"No probe could be sent from {source}: {silent[source]}"
    return f"No probe could be sent from {source}: {_why_silent(answers[source]['probed'], is_in_play=True)}"
