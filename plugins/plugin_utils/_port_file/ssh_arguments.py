# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read jump hosts from ssh arguments: `-J`, ProxyJump, or a ProxyCommand that runs ssh (ssh(1), ssh_config(5))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import shown_value

SSH_PORT = 22
# Options of ssh that take a value.
_WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw"
_KEYWORDS = {"J": "proxyjump", "p": "port"}
_SETTING = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)", re.DOTALL)
# `user@host:port`, optionally with ssh:// before it. An IPv6 address needs brackets before a port.
_HOP = re.compile(
    r"(?:ssh://)?(?:.*@)?(?:\[(?P<bracketed>[^][]+)\]|(?P<name>[^][:]+)|(?P<bare>[^][:]*(?::[^][:]*){2,}))"
    r"(?::(?P<port>[0-9]+))?/?"
)


class Hop(NamedTuple):
    """A jump host, as written in the arguments, and the port of its sshd."""

    host: str
    port: int = SSH_PORT


def hops_of(texts: Iterable[str]) -> tuple[Hop, ...]:
    """Return the jump hosts in these arguments, in the order in which ssh connects to them. Raises ValueError."""
    return _hops(_settings(_read([word for text in texts for word in shlex.split(text)])[0]))


def port_in(text: str) -> str:
    """Return the port in ssh arguments, empty if they have no port. Raises ValueError."""
    return _settings(_read(shlex.split(text))[0]).get("port", "")


def port_of(value: object) -> int:
    """Return a port as a number. Raises ValueError."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) < 65536):
        raise ValueError(f"got {shown_value(value)}, expected a port from 1 to 65535")
    return int(text)


def _read(words: list[str]) -> tuple[list[tuple[str, str]], str]:
    """Return the options with their values, and the destination. ssh also accepts options after the destination."""
    options: list[tuple[str, str]] = []
    left, destination = list(words), ""
    while left:
        word = left.pop(0)
        if word.startswith("-") and len(word) > 1:
            options.extend(_options(word, left))
        elif destination:
            break  # the command
        else:
            destination = word
    return options, destination


def _options(word: str, left: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of one word, such as `-qJ`. The value of an option may be the next word in `left`."""
    for place, letter in enumerate(word[1:], 2):
        if letter in _WITH_VALUE:
            yield letter, word[place:] or (left.pop(0) if left else "")
            return
        yield letter, ""


def _settings(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the values by lower-case keyword. ssh uses the first value of each keyword."""
    values: dict[str, str] = {}
    for letter, value in options:
        setting = _SETTING.fullmatch(value) if letter == "o" else None
        keyword = setting[1].lower() if setting else _KEYWORDS.get(letter, "")
        if keyword:
            values.setdefault(keyword, setting[2] if setting else value)
    return values


def _hops(settings: Mapping[str, str]) -> tuple[Hop, ...]:
    """Return the jump hosts of the first ProxyJump or ProxyCommand: ssh ignores the other."""
    keyword = next((name for name in settings if name in ("proxyjump", "proxycommand")), "")
    value = settings.get(keyword, "none")
    if value.strip().lower() == "none":
        return ()
    if keyword == "proxyjump":
        return tuple(map(_hop, value.split(",")))
    return _hops_of_command(shlex.split(value))


def _hops_of_command(words: list[str]) -> tuple[Hop, ...]:
    """Return the jump hosts of a ProxyCommand, which are known only if the command or its shell runs ssh."""
    names = [PurePath(word).name for word in words]
    if "ssh" not in names:
        inner = (_hops_of_command(shlex.split(word)) for word in words if " " in word)
        return next(filter(None, inner), ())
    options, destination = _read(words[names.index("ssh") + 1 :])
    settings = _settings(options)
    hop = _hop(destination)
    if hop.host in ("%h", "%n"):  # the target itself: another program has the argument `ssh`
        return ()
    return (*_hops(settings), hop._replace(port=port_of(settings["port"])) if "port" in settings else hop)


def _hop(text: str) -> Hop:
    match = _HOP.fullmatch(text.strip())
    if not match:
        raise ValueError(f"got {shown_value(text)}, expected a jump host such as 'user@host:port'")
    host = match["bracketed"] or match["name"] or match["bare"]
    return Hop(host, port_of(match["port"] or SSH_PORT))
