# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translations by iptables-nft in the notation of nft. tests/kernel reads them from a real kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError, attribute
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.xt_targets import (
    Targets,
    kernel_targets,
    nft_notation,
    write_out_targets,
)
from hypothesis import given
from hypothesis import strategies as st


def range_of(flags: int, *addresses: str, ports: tuple[int, int] = (0, 0)) -> bytes:
    """The data of a target: nf_nat_range2."""
    packed = [ip_address(address).packed.ljust(16, b"\0") for address in addresses or ("::", "::")]
    return struct.pack("=I16s16s", flags, *packed) + struct.pack("!HHHH", *ports, 0, 0)


def old_range_of(flags: int, *addresses: str, ports: tuple[int, int] = (0, 0), count: int = 1) -> bytes:
    """The data of a target: nf_nat_ipv4_multi_range_compat."""
    packed = [ip_address(address).packed for address in addresses or ("0.0.0.0", "0.0.0.0")]
    return struct.pack("=II4s4s", count, flags, *packed) + struct.pack("!HH", *ports)


ONE, SIX = ("10.0.0.1", "10.0.0.1"), ("fd00::1", "fd00::1")


@pytest.mark.parametrize(
    "family,name,revision,data,text",
    [
        ("ip", "DNAT", 2, range_of(3, *ONE, ports=(80, 80)), "dnat to 10.0.0.1:80"),
        ("ip", "DNAT", 1, range_of(1 | 4 | 8 | 16, *ONE), "dnat to 10.0.0.1"),
        ("ip", "DNAT", 2, range_of(2, ports=(80, 90)), "dnat to :80-90"),
        ("ip", "DNAT", 2, range_of(1, "10.0.0.1", "10.0.0.9"), "dnat to 10.0.0.1-10.0.0.9"),
        ("ip6", "DNAT", 2, range_of(3, *SIX, ports=(80, 80)), "dnat to [fd00::1]:80"),
        ("ip6", "DNAT", 2, range_of(1, *SIX), "dnat to [fd00::1]"),
        ("ip", "DNAT", 0, old_range_of(3, *ONE, ports=(80, 80)), "dnat to 10.0.0.1:80"),
        ("ip", "REDIRECT", 0, old_range_of(2, ports=(22, 22)), "redirect to :22"),
        ("ip", "REDIRECT", 0, old_range_of(0), "redirect"),
        ("ip6", "REDIRECT", 0, range_of(2, ports=(22, 22)), "redirect to :22"),
        # What nft cannot express, and what is not known, gives an empty text.
        ("ip", "DNAT", 2, range_of(1 | 64, *ONE), ""),
        ("ip", "DNAT", 2, range_of(0), ""),
        ("ip", "DNAT", 3, range_of(1, *ONE), ""),
        ("ip6", "REDIRECT", 1, range_of(0), ""),
        ("ip", "REDIRECT", 0, old_range_of(0, count=2), ""),
        ("ip", "SNAT", 2, range_of(1, *ONE), ""),
        ("ip", "DNAT", 2, bytes(20), ""),
    ],
)
def test_targets_in_the_notation_of_nft(family: str, name: str, revision: int, data: bytes, text: str) -> None:
    assert nft_notation(family, name, revision, data) == text


@given(
    st.sampled_from(["ip", "ip6", "inet"]),
    st.sampled_from(["DNAT", "REDIRECT"]),
    st.integers(0, 3),
    st.binary(max_size=60),
)
def test_any_data_gives_a_target_or_an_empty_text(family: str, name: str, revision: int, data: bytes) -> None:
    text = nft_notation(family, name, revision, data)
    assert text == "" or text.startswith(("dnat to ", "redirect"))


# ---- a listing

TO_80 = "dnat to 172.17.0.2:80"
FOUND: Targets = {("ip nat", "5"): TO_80, ("ip6 nat", "6"): "dnat to [fd00::2]:80"}


@pytest.mark.parametrize("shown", [' xt target "DNAT"', " # xt_DNAT", " ", "  "])
def test_targets_are_written_out_by_table_and_handle(shown: str) -> None:
    def listing(first: str, second: str) -> str:
        return (
            "table ip nat { # handle 1\n\tchain DOCKER { # handle 1\n"
            f"\t\ttcp dport 8080 counter{first} # handle 5\n\t\ttcp dport 81 counter{shown} # handle 6\n\t}}\n}}\n"
            f"table ip6 nat {{ # handle 2\n\tchain DOCKER {{ # handle 1\n\t\tcounter{second} # handle 6\n\t}}\n}}\n"
        )

    assert write_out_targets(listing(shown, shown), lambda: FOUND) == listing(f" {TO_80}", " dnat to [fd00::2]:80")


def test_other_rules_are_unchanged_and_the_kernel_is_read_only_if_needed() -> None:
    def refuses() -> Targets:
        raise NetlinkError("Operation not permitted")

    hidden = "table ip nat {\n\t\ttcp dport 22 counter  # handle 5\n}\n"
    assert write_out_targets(hidden, refuses) == hidden
    for rule in (f"counter {TO_80}", "counter accept", 'xt target "MARK"', "counter xt target x"):
        text = f"table ip nat {{\n\t\t{rule} # handle 5\n}}\n"
        assert write_out_targets(text, lambda: FOUND) == text


# ---- the kernel


def test_targets_are_read_by_table_and_handle() -> None:
    def expression(name: bytes, data: bytes) -> bytes:
        return attribute(1, attribute(1, name + b"\0") + attribute(2, data))

    def target(name: bytes, data: bytes) -> bytes:
        return expression(
            b"target", attribute(1, name + b"\0") + attribute(2, struct.pack("!I", 2)) + attribute(3, data)
        )

    rules = [expression(b"counter", b"") + target(b"DNAT", range_of(1, *ONE)), target(b"MARK", b""), b""]

    def asked(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, kind, amount, body) == (12, 0xA07, 0x300, bytes(4))
        for handle, expressions in enumerate(rules, 7):
            yield (
                b"\2\0\0\0"
                + attribute(1, b"nat\0")
                + attribute(3, struct.pack("!Q", handle))
                + attribute(4, expressions)
            )

    assert kernel_targets(asked) == {("ip nat", "7"): "dnat to 10.0.0.1"}
