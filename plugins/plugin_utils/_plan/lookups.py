# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look up many host names at the same time, with one time limit for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from socket import AF_UNSPEC, SOCK_STREAM, getaddrinfo
from threading import Thread
from time import monotonic
from typing import Any, Union

# Takes a host name and returns its addresses as strings. Raises OSError if the name has none.
Lookup = Callable[[str], Iterable[str]]
# The addresses, or why there are none.
Answer = Union[list[str], Exception]

# So many names are looked up at the same time.
_MOST = 32


def system_lookup(name: str, lookup: Callable[..., Sequence[tuple[Any, ...]]] = getaddrinfo) -> list[str]:
    """Return the IPv4 and IPv6 addresses of a host name from the controller's resolver. Raises OSError."""
    return sorted({str(answer[4][0]).partition("%")[0] for answer in lookup(name, None, AF_UNSPEC, SOCK_STREAM)})


def answers(names: Iterable[str], lookup: Lookup, longest: float) -> dict[str, Answer]:
    """Return the answers that come within so many seconds, by name.

    A lookup cannot be interrupted. The threads are daemons, so that one that hangs does not keep the process.
    """
    waiting, answered = deque(names), SimpleQueue[tuple[str, Answer]]()
    left, found = len(waiting), dict[str, Answer]()
    end = monotonic() + longest
    for _number in range(min(left, _MOST)):
        Thread(target=_look_up, args=(waiting, answered, lookup), daemon=True).start()
    while len(found) < left:
        try:
            name, answer = answered.get(timeout=max(0, end - monotonic()))
        except Empty:
            break
        found[name] = answer
    waiting.clear()
    return found


def _look_up(waiting: deque[str], answered: SimpleQueue[tuple[str, Answer]], lookup: Lookup) -> None:
    while True:
        try:
            name = waiting.popleft()
        except IndexError:  # another thread took the last one
            return
        try:
            answered.put((name, list(lookup(name))))
        except Exception as exc:
            answered.put((name, exc))
