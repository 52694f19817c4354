# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the code of a run on the host until its change is decided.

A new connection then confirms the change with this code. To send the code again would cost more than all that the
confirmation does. Without kept code, the module `firewall_confirm` brings its own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._apply import confirm
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import SCRIPT

_ARCHIVE = "code.zip"
_PROGRAM = "import sys; sys.path.insert(0, {archive!r}); from {module} import {function} as main; main({token!r})"
# Isolated and without other packages: only the archive and the standard library.
_SCRIPT = """\
#!/bin/sh
# Confirm a change of the firewall over a new connection. Written by the Ansible collection hpc.ports.
exec {python} -I -S -c {program}
"""


def keep_code(folder: str, token: str) -> None:
    """Keep the archive that Ansible sent with this run in the folder of its change, and a script that confirms it.

    Nothing is kept where this code came in another way, as Ansible can be told to unpack the archive, or where there is
    no room for it.
    """
    archive = getattr(__spec__.loader, "archive", "")
    if not (archive and sys.executable):
        return
    kept, script = os.path.join(folder, _ARCHIVE), os.path.join(folder, SCRIPT)
    function = confirm.print_result
    program = _PROGRAM.format(archive=kept, module=function.__module__, function=function.__name__, token=token)
    try:
        shutil.copyfile(archive, kept)
        with open(script, "w", encoding="utf-8") as file:
            file.write(_SCRIPT.format(python=shlex.quote(sys.executable), program=shlex.quote(program)))
    except OSError:
        _remove((script, kept))


def _remove(paths: tuple[str, ...]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
