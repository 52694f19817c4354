# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says, made fit to be shown (docs/ARCHITECTURE.md, section 5, rule 11).

Nothing in it moves the cursor, has a colour, is hidden, turns text around or begins a line: what would is written as its
code, such as `\\x1b`, `\\u202e` or `\\n`. All other text stays as it is. What is shown already stays as it is, too.

| where it meets the screen | what is applied |
| --- | --- |
| modules firewall, confirm, listen, probe, judge, ephemeral_ports: warnings, messages and results | `shown`, `plain` |
| `diff` of the module firewall (state.py), whose lines stay lines | `shown`, each line |
| what hosts said to verify and explain, as it comes to the controller (said.py) | `word` |
| action plugins verdicts and explain: the lines that they show | `shown`, each line |
| action plugin explain: its result | `plain` |
| action plugins firewall and verify_probe: what their modules returned, and why a connection ended | `returned`, `shown` |
| JUnit XML, which has to parse (junit.py); the HTML page (page.py) | `shown` or `lines`, `plain` |

The JSON report needs nothing: JSON writes all of these as their codes. The watch runs alone and writes to the journal of
its own host; it has a rule of its own for names of programs.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from re import Match
from typing import Any

# How many characters of one word of a host are shown.
MOST = 500
# C0, DEL, C1, the soft hyphen, marks of direction, zero widths, separators of lines, invisible operators, surrogates,
# the byte order mark, annotations, what is no character, controls of shorthand and music, and tags.
_HIDDEN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff\\ufff9-\\ufffb"
    "\\ufffe\\uffff\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e007f]"
)
_FORMATTED = "formatted_"  # such as a traceback
_BY_LINES = ("diff", "exception", "module_stdout", "module_stderr")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    """Return the text in one line, with the code of each character that is not seen or does something."""
    return text if text.isprintable() else _HIDDEN.sub(_code, text)


def _code(found: Match[str]) -> str:
    char = found[0]
    number = ord(char)
    form = "\\x{0:02x}" if number < 0x100 else "\\u{0:04x}" if number < 0x10000 else "\\U{0:08x}"
    return _SHORT.get(char) or form.format(number)


def word(text: str, most: int = MOST) -> str:
    """Return the text as `shown`, cut to so many characters, which it then says."""
    found = shown(text[: most + 1])
    if len(found) <= most:
        return found
    said = f" (cut: it has {len(text)} characters)"
    return found[: most - len(said)] + said


def lines(text: str) -> str:
    """Return a text of several lines, each as `shown`."""
    return "\n".join(map(shown, text.split("\n")))


def plain(value: Any) -> Any:
    """Return plain data with all its texts as `shown`, keys as well; warnings of Ansible are data too."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        found = [plain(item) for item in value]
        return tuple(found) if isinstance(value, tuple) else found
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{
                name: (_by_lines if name.startswith(_FORMATTED) else plain)(getattr(value, name))
                for name in (field.name for field in fields(value))
            },
        )
    return value


def returned(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module as `plain`; what Ansible shows by lines keeps them."""
    return {key: _by_lines(value) if key in _BY_LINES else plain(value) for key, value in result.items()}


def _by_lines(value: Any) -> Any:
    if isinstance(value, str):
        return lines(value)
    if isinstance(value, dict):
        return {plain(key): _by_lines(item) for key, item in value.items()}
    return [_by_lines(item) for item in value] if isinstance(value, list) else plain(value)
