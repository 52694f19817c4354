# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kernel tracks connections, and how full its table of them is."""

from __future__ import annotations

import contextlib
import socket
from typing import Optional

_FOLDER = "/proc/sys/net/netfilter"
_NEARLY_FULL = 90  # percent
_DISCARD = 9  # a port where nobody listens, and who does throws it away


def is_tracking(folder: str = _FOLDER) -> bool:
    """Tell whether the kernel tracks connections in this network namespace: then it knows of a datagram to ourselves."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", (address, _DISCARD))
    return bool(_number(folder + "/nf_conntrack_count"))


def fill_warning(folder: str = _FOLDER) -> Optional[str]:
    """Return a warning where the table is nearly full; None where it is not, or where nothing is tracked."""
    count, limit = _number(folder + "/nf_conntrack_count"), _number(folder + "/nf_conntrack_max")
    if not count or not limit or count * 100 < limit * _NEARLY_FULL:
        return None
    return ("The connection tracking table of this host is nearly full: nf_conntrack_count is {0}, nf_conntrack_max is "
            "{1} ({2} %). Once it is full, the kernel drops what would open a new connection, whatever the flows allow "
            "(\"nf_conntrack: table full, dropping packet\"). Raise the sysctl net.netfilter.nf_conntrack_max.".format(
                count, limit, count * 100 // limit))


def _number(path: str) -> Optional[int]:
    """Return the number that a file holds; None where there is no such file or number."""
    try:
        with open(path, encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
