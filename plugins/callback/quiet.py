# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: quiet
type: stdout
short_description: Show what changes, fails or warns, and last a summary
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Like the callback P(ansible.builtin.default#callback), but shows no task and no host with nothing to say. If nothing
    changes, the output has one line for each host, in the recap.
  - Shows messages and warnings of tasks that change nothing. P(ansible.builtin.default#callback) with
    C(display_ok_hosts=false) hides them, for example the findings of lint.
  - After the recap, says in one line on how many hosts the firewall changed, and on which ones it failed.
  - With C(-v), shows all tasks and hosts.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - In C(ansible.cfg), C(stdout_callback = hpc.ports.quiet) in C([defaults]).
"""

from typing import Any

from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._report.outcomes import Outcomes

# The variable that has the result of the module firewall on each host, in the role firewall and in remove.yml.
_REGISTERED = "firewall_result"


def _gives_firewall(task: Any) -> bool:
    """Return whether a task gives its host the firewall. From ansible-core 2.21 on, `register` is a dictionary."""
    names = task.register or ()
    return _REGISTERED in ([names] if isinstance(names, str) else names)


class CallbackModule(Default):
    """`hpc.ports.quiet`."""

    CALLBACK_NAME = "hpc.ports.quiet"

    def __init__(self) -> None:
        super().__init__()
        self._outcomes = Outcomes()
        self._is_quiet = not self._display.verbosity

    def set_options(self, *args: Any, **kwargs: Any) -> None:
        """Read the options, and hide what has nothing to say."""
        super().set_options(*args, **kwargs)
        if self._is_quiet:
            self.set_option("display_ok_hosts", False)
            self.set_option("display_skipped_hosts", False)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Show a change; of a task that changes nothing, show its messages and warnings."""
        if _gives_firewall(result._task):
            self._outcomes.done(result._host.get_name(), result._result)
        if not self._is_quiet:
            super().v2_runner_on_ok(result)
        elif not isinstance(result._task, TaskInclude):
            self._show_words(result)
            super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Do the same for an item of a loop."""
        if self._is_quiet:
            self._show_words(result)
        super().v2_runner_item_on_ok(result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Hide which file of tasks is next."""
        if not self._is_quiet:
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show a failure."""
        if not ignore_errors:
            self._note_failure(result)
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Show a host that Ansible cannot reach."""
        if not result._task.ignore_unreachable:
            self._note_failure(result)
        super().v2_runner_on_unreachable(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Show the recap, and then the summary."""
        super().v2_playbook_on_stats(stats)
        text = self._outcomes.text(bool(context.CLIARGS["check"]))
        if text:
            self._display.display(text)

    def _note_failure(self, result: Any) -> None:
        # Verify runs after the firewall, so its failures say nothing about the firewall.
        if "verify" not in result._task.tags:
            self._outcomes.failed(result._host.get_name(), _gives_firewall(result._task))

    def _show_words(self, result: Any) -> None:
        """Show what a task says that changes nothing."""
        if result._result.get("changed"):
            return
        self._handle_warnings(result._result)
        if self._run_is_verbose(result):
            self._clean_results(result._result, result._task.action)
            words = result._result.get("msg", self._dump_results(result._result))
            host = "" if result._task.run_once else f"{result._host.get_name()}: "
            for line in words if isinstance(words, list) else str(words).split("\n"):
                self._display.display(f"{host}{shown(str(line))}")
