# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nft would list, through the library that nft and firewalld use: a host with firewalld may have no nft."""

from __future__ import annotations

import ctypes

# libnftables(3). Protocols by number: their names depend on /etc/protocols.
_STATELESS = 1 << 2
_NUMERIC_PROTOCOLS = 1 << 7


class ListingError(RuntimeError):
    """The library is not there, or could not list; the text says why."""


def listing(what: str) -> str:
    """Return what `nft -s -p list` prints of `ruleset` or `table inet firewalld`; nothing where there is no such table.

    Raises ListingError.
    """
    library = _library()
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, _STATELESS | _NUMERIC_PROTOCOLS)
        failed = library.nft_run_cmd_from_buffer(context, "list {0}".format(what).encode())
        text: str = library.nft_ctx_get_output_buffer(context).decode("utf-8", "replace")
        error: str = library.nft_ctx_get_error_buffer(context).decode("utf-8", "replace")
    finally:
        library.nft_ctx_free(context)
    if failed and "No such file or directory" not in error:
        raise ListingError("Cannot list {0}: {1}".format(what, error.strip()))
    return "" if failed else text


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as exc:
        raise ListingError("Cannot read the rules of the kernel: {0}. Install libnftables, which firewalld uses with "
                           "FirewallBackend=nftables.".format(exc)) from exc
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_get_output_buffer",
                 "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library
