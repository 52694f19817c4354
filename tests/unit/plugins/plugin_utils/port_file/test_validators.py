# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of checks for single values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file import validators as checks
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from netaddr import IPNetwork

RANGE = "expected a port range FIRST-LAST within 1-65535, such as '60001-63000'"


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (checks.mapping_of, {"a": 1}, {"a": 1}),
        (checks.text_of, "a", "a"),
        (checks.boolean_of, False, False),
        (checks.day_of, None, None),
        (checks.day_of, "2027-06-30", date(2027, 6, 30)),
        (checks.day_of, date(2027, 6, 30), date(2027, 6, 30)),
        (checks.day_of, datetime(2027, 6, 30, 12), date(2027, 6, 30)),
        (checks.host_name_of, "activate.example.org", "activate.example.org"),
        (checks.host_name_of, "Node-1", "Node-1"),
        (checks.host_name_of, "node.", "node."),
        (checks.networks_of, ["10.0.0.0/8"], (IPNetwork("10.0.0.0/8"),)),
        (checks.networks_of, [], ()),
        (checks.ports_of, "22/tcp", (PortRange("tcp", 22, 22),)),
        (checks.ports_of, "any/ip", EVERYTHING),
        (checks.range_of, "60001-63000", PortRange("tcp", 60001, 63000)),
    ],
)
def test_good_values(check: Callable[[str, Any], Any], value: Any, expected: Any) -> None:
    result = check("key", value)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (checks.mapping_of, [], "Invalid key: got [], expected a dictionary."),
        (checks.mapping_of, None, "Invalid key: got None, expected a dictionary."),
        (checks.text_of, 5, "Invalid key: got 5, expected a string."),
        (checks.boolean_of, "yes", "Invalid key: got 'yes', expected true or false."),
        (checks.boolean_of, 1, "Invalid key: got 1, expected true or false."),
        (checks.day_of, "soon", "Invalid key: got 'soon', expected a date such as '2027-06-30'."),
        (checks.day_of, "2027-02-30", "Invalid key: got '2027-02-30', expected a date such as '2027-06-30'."),
        (checks.day_of, 2027, "Invalid key: got 2027, expected a date such as '2027-06-30'."),
        (
            checks.host_name_of,
            "-a.example.org",
            "Invalid key: got '-a.example.org', expected a host name such as 'node1.example.org'.",
        ),
        (checks.host_name_of, "a_b", "Invalid key: got 'a_b', expected a host name such as 'node1.example.org'."),
        (
            checks.host_name_of,
            "a; reboot",
            "Invalid key: got 'a; reboot', expected a host name such as 'node1.example.org'.",
        ),
        (checks.host_name_of, "a\n", "Invalid key: got 'a\\n', expected a host name such as 'node1.example.org'."),
        (checks.host_name_of, "a..b", "Invalid key: got 'a..b', expected a host name such as 'node1.example.org'."),
        (checks.host_name_of, "", "Invalid key: got '', expected a host name such as 'node1.example.org'."),
        (
            checks.host_name_of,
            "a" * 64,
            f"Invalid key: got '{'a' * 64}', expected a host name such as 'node1.example.org'.",
        ),
        (
            checks.host_name_of,
            "a." * 127,
            f"Invalid key: got '{'a.' * 127}', expected a host name such as 'node1.example.org'.",
        ),
        (checks.host_name_of, 5, "Invalid key: got 5, expected a host name such as 'node1.example.org'."),
        (checks.networks_of, "10.0.0.0/8", "Invalid key: got '10.0.0.0/8', expected a list of networks."),
        (
            checks.networks_of,
            ["10.0.0.1/8"],
            "Invalid key: got '10.0.0.1/8', expected a network without host bits, such as '10.0.0.0/8'.",
        ),
        (checks.ports_of, "0/tcp", "Invalid key: got '0/tcp', expected ports from 1 to 65535."),
        (checks.range_of, "60001", f"Invalid key: got '60001', {RANGE}."),
        (checks.range_of, "63000-60001", f"Invalid key: got '63000-60001', {RANGE}."),
        (checks.range_of, "0-60001", f"Invalid key: got '0-60001', {RANGE}."),
        (checks.range_of, "1-65536", f"Invalid key: got '1-65536', {RANGE}."),
        (checks.range_of, "1-2/tcp", f"Invalid key: got '1-2/tcp', {RANGE}."),
        (checks.range_of, 60001, f"Invalid key: got 60001, {RANGE}."),
    ],
)
def test_bad_values(check: Callable[[str, Any], Any], value: Any, message: str) -> None:
    with pytest.raises(PortFileError) as error:
        check("key", value)
    assert str(error.value) == message


@pytest.mark.parametrize("value", ["a", {"a": 1}, None])
def test_list_of_needs_a_list(value: Any) -> None:
    with pytest.raises(PortFileError) as error:
        checks.list_of("key", value, "ports")
    assert str(error.value) == f"Invalid key: got {value!r}, expected a list of ports."


def test_list_of_rejects_an_empty_list() -> None:
    with pytest.raises(PortFileError) as error:
        checks.list_of("key", [], "ports")
    assert str(error.value) == "Invalid key: got [], expected a non-empty list of ports."


def test_list_of() -> None:
    assert checks.list_of("key", ("a", 1), "things") == ["a", 1]
    assert checks.list_of("key", [], "things", may_be_empty=True) == []


def test_texts_of() -> None:
    assert checks.texts_of("key", ["a", "b"], "names") == ("a", "b")
    assert checks.texts_of("key", [], "names", may_be_empty=True) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a", 5], "Invalid key: got 5, expected a string."),
        ([], "Invalid key: got [], expected a non-empty list of names."),
    ],
)
def test_texts_of_errors(value: list[Any], message: str) -> None:
    with pytest.raises(PortFileError) as error:
        checks.texts_of("key", value, "names")
    assert str(error.value) == message


def test_choice_of() -> None:
    assert checks.choice_of("key", "open", ("open", "restricted")) == "open"
    with pytest.raises(PortFileError) as error:
        checks.choice_of("key", "restrict", ("", "open", "restricted"))
    assert str(error.value) == (
        "Invalid key: got 'restrict', expected one of open, restricted. Did you mean 'restricted'?"
    )


def test_check_keys_suggests_the_nearest() -> None:
    with pytest.raises(PortFileError) as error:
        checks.check_keys("flow", {"form": []}, ("from", "to"))
    assert str(error.value) == "Invalid key in flow: got 'form', expected one of from, to. Did you mean 'from'?"


def test_check_keys_names_a_missing_key() -> None:
    with pytest.raises(PortFileError) as error:
        checks.check_keys("flow", {"from": []}, ("from", "to"), required=("from", "to"))
    assert str(error.value) == "Invalid flow: got {'from': []}, expected a dictionary with the key 'to'."


@pytest.mark.parametrize("value", ["from", ["from"], 5])
def test_check_keys_needs_a_dictionary(value: Any) -> None:
    with pytest.raises(PortFileError) as error:
        checks.check_keys("flow", value, ("from", "to"))
    assert str(error.value) == f"Invalid flow: got {value!r}, expected a dictionary."
