# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run as Ansible runs them, for what they say of their arguments and in check mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def module(name: str, check: bool = False, real: bool = False, **options: Any) -> dict[str, Any]:
    """Return the result of a module: of a fork of this process or, where `real` is set, of a program of its own."""
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}})
    output = _run(name, arguments) if real else _forked(name, arguments)
    return dict(json.loads(output.splitlines()[-1]))


def _run(name: str, arguments: str) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "plugins" / "modules" / f"{name}.py")],
        text=True,
        check=False,
        input=arguments,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / ".collections")},
    ).stdout


def _forked(name: str, arguments: str) -> str:
    stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
    os.write(stdin, arguments.encode())
    os.lseek(stdin, 0, os.SEEK_SET)
    main = import_module(f"ansible_collections.hpc.ports.plugins.modules.{name}").main
    pid = os.fork()
    if not pid:
        _run_main(main, stdin, stdout)
    os.waitpid(pid, 0)
    os.close(stdin)
    with open(stdout, encoding="utf-8") as file:
        file.seek(0)
        return file.read()


def _run_main(main: Any, stdin: int, stdout: int) -> None:
    """Run a module to its end, with these for its input and output; never return."""
    try:
        os.dup2(stdin, 0)
        sys.argv = ["module"]
        sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(stdout, "w", encoding="utf-8")
        main()
    except SystemExit:
        sys.stdout.flush()
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
    finally:
        os._exit(0)
