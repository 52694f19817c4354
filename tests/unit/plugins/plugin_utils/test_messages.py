# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the plan are readable for any content of the port file and of host variables."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    Vaulted,
    listed,
    printable,
    shown_value,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import (
    check_play,
    site_catalogue,
    site_inventory,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import check_names
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import HOST_DEFAULTS
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, make_resolver
from hypothesis import event, given, settings
from hypothesis import strategies as st

# The maximum number of characters of a message.
LONGEST = 2000
SITE: dict[str, Any] = {
    "firewall_services": {
        "web": {"ports": ["80/tcp", "443/tcp"], "unit": "nginx.service", "title": "Web"},
        "all": {"ports": ["1024-65535/udp"], "broad": True},
    },
    "firewall_endpoints": {"desks": {"groups": ["offices"], "cidrs": ["10.20.0.0/16"], "hostnames": ["a.example.org"]}},
    "firewall_flows": {
        "f": {"from": ["desks"], "to": ["slurm_compute"], "services": ["web", "all"], "need": "recommended"}
    },
    "firewall_clusters": {"alpha": {"cidrs": ["10.30.0.0/16"]}},
    "firewall_srun_ports": "60001-63000",
}
HOST: dict[str, Any] = {
    "firewall_addresses": ["10.30.0.1"],
    "firewall_cluster": "alpha",
    "ansible_port": 22,
    "ansible_ssh_common_args": "-J bastion",
}


def nested(depth: int) -> list[Any]:
    result: list[Any] = []
    for _level in range(depth):
        result = [result]
    return result


def endless() -> dict[str, Any]:
    result: dict[str, Any] = {"ports": ["1/tcp"]}
    result["title"] = [result]
    return result


# From all characters, including surrogates.
NAMES = st.one_of(
    st.text(st.characters(), max_size=8),
    st.sampled_from(["web", "desks", "n1", "slurm_compute", "x" * 3000]),
    st.sampled_from(["a\nb", "\x1b[31m", "a b", "\ud800", "é", "\u202e"]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(pow, st.just(16), st.just(5000)),
    st.floats(),
    st.dates(),
    st.binary(max_size=3),
    NAMES,
    st.builds(Vaulted, NAMES),
    st.sampled_from(
        ["10.0.0.1", "::1", "10.0.0.0/8", f"10.0.0.0/{'1' * 5000}", "1/tcp", "-J " + "y" * 3000, "{{ nope }}"]
    ),
)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=3),
    st.dictionaries(NAMES, LEAVES, max_size=3),
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=6,
    ),
    st.builds(nested, st.sampled_from([30, 1500])),
    st.builds(lambda: ["name"] * 3000),
    st.builds(endless),
)


class HostVars(dict[str, dict[str, Any]]):
    """The part of Ansible's hostvars that the tests need. Templates have no value."""

    def raw_get(self, host: str) -> dict[str, Any]:
        """Return the variables of a host, untemplated."""
        return self[host]


def replaced(draw: st.DrawFn, tree: Any) -> Any:
    """Return a tree with one value replaced or added."""
    if not isinstance(tree, (dict, list)) or not tree or draw(st.integers(0, 4)) == 0:
        return draw(VALUES)
    if isinstance(tree, list):
        place = draw(st.integers(0, len(tree) - 1))
        return [*tree[:place], replaced(draw, tree[place]), *tree[place + 1 :]]
    if draw(st.integers(0, 4)) == 0:
        return {**tree, draw(NAMES): draw(st.one_of(VALUES, st.sampled_from(list(tree.values()))))}
    name = draw(st.sampled_from(list(tree)))
    return {**tree, name: replaced(draw, tree[name])}


