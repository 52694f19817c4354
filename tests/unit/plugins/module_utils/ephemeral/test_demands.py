# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conflicts of ephemeral ports with the needs of services, and settings without conflicts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    FEWEST,
    Demand,
    Demands,
    Running,
    Settings,
    any_ports,
    clashes,
    demanded,
    fitting,
    parsed_reserved,
    parsed_running,
    parsed_saved,
    range_text,
    saved_text,
    spans,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from hypothesis import given
from hypothesis import strategies as st

LINUX = parsed_running("32768\t60999\n", "\n")
NONE = Settings(None, None)
LOCKD = demanded("lockd", "32768/tcp")
SRUN = demanded("SrunPortRange", "60001-63000/tcp")
UNPINNED = demanded("srun", "8192-60000/tcp")


def numbers(ranges: Iterable[PortRange]) -> set[int]:
    return set(chain.from_iterable(range(item.first, item.last + 1) for item in ranges))


@pytest.mark.parametrize(
    ("running", "demands", "sentences"),
    [
        (LINUX, Demands(), []),
        (
            LINUX,
            Demands((LOCKD,)),
            [
                "lockd needs 32768, but the kernel may use 32768 as an ephemeral port of any connection "
                "(ip_local_port_range "
                "is 32768-60999). Reserve it in ip_local_reserved_ports."
            ],
        ),
        (LINUX, Demands((demanded("statd", "32765-32766/tcp"),)), []),
        (parsed_running("32768 60999", "32768"), Demands((LOCKD,)), []),
        (
            parsed_running("32768 60999", "60010-60020"),
            Demands((SRUN,)),
            [
                "SrunPortRange needs 60001-63000, but the kernel may use 60001-60009,60021-60999 as an "
                "ephemeral port of any connection (ip_local_port_range is 32768-60999). Reserve it in "
                "ip_local_reserved_ports."
            ],
        ),
        (
            LINUX,
            Demands(within=(UNPINNED,)),
            [
                "srun uses ephemeral ports, of which 8192-60000 is open, but the kernel also assigns 60001-60999 "
                "(ip_local_port_range is 32768-60999). Narrow ip_local_port_range to the open ports."
            ],
        ),
        (parsed_running("32768 60999", "60001-61000"), Demands(within=(UNPINNED,)), []),
        (LINUX, Demands(declared=any_ports(32768, 60999)), []),
        (
            parsed_running("1024 65535", ""),
            Demands(declared=any_ports(32768, 60999)),
            [
                "firewall_ephemeral_ports is 32768-60999, but ip_local_port_range of this host is 1024-65535, so "
                "lint checks the wrong ports. Set firewall_ephemeral_ports of this host to '1024-65535'."
            ],
        ),
    ],
)
def test_clashes(running: Running, demands: Demands, sentences: list[str]) -> None:
    assert clashes(running, demands) == sentences


@pytest.mark.parametrize(
    ("running", "saved", "demands", "result"),
    [
        (LINUX, NONE, Demands(), ("32768-60999", "", "")),
        (LINUX, NONE, Demands((SRUN,)), ("32768-60999", "60001-60999", "ip_local_reserved_ports = 60001-60999")),
        (
            parsed_running("32768 60999", "8080,60500-62000"),
            NONE,
            Demands((SRUN,)),
            ("32768-60999", "8080,60001-62000", "ip_local_reserved_ports = 8080,60001-62000"),
        ),
        (LINUX, NONE, Demands(within=(UNPINNED,)), ("32768-60000", "", "ip_local_port_range = 32768 60000")),
        # Narrowed enough, nothing is to be reserved.
        (LINUX, NONE, Demands((SRUN,), (UNPINNED,)), ("32768-60000", "", "ip_local_port_range = 32768 60000")),
        # Another role came first.
        (
            LINUX,
            Settings(any_ports(32768, 60000), (any_ports(32768, 32768),)),
            Demands((demanded("a", "40000/tcp"),)),
            ("32768-60000", "32768,40000", "ip_local_port_range = 32768 60000 ip_local_reserved_ports = 32768,40000"),
        ),
        # The kernel is as it should be: the file makes it last.
        (
            parsed_running("32768 60999", "32768"),
            NONE,
            Demands((LOCKD,)),
            ("32768-60999", "32768", "ip_local_reserved_ports = 32768"),
        ),
    ],
)
def test_fitting(running: Running, saved: Settings, demands: Demands, result: tuple[str, str, str]) -> None:
    fits, lines = fitting(running, saved, demands)
    text = " ".join(line.replace("net.ipv4.", "") for line in saved_text(lines).splitlines() if line[0] != "#")
    assert (range_text(fits).replace(" ", "-"), spans(fits.reserved), text) == result


