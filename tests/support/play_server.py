# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has imported ansible, and forks a child for each play: see plays.py, which starts it.

It has the working directory and the environment of its plays from its start, because ansible reads both when it is
imported. It never imports a collection: each play finds its own.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import warnings
from contextlib import suppress
from importlib import import_module

# Modules that nearly every play imports, if this version of ansible has them.
_USED = (
    "ansible.cli.playbook",
    "ansible.executor.task_executor",
    "ansible.executor.process.worker",
    "ansible.playbook.handler_task_include",
    "ansible.utils._junit_xml",
    *(
        f"ansible.plugins.action.{name}"
        for name in ("assert", "copy", "debug", "include_vars", "normal", "set_fact", "set_stats")
    ),
    *(f"ansible.plugins.become.{name}" for name in ("su", "sudo")),
    "ansible.plugins.cache.memory",
    *(f"ansible.plugins.callback.{name}" for name in ("default", "junit", "minimal", "oneline", "tree")),
    *(f"ansible.plugins.connection.{name}" for name in ("local", "paramiko_ssh", "psrp", "ssh", "winrm")),
    *(f"ansible.plugins.inventory.{name}" for name in ("auto", "host_list", "ini", "script", "toml", "yaml")),
    *(f"ansible.plugins.shell.{name}" for name in ("cmd", "sh")),
    *(f"ansible.plugins.strategy.{name}" for name in ("free", "linear")),
    *(f"ansible.plugins.test.{name}" for name in ("core", "files", "mathstuff", "uri")),
    "ansible.plugins.vars.host_group_vars",
    "jmespath",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
    "netaddr",
    "tomllib",
    "xml.dom.minidom",
    "yaml",
)


def main() -> None:
    """Serve until the end of the requests; each child leaves with its play."""
    sys.path[0] = os.path.dirname(sys.executable)  # as for the program ansible-playbook
    requests = socket.socket(fileno=int(sys.argv[1]))
    _prepare()
    gc.collect()
    gc.freeze()
    arguments = _serve(requests)
    if arguments is not None:
        _play(arguments)


def _prepare() -> None:
    """Do what each play would do first: import and read what ansible itself has.

    Not its plugins of the kind `vars`: found before there is a play, they find no group_vars beside its playbook.
    """
    for name in _USED:
        with suppress(ImportError):
            import_module(name)
    plugins = import_module("ansible.plugins.loader")
    plugins.init_plugin_loader()
    import_module("ansible_collections.ansible.builtin")
    for kind in ("become", "callback", "connection", "shell"):
        list(getattr(plugins, f"{kind}_loader").all(class_only=True))


def _serve(requests: socket.socket) -> list[str] | None:
    """Return in each child what it is to play, and in the server at the end, when it has ended all plays, None."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        ready = select.select([requests.fileno(), *running], [], [])[0]
        for ended in set(ready) & set(running):
            _answer(ended, *running.pop(ended))
        if requests.fileno() not in ready:
            continue
        message, descriptors, _flags, _address = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            _end(running)
            return None
        pid = _fork()
        if not pid:
            _become(descriptors, requests)
            return list(json.loads(message))
        running[os.pidfd_open(pid)] = (pid, _announced(pid, *descriptors))


def _fork() -> int:
    loaded = [
        name
        for name in sys.modules
        if name.startswith("ansible_collections.") and not name.startswith("ansible_collections.ansible")
    ]
    assert not loaded, f"a play must load its own: {loaded}"
    assert threading.active_count() == 1
    return os.fork()


def _become(descriptors: list[int], requests: socket.socket) -> None:
    """Give a child its own session and its outputs, and nothing of the server's."""
    os.setsid()
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[1], 2)
    requests.close()
    for descriptor in descriptors:
        os.close(descriptor)


def _announced(pid: int, output: int, errors: int, answers: int) -> int:
    """Say which process plays, and return where to say how it ended."""
    os.close(output)
    os.close(errors)
    with suppress(BrokenPipeError):
        os.write(answers, b"%d\n" % pid)
    return answers


def _answer(handle: int, pid: int, to: int) -> None:
    """Say how a play ended: its exit code, or minus the signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):  # where nobody asks any more
        os.write(to, b"%d\n" % code)
    os.close(to)
    os.close(handle)


def _end(running: dict[int, tuple[int, int]]) -> None:
    for pid, _to in running.values():
        kill(pid)


def kill(pid: int) -> None:
    """End a play, and what it has started: each worker of Ansible is in a group of its own."""
    for leader in _started_by(pid):
        # It has just ended, or is in the group of another.
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def _started_by(pid: int) -> list[int]:
    """Return a process, and all that it and they have started."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            started = children.read().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(one for child in started for one in _started_by(int(child)))]


def _play(arguments: list[str]) -> None:
    """Do as the program ansible-playbook does."""
    from ansible import constants  # pylint: disable=import-outside-toplevel
    from ansible.cli.playbook import main as ansible_playbook  # pylint: disable=import-outside-toplevel
    from ansible.utils.path import cleanup_tmp_file  # pylint: disable=import-outside-toplevel

    # The folder for temporary files is made, and its removal arranged, with each reading of its setting: that one is
    # the server's.
    atexit.unregister(cleanup_tmp_file)
    constants.set_constant(
        "DEFAULT_LOCAL_TMP", constants.config.get_config_value("DEFAULT_LOCAL_TMP", variables=vars(constants))
    )
    sys.argv = arguments
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    ansible_playbook()


if __name__ == "__main__":
    main()
