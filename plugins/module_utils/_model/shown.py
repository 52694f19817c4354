# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Text from a host, made safe to show (docs/ARCHITECTURE.md, section 5, rule 11).

Shown text cannot move the cursor, set a colour, hide characters, reverse the direction of text or start a new line:
such characters are written as their codes, for example `\x1b`, `\u202e` or `\n`. All other text stays the same. Text
that is already shown stays the same, too.

| where the text reaches the screen | what is applied |
| --- | --- |
| modules firewall, firewall_confirm, verify_*, ephemeral_ports: messages and results | `shown`, `shown_data` |
| `diff` of the module firewall (state.py), which keeps its lines | `shown`, for each line |
| results of hosts for verify and explain, when they reach the controller (registered.py) | `shown_start` |
| action plugins verify_verdicts and explain_info: the lines that they show | `shown`, for each line |
| action plugin explain_info: its result | `shown_data` |
| callback quiet: messages of tasks that change nothing | `shown`, for each line |
| words about the changes of hosts (changes.py) | `shown`, for each sentence |
| action plugins firewall and verify_probe: results of their modules, lost connections | `shown_result`, `shown` |
| JUnit XML, which has to parse (junit.py); the HTML page (html.py) | `shown` or `shown_lines`, `shown_data` |

The JSON report needs none of these, because JSON writes such characters as codes. The watch runs alone and writes to
the journal of its host; it has its own rule for names of programs.
"""

from __future__ import annotations

import re
from re import Match
from typing import Any

# How many characters of one text of a host are shown.
MOST = 500
# C0, DEL, C1, soft hyphen, direction marks, zero-width characters, line separators, invisible operators, surrogates,
# byte order mark, annotations, noncharacters, controls of shorthand and music, and tags.
_HIDDEN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff"
    "\\ufeff\\ufff9-\\ufffb\\ufffe\\uffff\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e007f]"
)
_FORMATTED = "formatted_"  # such as a traceback
_BY_LINES = ("diff", "exception", "module_stdout", "module_stderr")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    """Return the text in one line, with a code for each character that is invisible or controls the terminal."""
    return text if text.isprintable() else _HIDDEN.sub(_code, text)


def _code(match: Match[str]) -> str:
    char = match[0]
    number = ord(char)
    form = "\\x{0:02x}" if number < 0x100 else "\\u{0:04x}" if number < 0x10000 else "\\U{0:08x}"
    return _SHORT.get(char) or form.format(number)


def shown_start(text: str, most: int = MOST) -> str:
    """Return the text as `shown`, at most `most` characters; a text that is cut says so."""
    start = shown(text[: most + 1])
    if len(start) <= most:
        return start
    notice = f" (cut: it has {len(text)} characters)"
    return start[: most - len(notice)] + notice


def shown_lines(text: str) -> str:
    """Return a text of several lines, each as `shown`."""
    return "\n".join(map(shown, text.split("\n")))


def shown_data(value: Any) -> Any:
    """Return plain data with all texts as `shown`, keys included; warnings of Ansible are dataclasses."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown_data(key): shown_data(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        members = [shown_data(member) for member in value]
        return tuple(members) if isinstance(value, tuple) else members
    return _shown_dataclass(value) if hasattr(type(value), "__dataclass_fields__") else value


def _shown_dataclass(value: Any) -> Any:
    # It takes 10 ms to import this, a fifth of what the confirmation of a change imports, which shows no dataclass.
    from dataclasses import fields, replace

    names = [field.name for field in fields(value)]
    return replace(
        value,
        **{name: (_by_lines if name.startswith(_FORMATTED) else shown_data)(getattr(value, name)) for name in names},
    )


def shown_result(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module as `shown_data`; the values that Ansible shows line by line keep their lines."""
    return {key: _by_lines(value) if key in _BY_LINES else shown_data(value) for key, value in result.items()}


def _by_lines(value: Any) -> Any:
    if isinstance(value, str):
        return shown_lines(value)
    if isinstance(value, dict):
        return {shown_data(key): _by_lines(member) for key, member in value.items()}
    return [_by_lines(member) for member in value] if isinstance(value, list) else shown_data(value)
