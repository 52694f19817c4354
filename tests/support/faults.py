# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a host's runs of modules, which may be killed or fail at a chosen moment: several a second.

The server is in the host's namespaces and has all imported; it forks for each run: a process like any other, killed for
real. Run as a program, this file is the server of the host that it runs on; with the number of a socket, it is where
the servers of many hosts come from. Tests ask by support/runs.py.

What a run does to the host is counted: files made, written, renamed, removed; programs started. One of these may be
the last: the run kills itself before it, or half way (a write is cut at the end of a line, a program is left running).
Or it fails, as a full disk, a read-only one or a broken one has it fail.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import importlib
import io
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import filterfalse
from typing import Any, NamedTuple

_CHANGES = "/run/hpc-ports"
_ARMED = _CHANGES + "/armed"
# Whether a listing is kept depends on which module asked for it last.
_LISTING = re.compile(r"listing-\w+\.json")
_UTILS = "ansible_collections.hpc.ports.plugins.module_utils"


# ---- for tests


class Fault(NamedTuple):
    """What befalls a run at its operation number `at`, from 1: `how` is `before`, `half way` or the name of an errno.

    Where it is an errno, only those operations are counted that write to /etc or /run. With `after`, only those that
    follow that operation.
    """

    at: int
    how: str
    after: str = ""


class Run(NamedTuple):
    """A run of a module: its result, None where it was killed, and its operations, each a kind and a path.

    `hit` is the one at which the fault befell it; empty when it got through before that.
    """

    result: dict[str, Any] | None
    operations: list[str]
    hit: str
    seconds: float


class State(NamedTuple):
    """What a host has: our table, object by object; our files, kind and content by path; the change that is armed.

    `firewalld` has our objects as firewalld reports them. `left` has the names in the folder of the notes of changes
    that are not complete listings.
    """

    table: tuple[str, ...]
    firewalld: tuple[str, ...]
    files: dict[str, str]
    armed: str
    left: list[str]

    @property
    def places(self) -> dict[str, str]:
        """Our files that are in their places."""
        return {path: text for path, text in self.files.items() if not path.endswith(".new")}


# ---- the server


def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
    for pid in _children():
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("program"):
        return _called(request)
    if request["module"]:
        # PR_SET_CHILD_SUBREAPER: what a run leaves behind becomes a child of this process, and can be waited for.
        ctypes.CDLL(None).prctl(36, 1)
        return _forked(_module(request["module"]).main, request)
    return _state(request["backend"], request["folders"], request.get("revert", False), request.get("said", True))


