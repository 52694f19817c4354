# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host says about its services with one shell script, and check it on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import shipped_port_file
from ansible_collections.hpc.ports.plugins.plugin_utils._services.host_answers import (
    Answer,
    answers_script,
    file_content,
    parse_answers,
    unwritten,
)

# Read when Ansible loads the plugin, in its main process: the filters in the worker of each host need it.
shipped_port_file()


class ActionModule(ActionBase):
    """`hpc.ports.preflight`; documented in plugins/modules/preflight.py."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what was read, and what the variables make of it; a problem fails the task."""
        super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            {
                "files": {"type": "dict", "default": {}},
                "commands": {"type": "dict", "default": {}},
                "pins": {"type": "dict", "default": {}},
                "pattern": {"type": "str", "default": "^NAME="},
                **{name: {"type": "list", "elements": "str", "default": []} for name in ("once", "problems", "notes")},
                "port_needs": {"type": "str", "default": ""},
            }
        )
        try:
            return self._checked(self._read(options["files"], options["commands"]), options, task_vars or {})
        except ValueError as exc:
            raise AnsibleActionFail(shown(str(exc))) from None

    def _read(self, files: Mapping[str, str], commands: Mapping[str, Any]) -> dict[str, Any]:
        answers: list[Answer] = []
        if files or commands:
            done = self._low_level_execute_command(answers_script(files.values(), commands.values()))
            try:
                answers = parse_answers(done["stdout"], len(files) + len(commands))
            except ValueError as exc:
                raise ValueError(f"Cannot read from this host: {exc}. {done['stderr'].strip()}") from None
        contents = {name: _content(path, answer) for (name, path), answer in zip(files.items(), answers)}
        return {
            "changed": False,
            "files": {name: {} if content is None else {"content": content} for name, content in contents.items()},
            "commands": {name: answer._asdict() for name, answer in zip(commands, answers[len(files) :])},
        }

    def _checked(
        self, result: dict[str, Any], options: Mapping[str, Any], task_vars: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the result with the values of the variables, which are templated as if it was registered already."""
        variables = {**task_vars, str(self._task.register): wrap_var(result)}
        templar = self._templar.copy_with_new_env(available_variables=variables)
        for name in options["once"]:
            variables[name] = wrap_var(templar.template(variables[name]))

        def value(name: str) -> Any:
            return templar.template(variables[name])

        problems = [text for name in options["problems"] for text in _messages(templar, variables[name])]
        if problems:
            return {**result, "failed": True, "msg": " ".join(problems)}
        if options["port_needs"]:
            result["port_needs"] = _port_needs(value(options["port_needs"]))
        result["unwritten"] = [
            line
            for name, pins in options["pins"].items()
            if "content" in result["files"][name]
            for line in unwritten(result["files"][name]["content"], value(pins), options["pattern"])
        ]
        notes = [text for name in options["notes"] for text in _messages(templar, variables[name])]
        return {**result, "msg": " ".join(notes), "_ansible_verbose_always": True} if notes else result


def _content(path: str, answer: Answer) -> str | None:
    try:
        return file_content(answer)
    except ValueError as exc:
        raise ValueError(f"Cannot read {path}: {exc}") from None


def _messages(templar: Any, checks: Any) -> list[str]:
    """Return the messages of the checks whose conditions are all true, as a user sees them; without empty ones.

    Ansible evaluates each variable that a template names, even behind a condition. Here, a condition is evaluated if
    those before it are true, and a message if all of them are.
    """
    texts = [
        templar.template(check["message"]).strip()
        for check in checks
        if all(boolean(templar.template(condition)) for condition in check["when"])
    ]
    return [shown(text) for text in texts if text]


def _port_needs(needs: Mapping[str, Any]) -> dict[str, Any]:
    # A service that the port file does not have has no port.
    ports = {key: [dict(need) for need in needs[key] if need["ports"] != "/tcp"] for key in ("reserved", "within")}
    return {**ports, "fix": boolean(needs["fix"], strict=False)}
