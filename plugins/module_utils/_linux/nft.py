# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask nft: its program, or the library it shares with firewalld. A host with firewalld may not have the program."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable
from typing import Callable, NoReturn

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, find_program, run

# libnftables(3). Protocols are listed by number: their names depend on /etc/protocols.
_STATELESS = 1 << 2
_HANDLES = 1 << 3
_JSON = 1 << 4
_NUMERIC_PROTOCOLS = 1 << 7
_TERSE = 1 << 11
_ATTEMPTS = 10
_FAILED = 3  # the exit code of a child that writes the reason
_ABSENT = "No such file or directory"


class ListingError(RuntimeError):
    """The library is missing or failed; the text has the reason."""


# ---- the program


def is_installed() -> bool:
    """Return whether the host has the program nft."""
    return find_program("nft") is not None


def version(program: Run) -> tuple[int, ...]:
    """Return the version of nft as three numbers; (0,) if it is not known."""
    return version_in(program(["nft", "--version"]))


def version_in(text: str) -> tuple[int, ...]:
    """Return the version in what `nft --version` prints, as `version` does."""
    match = re.search(r"v([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else (0,)


def as_script(lines: Iterable[str]) -> str:
    """Return commands as one script, which nft loads in one transaction."""
    return "".join(line + "\n" for line in lines)


# ---- the library, or the program where there is no library


def ruleset() -> tuple[str, str]:
    """Return all rules twice: the output of `nft -j -p list ruleset`, and that of `nft -a -s -t -p list ruleset`.

    The second has the handles of rules, and no elements of sets. Raises RuntimeError.
    """
    try:
        return library_ruleset()
    except ListingError as exc:
        if not is_installed():
            raise ListingError(f"{exc} Or install the package nftables.") from exc
    return run(["nft", "-j", "-p", "list", "ruleset"]), run(["nft", "-a", "-s", "-t", "-p", "list", "ruleset"])


# ---- the library


def listing(what: str, is_terse: bool = False) -> str:
    """Return what `nft -s -p list` prints for `ruleset` or `table inet firewalld`; empty if there is no such table.

    `is_terse` leaves out the elements of named sets. Raises ListingError.
    """
    text, error = _execute(f"list {what}", _STATELESS | _NUMERIC_PROTOCOLS | (_TERSE if is_terse else 0))
    if error and _ABSENT not in error:
        raise ListingError(f"Cannot list {what}: {error}")
    return "" if error else text


def in_child(work: Callable[[], str]) -> str:
    """Return what `work` returns in a child process; empty if this process dies. Raises ListingError."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _answer(work, writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    status = os.waitpid(child, 0)[1]
    if status == _FAILED << 8:
        raise ListingError(text)
    return "" if status else text


def _answer(work: Callable[[], str], writer: int) -> NoReturn:
    text, code = "", _FAILED
    try:
        text, code = work(), 0
    except ListingError as exc:
        text = str(exc)
    finally:
        with open(writer, "w", encoding="utf-8") as file:
            file.write(text)
        os._exit(code)


def library_ruleset(apart: Callable[[Callable[[], str]], str] = in_child) -> tuple[str, str]:
    """Return what `ruleset` returns. `apart` runs a call that may crash. Raises ListingError."""
    return _whole_json(apart), _listed(_HANDLES | _STATELESS | _TERSE)


def _whole_json(apart: Callable[[Callable[[], str]], str]) -> str:
    """Return the first complete listing.

    nft 1.0.6 prints the flags of a table from freed memory. This memory often has other text, and sometimes bytes that
    cannot be printed: the listing then ends there. Rarely, nft crashes.
    """
    for _attempt in range(_ATTEMPTS):
        text = apart(lambda: _listed(_JSON))
        if text.rstrip().endswith("]}"):
            return text
    raise ListingError("Cannot list the ruleset: the listing ends within a table that has flags.")


def _listed(flags: int) -> str:
    text, error = _execute("list ruleset", _NUMERIC_PROTOCOLS | flags)
    if error:
        raise ListingError(f"Cannot list the ruleset: {error}")
    return text


def execute(commands: str, as_json: bool = False) -> str:
    """Return what nft prints when it runs these commands in one transaction. Raises ListingError."""
    text, error = _execute(commands, _NUMERIC_PROTOCOLS | (_JSON if as_json else 0))
    if error:
        raise ListingError("{!r} failed: {}".format(commands.strip().partition("\n")[0], error))
    return text


def _execute(commands: str, flags: int) -> tuple[str, str]:
    """Return the output and, if the commands failed, the reason."""
    library = _library()
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, flags)
        failed = library.nft_run_cmd_from_buffer(context, commands.encode())
        text: str = library.nft_ctx_get_output_buffer(context).decode("utf-8", "replace")
        error: str = library.nft_ctx_get_error_buffer(context).decode("utf-8", "replace").strip()
    finally:
        library.nft_ctx_free(context)
    return text, (error or "no reason given") if failed else ""


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as exc:
        raise ListingError(
            f"Cannot read the rules of the kernel: {exc}. Install libnftables, which firewalld uses with "
            "FirewallBackend=nftables."
        ) from exc
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in (
        "nft_ctx_free",
        "nft_ctx_buffer_output",
        "nft_ctx_buffer_error",
        "nft_ctx_get_output_buffer",
        "nft_ctx_get_error_buffer",
    ):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library
