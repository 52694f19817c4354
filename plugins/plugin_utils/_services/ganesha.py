# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set ports in the configuration of NFS-Ganesha, and leave the rest of the file unchanged."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

# Names match in any case. NFS-Ganesha 4.3 takes a second block, of all its files, and silently forgets the first, which
# its source forbids; of an option that is there twice it takes the last.
_BLOCK = "nfs_core_param"
_TOKEN = re.compile(
    r"""(?P<skipped>\s+|\#[^\n]*)|(?P<sign>[{}=;,])
    |(?P<word>"(?:\\.|[^"\\])*"|'[^']*'|[^\s{}=;,\#"']+)|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_INCLUDES = ("%include", "%dir", "%url")
_BY_HAND = "Edit the ports in the file by hand, and set nfs_pin_ports to false"


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def with_ganesha_ports(text: str, ports: Mapping[str, int]) -> str:
    """Return the configuration with these options in its block NFS_CORE_PARAM, which is added if it is missing.

    Raises ValueError for a text that cannot be edited safely.
    """
    tokens = list(_tokens(text))
    opened = [place for place, depth in _opening_braces(tokens) if depth == 0 and _name_before(tokens, place) == _BLOCK]
    if len(opened) > 1:
        raise ValueError(
            f"got {len(opened)} blocks NFS_CORE_PARAM, expected one: NFS-Ganesha uses only the last "
            "one. Merge them into one block"
        )
    if not opened:
        return _with_block(text, tokens, ports)
    values = _values(tokens, opened[0], {name.lower() for name in ports})
    changes = [
        _value_change(values[name.lower()], name, port) for name, port in ports.items() if name.lower() in values
    ]
    missing = {name: port for name, port in ports.items() if name.lower() not in values}
    changes.append(_insertion(text, tokens[opened[0]].end, missing))
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens, without spaces and comments. Raises ValueError for a quote that does not end."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "other":
            line = text.count("\n", 0, match.start()) + 1
            raise ValueError(f"got {match[0]!r} in line {line}, expected a closing quote. {_BY_HAND}")
        if match.lastgroup != "skipped":
            yield _Token(match[0], match.start(), match.end())


def _opening_braces(tokens: list[_Token]) -> Iterator[tuple[int, int]]:
    """Yield the place of each `{` among the tokens, with its depth. Raises ValueError where braces do not match."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.text == "{":
            yield place, depth
        depth += {"{": 1, "}": -1}.get(token.text, 0)
        if depth < 0:
            break
    if depth:
        raise ValueError(f"got braces that do not match, expected a '}}' for each '{{'. {_BY_HAND}")


def _name_before(tokens: list[_Token], place: int) -> str:
    return tokens[place - 1].text.lower() if place else ""


def _with_block(text: str, tokens: list[_Token], ports: Mapping[str, int]) -> str:
    included = [token.text for token in tokens if token.text.lower() in _INCLUDES]
    if included:
        raise ValueError(
            f"got {included[0]} and no block NFS_CORE_PARAM, expected the block in this file: there may "
            "be only one, and an included file may contain it. Set nfs_ganesha_config_path to the file with the "
            "block, or move the block here"
        )
    lines = "".join(f"    {name} = {port};\n" for name, port in ports.items())
    newline = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{newline}NFS_CORE_PARAM {{\n{lines}}}\n"


def _values(tokens: list[_Token], place: int, names: Collection[str]) -> dict[str, list[_Token]]:
    """Return the values, by their names in lower case, of these options in the block that begins at `place`."""
    values: dict[str, list[_Token]] = {}
    for at in _equals_signs(tokens, place):
        name = _name_before(tokens, at)
        if name in values:
            raise ValueError(
                f"got {tokens[at - 1].text} more than once in NFS_CORE_PARAM, expected it once: it is not "
                "clear which one NFS-Ganesha uses. Delete the others"
            )
        if name in names:
            values[name] = _value_tokens(tokens, at)
    return values


def _equals_signs(tokens: list[_Token], place: int) -> Iterator[int]:
    """Yield the place of each `=` of the block that begins at `place`, without nested blocks."""
    depth = 0
    for at in range(place, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[at].text, 0)
        if depth == 0:
            break
        if tokens[at].text == "=" and depth == 1:
            yield at


def _value_tokens(tokens: list[_Token], place: int) -> list[_Token]:
    words = []
    for token in tokens[place + 1 :]:
        if token.text in "{}=":
            raise ValueError(f"got {tokens[place - 1].text} without a ';' after its value, expected one")
        if token.text == ";":
            break
        words.append(token)
    return words


def _value_change(words: list[_Token], name: str, port: int) -> tuple[int, int, str]:
    if len(words) != 1:
        value = " ".join(token.text for token in words)
        raise ValueError(f"got '{value}' for {name} of NFS_CORE_PARAM, expected one number")
    return words[0].start, words[0].end, str(port)


def _insertion(text: str, place: int, ports: Mapping[str, int]) -> tuple[int, int, str]:
    """Return the change that adds options after the `{` that ends at `place`: lines, or more on its own line."""
    line, newline = text[place:].partition("\n")[:2]
    if newline and (not line.strip() or line.lstrip().startswith("#")):
        place += len(line) + 1
        return place, place, "".join(f"    {name} = {port};\n" for name, port in ports.items())
    return place, place, "".join(f" {name} = {port};" for name, port in ports.items())
