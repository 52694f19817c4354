# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of the action plugins that run only on the controller, without a module on a host."""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.option_values import check_value
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.libraries import missing_library
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import check_extra_variables

# Checked when Ansible loads the plugin, in its main process: the worker of each host inherits the imported libraries.
_MISSING_LIBRARY = missing_library()


class ControllerAction(ActionBase):
    """An action plugin that works with the plan. A subclass sets `ARGUMENTS` and implements `result`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    # The argument spec of the module, in the format of AnsibleModule.
    ARGUMENTS: ClassVar[Mapping[str, Any]] = {}
    # The options that variables of a playbook set, with these variables, which messages name.
    VARIABLES: ClassVar[Mapping[str, str]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the task. A missing library or bad input fails the task with one message."""
        super().run(tmp, task_vars)
        if _MISSING_LIBRARY:
            raise AnsibleActionFail(_MISSING_LIBRARY)
        try:
            self._check_variables()
            _validation, options = self.validate_argument_spec(dict(self.ARGUMENTS))
            return self.result(options, task_vars or {})
        except PortFileError as exc:
            # With a cause, Ansible would append its text to the message.
            raise AnsibleActionFail(str(exc)) from None

    def _check_variables(self) -> None:
        for option, variable in self.VARIABLES.items():
            if option in self._task.args:
                check_value(variable, self.ARGUMENTS[option], self._task.args[option])

    @abstractmethod
    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the result of the task for its validated options. May raise PortFileError."""

    def unknown_variables(self, playbooks: Iterable[str]) -> list[str]:
        """Return warnings about unknown variables of -e for these playbooks. Raise PortFileError for a misspelt one."""
        names = load_extra_vars(self._loader)
        return [warning for playbook in playbooks for warning in check_extra_variables(playbook, names)]

    def show_written(self, paths: Iterable[str]) -> None:
        """Say which files were written; nothing if none was."""
        if files := ", ".join(filter(None, paths)):
            self._display.display(f"Written: {shown(files)}")

    @staticmethod
    def store(key: str) -> Store:
        """Return the store of the plan with this key, which the module plan_info returned."""
        return Store(C.DEFAULT_LOCAL_TMP, key)


def plan_arguments(*names: str) -> dict[str, Any]:
    """Return the argument spec of required strings, such as the key of the plan."""
    return {name: {"type": "str", "required": True} for name in names}


def write_file(path: str, text: str, variable: str) -> None:
    """Write a file on the controller. Raises AnsibleActionFail, which names the variable that has the path.

    If the disk is full, the file that was there stays as it was.
    """
    target = Path(path)
    try:
        if target.is_symlink() or target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)
    except OSError as exc:
        raise AnsibleActionFail(f"Cannot write {path}: {exc.strerror}. Set {variable}.") from None


def _replace(target: Path, text: str) -> None:
    """Write a whole file beside the target, and let it take the target's place. Raises OSError."""
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, new)
        new.replace(target)
    except PermissionError:  # the folder takes no new file, but the target may be written
        target.write_text(text, encoding="utf-8")
    finally:
        new.unlink(missing_ok=True)