def _module(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.hpc.ports.plugins.modules.{name}")


def _called(request: dict[str, Any]) -> dict[str, Any]:
    """Run Python that sets `result` from `arguments`, as that user, in a process of its own."""
    handle = os.memfd_create("result")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setuid(request["user"])
            names = {"arguments": request["arguments"]}
            exec(request["program"], names)  # pylint: disable=exec-used
            os.write(handle, json.dumps(names["result"]).encode())
            code = 0
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "The program failed; see what it wrote to standard error."
    return {"result": json.loads(_content(handle))}


def _state(backend: str, folders: dict[str, str], revert: bool, is_asked: bool) -> dict[str, Any]:
    if revert:
        subprocess.run(["/bin/sh", f"{_ARMED}/revert", "now"], check=True, stdout=subprocess.DEVNULL)
    table = _nft_table() if backend == "nftables" else _firewalld_table()
    reported = _reported_by_firewalld() if backend == "firewalld" and is_asked else []
    left = sorted(filterfalse(_LISTING.fullmatch, os.listdir(_CHANGES))) if os.path.isdir(_CHANGES) else []
    return {"table": table, "said": reported, "files": _written_files(folders), "armed": _armed(), "left": left}


def _armed() -> str:
    try:
        return os.readlink(_ARMED)
    except FileNotFoundError:  # also where it is undone at this moment
        return ""


def _nft_table() -> list[str]:
    done = subprocess.run(
        ["nft", "-s", "list", "table", "inet", "hpc_ports"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        text=True,
    )
    body = done.stdout.removeprefix("table inet hpc_ports {\n").removesuffix("}\n").rstrip("\n")
    return sorted(body.split("\n\n")) if body else []


def _firewalld_table() -> list[str]:
    running = importlib.import_module(f"{_UTILS}._backends.firewalld.running").running_state()
    return sorted("\n".join([name, *lines]) for name, lines in running.items())


def _reported_by_firewalld() -> list[str]:
    """Return our objects in the runtime configuration of firewalld. Rules and entries are sorted."""
    bus = importlib.import_module(f"{_UTILS}._backends.firewalld.dbus").Bus()
    ipsets = {name: bus.read("ipset.getEntries", name) for name in _ours(bus.read("ipset.getIPSets"))}
    policies = {name: bus.settings("policy.getPolicySettings", name) for name in _ours(bus.read("policy.getPolicies"))}
    return [f"{name} {json.dumps(sorted(entries))}" for name, entries in ipsets.items()] + [
        f"{name} {key} {sorted(value) if isinstance(value, list) else value}"
        for name, settings in policies.items()
        for key, value in sorted(settings.items())
    ]


def _ours(names: list[str]) -> list[str]:
    return sorted(name for name in names if name.startswith("hpc_ports_"))


def _written_files(folders: dict[str, str]) -> dict[str, str]:
    texts = {}
    for top, label in folders.items():
        for folder, names, files in os.walk(top):
            for path in (os.path.join(folder, name) for name in names + files):
                try:
                    text = _file_text(path)
                except FileNotFoundError:
                    # An undo that runs now has renamed it.
                    continue
                if text:
                    texts[label + path[len(top) :]] = text
    return texts


def _file_text(path: str) -> str:
    """Return what a link points to, or the mode and text of a file; nothing of a folder."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "-> " + os.readlink(path)
    if not stat.S_ISREG(mode):
        return ""
    with open(path, encoding="utf-8") as file:
        return f"{mode:o}\n{file.read()}"


def _forked(main: Callable[[], None], request: dict[str, Any]) -> dict[str, Any]:
    arguments, output, log = (os.memfd_create(name) for name in ("arguments", "output", "log"))
    options = {"_ansible_check_mode": False, **request["options"]}
    os.write(arguments, json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        vars(importlib.import_module(f"{_UTILS}._apply.lock")).update(request["settings"])
        if request["ssh"]:
            _come_over(request["ssh"])
        _be_the_module(main, request["fault"], arguments, output, log)
    if request["kill_after"] is not None:
        _wait_for_the_end(pid, request["kill_after"])
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    seconds = time.monotonic() - began
    _wait_for_programs()
    texts = [_content(handle) for handle in (arguments, output, log)]
    killed = os.WIFSIGNALED(status)
    lines = texts[2].splitlines()
    no_output = '{"failed": true, "msg": "The module returned no result; see its standard error."}'
    # A module that is killed as it prints has printed half a result.
    result = None if killed else json.loads((texts[1] or no_output).splitlines()[-1])
    assert result is None or bool(result.get("failed")) == bool(os.WEXITSTATUS(status)), (result, status)
    return {
        "result": result,
        "seconds": seconds,
        "operations": [line for line in lines if not line.startswith(_HIT)],
        "hit": "".join(line[len(_HIT) :] for line in lines if line.startswith(_HIT)),
    }


def _wait_for_the_end(pid: int, seconds: float) -> None:
    """Wait for the end of a process, but no longer than that."""
    handle = os.pidfd_open(pid)
    select.select([handle], [], [], seconds)
    os.close(handle)


def _come_over(connection: str) -> None:
    """Have /proc/self/environ tell of this ssh connection: in the room that is kept at its beginning."""
    with open("/proc/self/stat", "rb") as file:
        start = int(file.read().rpartition(b")")[2].split()[47])
    text = f"SSH_CONNECTION={connection}".encode().ljust(len(ROOM))
    ctypes.memmove(start, text, len(text))
    with open("/proc/self/environ", "rb") as file:
        assert file.read().startswith(text + b"\0")


def _content(handle: int) -> str:
    with open(handle, "rb") as file:
        file.seek(0)
        return file.read().decode()


def _be_the_module(main: Callable[[], None], fault: list[Any] | None, arguments: int, output: int, log: int) -> None:
    """Run the module in this process, and end with it."""
    os.lseek(arguments, 0, os.SEEK_SET)
    os.dup2(arguments, 0)
    os.dup2(output, 1)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115 # to the end of the process
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))  # noqa: SIM115 # to the end of the process
    write = os.write
    _Operations(lambda line: write(log, f"{line}\n".encode()), Fault(*fault) if fault else None).watch()
    code = 1
    try:
        main()
    except SystemExit as exc:
        code = int(exc.code or 0)
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return list(map(int, file.read().split()))


def _wait_for_programs() -> None:
    """Wait until what a killed run started has ended, but for the clocks."""
    while any(_is_awaited(pid) for pid in _children()):
        time.sleep(0.002)


def _is_awaited(pid: int) -> bool:
    if os.waitpid(pid, os.WNOHANG)[0]:
        return False
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read()
    return b"revert" not in words and not words.startswith(b"sleep")


# ---- the operations of a run

_HIT = "hit: "

_NAMING_TWO = ("symlink", "replace", "rename", "link")
_NAMING_ONE = ("mkdir", "unlink", "rmdir")
_BY_HANDLE = ("fsync", "fchmod", "write")
# These need no room on a disk.
_NO_ROOM_NEEDED = ("unlink", "rmdir", "fchmod", "replace", "rename")


class _Operations:
    """The operations of this process, counted and noted; the fault befalls it at one of them."""

    def __init__(self, note: Callable[[str], Any], fault: Fault | None) -> None:
        self.note, self.fault = note, fault
        self.count = 0
        self.is_counting = not (fault and fault.after)
        self.broken = ""

    def watch(self) -> None:
        """Count from here on."""
        for name in (*_NAMING_ONE, *_NAMING_TWO):
            setattr(os, name, self._of_path(name, getattr(os, name)))
        for name in ("fsync", "fchmod"):
            setattr(os, name, self._of_handle(name, getattr(os, name)))
        os.write = self._write(os.write)
        os.open = self._os_open(os.open)
        builtins.open = self._open(builtins.open)
        subprocess.Popen.__init__ = self._started(subprocess.Popen.__init__)  # type: ignore[method-assign]

    def happens(self, kind: str, path: str, half: Callable[[], Any] = lambda: None, target: str = "") -> None:
        """Count an operation that is about to be done; `half` does a part of it, `target` is what a link points to."""
        self.note(f"{kind} {path}")
        fault = self.fault
        if fault is None:
            return
        if not self.is_counting:
            self.is_counting = fault.after == f"{kind} {path}"
            return
        fails = fault.how.startswith("E")
        if fails and (kind == "start" or not path.startswith(("/etc/", "/run/"))):
            return
        self.count += 1
        if self.count == fault.at:
            self.note(f"{_HIT}{kind} {path}")
        if fails:
            self._fail(kind, path, target, fault)
        elif self.count == fault.at:
            if fault.how == "half way":
                half()
            os.kill(os.getpid(), signal.SIGKILL)

    def _fail(self, kind: str, path: str, target: str, fault: Fault) -> None:
        """Raise OSError: an I/O error once; no room and no right to write from here on, on the same file system."""
        system = path.split("/")[1]
        if self.count == fault.at:
            self.broken = system
        lasting = fault.how == "EROFS" or fault.how == "ENOSPC" and kind not in _NO_ROOM_NEEDED
        if system == self.broken and (self.count == fault.at or lasting):
            code = getattr(errno, fault.how)
            names = () if kind in _BY_HANDLE else (target, None, path) if target else (path,)
            raise OSError(code, os.strerror(code), *names)

    def _of_path(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            at = os.readlink(f"/proc/self/fd/{options['dir_fd']}") if options.get("dir_fd") is not None else ""
            *target, path = arguments if kind in _NAMING_TWO else arguments[:1]
            self.happens(kind, os.path.join(at, str(path)), target="".join(target))
            return function(*arguments, **options)

        return wrapped

    def _of_handle(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(handle: int, *arguments: Any) -> Any:
            self.happens(kind, os.readlink(f"/proc/self/fd/{handle}"))
            return function(handle, *arguments)

        return wrapped

    def _write(self, function: Callable[..., int]) -> Callable[..., int]:
        def wrapped(handle: int, data: bytes) -> int:
            whole = bytes(data)
            self.happens("write", os.readlink(f"/proc/self/fd/{handle}"), lambda: function(handle, _first_half(whole)))
            return function(handle, data)

        return wrapped

    def _os_open(self, function: Callable[..., int]) -> Callable[..., int]:
        def wrapped(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.happens("open", str(path))
            return function(path, flags, *arguments, **options)

        return wrapped

    def _open(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode[0] not in "wxa" or path == os.devnull:
                return function(path, mode, *arguments, **options)
            name = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else str(path)
            if not isinstance(path, int):
                self.happens("open", name)
            return _File(function(path, mode, *arguments, **options), name, self)

        return wrapped

    def _started(self, function: Callable[..., None]) -> Callable[..., None]:
        def wrapped(process: Any, arguments: Any, *others: Any, **options: Any) -> None:
            self.happens(
                "start", " ".join(map(str, arguments)), lambda: function(process, arguments, *others, **options)
            )
            function(process, arguments, *others, **options)

        return wrapped


class _File:
    """A file that is written: what goes through its buffer is counted as it reaches the disk."""

    def __init__(self, file: Any, name: str, operations: _Operations) -> None:
        self.file, self.name, self.operations = file, name, operations
        self.waiting = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if not self.file.closed:
            self.close()

    def write(self, text: Any) -> int:
        """Keep it, as a buffer does."""
        self.waiting = self.waiting + text if self.waiting else text
        return len(text)

    def flush(self) -> None:
        """Write what was kept."""
        if self.waiting:
            text, self.waiting = self.waiting, ""
            self.operations.happens("write", self.name, lambda: (self.file.write(_first_half(text)), self.file.flush()))
            self.file.write(text)
        self.file.flush()

    def seek(self, position: int) -> int:
        """Write what was kept, and go there."""
        self.flush()
        return int(self.file.seek(position))

    def close(self) -> None:
        """Write what was kept, and close, even where that fails."""
        try:
            self.flush()
        finally:
            self.file.close()


def _first_half(data: Any) -> Any:
    """Return text or bytes up to the end of a line about half way."""
    line_end = b"\n" if isinstance(data, bytes) else "\n"
    return data[: data.rfind(line_end, 0, len(data) // 2) + 1]


# ---- where servers come from

# The first variable of where servers come from.
ROOM = "HPC_PORTS_ROOM=".ljust(150, ".")


def _give_servers(requests: socket.socket) -> None:
    """Fork a server for each request; a request names the host by the process that holds it, and brings the socket."""
    for name in ("firewall", "firewall_confirm", "firewall_cut", "verify_judge"):
        _module(name)
    for name in ("_probe.listener", "_probe.prober"):
        importlib.import_module(f"{_UTILS}.{name}")
    message, handles = socket.recv_fds(requests, 4096, 1)[:2]
    while message:
        if not os.fork():
            requests.close()
            for handle in (0, 1):
                os.dup2(handles[0], handle)
            os.close(handles[0])
            _enter(int(message))
            _serve()
            os._exit(0)
        os.close(handles[0])
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        message, handles = socket.recv_fds(requests, 4096, 1)[:2]
    # A test that failed may have left some.
    for pid in _children():
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def _enter(pid: int) -> None:
    """Have this process in the network and the mount namespace of another."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as network, open(f"/proc/{pid}/ns/mnt", "rb") as mounts:
        for file in (network, mounts):
            if libc.setns(file.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    if sys.argv[1:]:
        # A module would take it for its arguments.
        _give_servers(socket.socket(fileno=int(sys.argv.pop())))
    else:
        _serve()