@st.composite
def inventories(draw: st.DrawFn) -> dict[str, Any]:
    """Return task variables of an inventory with up to three invalid values."""
    site, host = deepcopy(SITE), deepcopy(HOST)
    names = ["n1", "n2"]
    for what in draw(st.lists(st.sampled_from(["site", "site", "variable", "host", "name"]), max_size=3)):
        if what == "site":
            key = draw(st.sampled_from([*SITE, "firewall_shipped", "firewall_user_ports"]))
            site[key] = replaced(draw, site.get(key))
        elif what == "variable":
            key = draw(st.sampled_from([*HOST_DEFAULTS, "ansible_host", "ansible_connection", *HOST]))
            host[key] = replaced(draw, host.get(key))
        elif what == "name":
            names.append(draw(NAMES))
    hostvars = HostVars(
        {name: {"firewall_addresses": [f"10.30.1.{number}"], **site} for number, name in enumerate(names)}
    )
    hostvars["n1"] = {**site, **host}
    if draw(st.integers(0, 9)) == 0:
        hostvars["n2"] = {**hostvars["n2"], draw(st.sampled_from(list(SITE))): draw(VALUES)}
    groups = {"all": names, "slurm_compute": names, draw(st.one_of(st.just("offices"), NAMES)): ["n1"]}
    return {"groups": groups, "hostvars": hostvars, **hostvars["n1"]}


def messages_of(task_vars: dict[str, Any]) -> list[str]:
    """Return the messages of the plan: one error for bad input, else its warnings."""
    try:
        check_play("n1", {**task_vars, "firewall_mode": task_vars.get("firewall_mode", "enforce")})
        catalogue, inventory = site_catalogue(SHIPPED, task_vars), site_inventory(task_vars)
        plan = compile_plan(catalogue, inventory, make_resolver({"a.example.org": ["192.0.2.9"]}))
    except PortFileError as error:
        event("error")
        text = str(error)
        assert text.startswith("Invalid ") and text[-1] in ".?" and not text.endswith("..."), "an error that is cut"
        return [str(error)]
    event("a plan")
    return [f"{item.subject}: {item.message}" for item in findings(plan, date(2026, 11, 27))]


@settings(max_examples=4 * settings().max_examples)
@given(inventories())
def test_messages_are_printable_and_short(task_vars: dict[str, Any]) -> None:
    for message in messages_of(task_vars):
        assert shown(message) == message
        assert len(message) <= LONGEST


@given(st.one_of(VALUES, st.text(max_size=5000)))
def test_shown_values_are_printable_and_short(value: Any) -> None:
    assert shown_value(value).isprintable() and len(shown_value(value)) < 450


@given(st.lists(st.text(max_size=300), max_size=60))
def test_lists_have_the_first_names_and_how_many_more(names: list[str]) -> None:
    text = listed(names)
    assert len(text) <= 330
    for count in range(1 if names else 0, len(names) + 1):
        more = f" and {len(names) - count} more" if count < len(names) else ""
        if text == ", ".join(names[:count]) + more:
            return
    raise AssertionError(text)


def test_a_list_that_is_cut_says_so() -> None:
    assert (
        listed([f"n{number}" for number in range(57)])
        == f"{', '.join(f'n{number}' for number in range(20))} and 37 more"
    )


@given(st.text(st.characters(), max_size=40))
def test_printable_texts_are_unchanged(text: str) -> None:
    assert shown(printable(text)) == printable(text)
    assert printable(printable(text)) == printable(text)
    assert not text.isprintable() or printable(text) == text


def test_cut_texts_end_in_dots() -> None:
    assert printable("abcdef", 5) == "ab..."
    assert shown_value("a" * 500) == f"'{'a' * 399}... and 102 more characters"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"all": ["a\nb"]},
            "Invalid name of a host in the inventory: got 'a\\nb', expected 1 to 253 printable characters.",
        ),
        (
            {"all": ["\ud800"]},
            "Invalid name of a host in the inventory: got '\\ud800', expected a string without control characters.",
        ),
        (
            {"a\x1b": []},
            "Invalid name of a group in the inventory: got 'a\\x1b', expected a string without control characters.",
        ),
        (
            {"all": ["a" * 254]},
            f"Invalid name of a host in the inventory: got '{'a' * 254}', expected 1 to 253 printable characters.",
        ),
    ],
)
def test_names_of_hosts_and_groups(groups: dict[str, list[str]], message: str) -> None:
    with pytest.raises(PortFileError) as error:
        check_names(groups)
    assert str(error.value) == message
