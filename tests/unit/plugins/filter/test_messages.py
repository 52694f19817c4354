# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of filters about invalid arguments: short, on one line, and without encrypted values."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import LONGEST, Vaulted
from ansible_collections.hpc.ports.tests.support.plays import ROOT

SECRET = "hush"
ITSELF: list[Any] = []
ITSELF.append(ITSELF)
BAD = {
    "vaulted": Vaulted(SECRET),
    "in a list": [Vaulted(SECRET)],
    "ports": {"own": {"ports": [Vaulted(SECRET)]}},
    "itself": ITSELF,
    "long": "x" * 10_000,
    "long ports": {"own": {"ports": ["9" * 10_000]}},
    "control": ["\x1b[31m\n\u202e\ud800"],
    "control ports": {"own": {"ports": ["\x1b[31m\n\u202e\ud800"]}},
}
# Arguments that are valid, so that the filter reaches the invalid one.
GOOD: dict[str, Any] = {"name": "own", "path": "/etc/x", "key": "new", "source": "a", "target": "b", "kinds": "managed"}
LISTENERS = [{"what": "It", "service": "own", "ports": "1/tcp"}]


def every_filter() -> dict[str, Callable[..., Any]]:
    found = {}
    for path in sorted((ROOT / "plugins" / "filter").glob("*.py")):
        module = importlib.import_module(f"ansible_collections.hpc.ports.plugins.filter.{path.stem}")
        found.update(module.FilterModule().filters())
    return found


FILTERS = every_filter()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("bad", BAD)
def test_a_message_about_an_invalid_argument(name: str, bad: str) -> None:
    parameters = [*inspect.signature(FILTERS[name]).parameters]
    for place, wrong in enumerate(parameters):
        values = [
            GOOD.get(parameter, LISTENERS if parameter == "listeners" else {}) for parameter in parameters[:place]
        ]
        said = said_of(FILTERS[name], *values, BAD[bad])
        # The user of the play types the names of hosts, so they may be shown.
        assert (SECRET not in said or name == "named_hosts") and len(said) <= LONGEST, (wrong, said)
        assert said.isprintable(), (wrong, said)


def said_of(function: Callable[..., Any], *arguments: Any) -> str:
    """Return the message of the error, or an empty text."""
    try:
        function(*arguments)
    except AnsibleFilterError as exc:
        return str(exc)
    except (AttributeError, KeyError, TypeError):  # of what only a role writes
        return ""
    return ""


def test_encrypted_ports_are_not_shown_when_another_port_is_used() -> None:
    own = {"own": {"ports": [Vaulted("7001/tcp"), "7002/tcp"]}}
    assert FILTERS["unopened_ports"](LISTENERS, own) == [
        "It is 1/tcp, but service own of the port file is a value from the vault, 7002/tcp."
    ]
    [said] = FILTERS["unopened_ports"](LISTENERS, {"own": {"ports": ["7002/tcp"] * 3000}})
    assert len(said) < LONGEST and said.endswith("and 2980 more.")