@pytest.mark.parametrize(
    ("demands", "message"),
    [
        (
            Demands(within=(demanded("srun", "8192-30000/tcp"),)),
            "ip_local_port_range 32768-60999 has no port of srun (8192-30000). Set ip_local_port_range to ports of "
            "that "
            "range",
        ),
        (
            Demands((demanded("srun", "20000-60000/tcp"),)),
            "ip_local_port_range 32768-60999 without ip_local_reserved_ports 32768-60000 would leave 999 ephemeral "
            "ports, "
            "expected at least 1024. Give services fewer ports, or ports outside of that range",
        ),
    ],
)
def test_demands_that_cannot_be_met(demands: Demands, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        fitting(LINUX, NONE, demands)
    assert str(caught.value) == message


def test_few_ephemeral_ports_are_the_site_s_choice() -> None:
    few = parsed_running("50000 50099", "")
    assert fitting(few, NONE, Demands((LOCKD,))) == (few, NONE)


@pytest.mark.parametrize("ports", ["1/ip", "0/tcp", "a"])
def test_ports_that_are_none(ports: str) -> None:
    with pytest.raises(ValueError, match=f"got '{ports}', expected"):
        demanded("a", ports)


@pytest.mark.parametrize(
    ("text", "ranges"), [("", ""), ("\n", ""), ("8080\n", "8080"), ("32768,32765-32767,1\n", "1,32765-32768")]
)
def test_parsed_reserved(text: str, ranges: str) -> None:
    assert spans(parsed_reserved(text)) == ranges


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1-2-3"])
def test_reserved_ports_that_are_none(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parsed_reserved(f"1,{text}")
    assert str(caught.value) == f"got '{text}' in ip_local_reserved_ports, expected a port or FIRST-LAST"


@pytest.mark.parametrize("text", ["", "32768", "a b", "1 2 3"])
def test_a_range_that_is_none(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parsed_running(text, "")
    assert str(caught.value) == f"got '{text}' for ip_local_port_range, expected two ports"


PORT = st.integers(1, 65535)
RANGES = st.tuples(PORT, st.integers(0, 3000)).map(lambda drawn: any_ports(drawn[0], min(65535, sum(drawn))))
DEMANDS = st.lists(RANGES.map(lambda ports: Demand("it", ports)), max_size=3).map(tuple)
WITHIN = st.tuples(st.integers(1, 30000), st.integers(40000, 65535)).map(
    lambda drawn: (Demand("that", any_ports(*drawn)),)
)
ALL = st.builds(Demands, DEMANDS, st.just(()) | WITHIN, st.none())
RESERVED = st.lists(RANGES, max_size=3).map(lambda ranges: parsed_reserved(spans(ranges)))
RUNNING = st.builds(
    Running,
    st.tuples(st.integers(1024, 32768), st.integers(50000, 65535)).map(lambda drawn: any_ports(*drawn)),
    RESERVED,
)
SAVED = st.builds(Settings, st.none() | st.just(any_ports(20000, 60000)), st.none() | RESERVED)


@given(RUNNING, SAVED, ALL)
def test_what_fits_does_not_clash_and_only_takes_away(running: Running, saved: Settings, demands: Demands) -> None:
    fits, lines = fitting(running, saved, demands)
    assert clashes(fits, demands) == []
    allowed = [running.range, *([saved.range] if saved.range else []), *(demand.ports for demand in demands.within)]
    taken = (*running.reserved, *(saved.reserved or ()), *(demand.ports for demand in demands.reserved))
    free = set.intersection(*(numbers([item]) for item in allowed)) - numbers(taken)
    assert numbers([fits.range]) - numbers(fits.reserved) == free
    assert numbers(running.reserved) | numbers(saved.reserved or ()) <= numbers(fits.reserved)
    assert len(free) >= FEWEST
    assert fitting(fits, lines, demands) == (fits, lines)


@given(SAVED)
def test_a_file_says_what_was_written(saved: Settings) -> None:
    assert parsed_saved(saved_text(saved)) == saved


@given(RUNNING)
def test_the_kernel_reads_what_is_written(running: Running) -> None:
    assert parsed_running(range_text(running), spans(running.reserved)) == running


@given(RUNNING, ALL, ALL)
def test_roles_end_with_the_needs_of_all_whichever_comes_first(running: Running, one: Demands, other: Demands) -> None:
    first = fitting(*fitting(running, NONE, one), other)
    second = fitting(*fitting(running, NONE, other), one)
    both = fitting(running, NONE, Demands(one.reserved + other.reserved, one.within + other.within))[0]
    assert [numbers([fits.range]) - numbers(fits.reserved) for fits in (first[0], second[0])] == [
        numbers([both.range]) - numbers(both.reserved)
    ] * 2
    assert clashes(first[0], one) == clashes(first[0], other) == []
