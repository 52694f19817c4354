# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jump hosts that arguments of ssh name: `-J`, ProxyJump, a ProxyCommand that runs ssh (ssh(1), ssh_config(5))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import shown_value

SSH_PORT = 22
# Options of ssh that have a value.
_WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw"
_KEYWORDS = {"J": "proxyjump", "p": "port"}
_SETTING = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)", re.DOTALL)
# `user@host:port`, also with ssh:// before it; an IPv6 address has a port only in brackets.
_HOP = re.compile(
    r"(?:ssh://)?(?:.*@)?(?:\[(?P<bracketed>[^][]+)\]|(?P<name>[^][:]+)|(?P<bare>[^][:]*(?::[^][:]*){2,}))"
    r"(?::(?P<port>[0-9]+))?/?"
)


class Hop(NamedTuple):
    """A host that ssh goes through, as it is written, and the port of its sshd."""

    host: str
    port: int = SSH_PORT


def hops_of(texts: Iterable[str]) -> tuple[Hop, ...]:
    """Return the hosts that ssh goes through with these arguments, in its order. Raises ValueError."""
    return _hops(_settings(_read([word for text in texts for word in shlex.split(text)])[0]))


def port_in(text: str) -> str:
    """Return the port that arguments of ssh name; empty where they name none. Raises ValueError."""
    return _settings(_read(shlex.split(text))[0]).get("port", "")


def port_of(value: object) -> int:
    """Return the number of a port. Raises ValueError."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) < 65536):
        raise ValueError(f"got {shown_value(value)}, expected a port from 1 to 65535")
    return int(text)


def _read(words: list[str]) -> tuple[list[tuple[str, str]], str]:
    """Return options with their values, and the destination; ssh takes options behind that, too."""
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
    """Yield the options of one word, such as `-qJ`, whose value may be the next one in `left`."""
    for place, letter in enumerate(word[1:], 2):
        if letter in _WITH_VALUE:
            yield letter, word[place:] or (left.pop(0) if left else "")
            return
        yield letter, ""


def _settings(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the values by keyword in lower case; ssh takes the first one of each."""
    result: dict[str, str] = {}
    for letter, value in options:
        setting = _SETTING.fullmatch(value) if letter == "o" else None
        keyword = setting[1].lower() if setting else _KEYWORDS.get(letter, "")
        if keyword:
            result.setdefault(keyword, setting[2] if setting else value)
    return result


def _hops(settings: Mapping[str, str]) -> tuple[Hop, ...]:
    """ProxyJump and ProxyCommand compete: ssh takes the one that comes first."""
    keyword = next((name for name in settings if name in ("proxyjump", "proxycommand")), "")
    value = settings.get(keyword, "none")
    if value.strip().lower() == "none":
        return ()
    if keyword == "proxyjump":
        return tuple(map(_hop, value.split(",")))
    return _hops_of_command(shlex.split(value))


def _hops_of_command(words: list[str]) -> tuple[Hop, ...]:
    """Return where a ProxyCommand goes: nowhere that is known, unless it or its shell runs ssh."""
    names = [PurePath(word).name for word in words]
    if "ssh" not in names:
        inner = (_hops_of_command(shlex.split(word)) for word in words if " " in word)
        return next(filter(None, inner), ())
    options, destination = _read(words[names.index("ssh") + 1 :])
    settings = _settings(options)
    hop = _hop(destination)
    if hop.host in ("%h", "%n"):  # the end of the way: another program whose argument is `ssh`
        return ()
    return (*_hops(settings), hop._replace(port=port_of(settings["port"])) if "port" in settings else hop)


def _hop(text: str) -> Hop:
    found = _HOP.fullmatch(text.strip())
    if not found:
        raise ValueError(f"got {shown_value(text)}, expected a jump host such as 'user@host:port'")
    host = found["bracketed"] or found["name"] or found["bare"]
    return Hop(host, port_of(found["port"] or SSH_PORT))
