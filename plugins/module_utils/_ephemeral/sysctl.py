# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and change the ephemeral ports of this host, in the kernel and in our sysctl file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._ephemeral import demands as ephemeral
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import Demands, Running, Settings
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import (
    FileContent,
    Places,
    commit,
    discard,
    naming,
    stage,
)


class SysctlPaths(NamedTuple):
    """The paths of the settings. The name of our file sorts late, so that it overrides others."""

    proc: str = "/proc/sys/net/ipv4"
    saved: str = "/etc/sysctl.d/zz-hpc-ports.conf"


class Present(NamedTuple):
    """The present settings of the host, and the text of our file, empty without one."""

    running: Running
    saved: Settings
    text: str


def compared(demands: Demands, fix: bool, check_mode: bool, paths: SysctlPaths = SysctlPaths()) -> dict[str, Any]:
    """Return the result of the module. With `fix`, and not in check mode, change the host first.

    Raise OSError if a file cannot be read or written, and ValueError if no settings meet the demands.
    """
    now = present(paths)
    running, saved = ephemeral.fitting(now.running, now.saved, demands) if fix else (now.running, now.saved)
    text = (ephemeral.saved_text(saved) if fix else "") or now.text
    if not check_mode:
        _write(now, running, text, paths)
    left = ephemeral.clashes(running, demands)
    return {
        "changed": (running, text) != (now.running, now.text),
        "clashes": left,
        "fixed": [
            clash for clash in ephemeral.clashes(now.running, demands._replace(declared=None)) if clash not in left
        ],
        **ephemeral.described(running),
        "diff": {"before": _shown(now.running, now.text, paths), "after": _shown(running, text, paths)},
    }


def present(paths: SysctlPaths) -> Present:
    """Return the settings of the host. Raise OSError or ValueError."""
    running = present_running(paths)
    text = ""
    with suppress(FileNotFoundError):
        text = _read(paths.saved)
    try:
        return Present(running, ephemeral.parsed_saved(text), text)
    except ValueError as exc:
        raise ValueError(f"{paths.saved}: {exc}. Correct the file, or remove it") from exc


def present_running(paths: SysctlPaths = SysctlPaths()) -> Running:
    """Return the settings of the kernel. Raise OSError or ValueError."""
    return ephemeral.parsed_running(*[_read(os.path.join(paths.proc, name)) for name in ephemeral.NAMES])


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(now: Present, running: Running, text: str, paths: SysctlPaths) -> None:
    """Change the settings: first the kernel's, which refuses invalid ones. Raise OSError."""
    if running.reserved != now.running.reserved:
        _set(os.path.join(paths.proc, ephemeral.RESERVED), ephemeral.spans(running.reserved))
    if running.range != now.running.range:
        _set(os.path.join(paths.proc, ephemeral.RANGE), ephemeral.range_text(running))
    if text != now.text:
        _save(text, Places((paths.saved,)))


def _set(path: str, value: str) -> None:
    with naming(path), open(os.open(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="ascii") as file:
        file.write(value + "\n")


def worded(error: OSError) -> str:
    """Return the message for a failure to read or write, with the remedy."""
    if not str(error.filename).startswith("/proc/"):
        return f"Cannot change the ephemeral ports: {error.filename}: {error.strerror}."
    setting = ephemeral.PREFIX + os.path.basename(str(error.filename))
    return (
        f"Cannot read or write {error.filename}: {error.strerror}. Set become: true. In a container without a network "
        f"of its own, or with a read-only /proc/sys, set it when the container is started (podman run --sysctl "
        f"{setting}=...), or leave fix false."
    )


def _save(text: str, places: Places) -> None:
    try:
        stage(places, {path: FileContent(text) for path in places.paths})
        commit(places)
    except OSError:
        discard(places)
        raise


def _shown(running: Running, text: str, paths: SysctlPaths) -> str:
    kernel = [
        ephemeral.PREFIX + ephemeral.RANGE + " = " + ephemeral.range_text(running),
        ephemeral.PREFIX + ephemeral.RESERVED + " = " + ephemeral.spans(running.reserved),
    ]
    saved = [paths.saved + ":", *text.splitlines()] if text else []
    return "".join(line + "\n" for line in ["kernel:", *kernel, *saved])
