# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ephemeral ports read and changed in files of a temporary folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    Demands,
    any_ports,
    clashes,
    demanded,
    parsed_running,
)
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.sysctl import SysctlPaths, compared, worded
from ansible_collections.hpc.ports.tests.support.limits import no_writing

LOCKD = Demands((demanded("lockd", "32768/tcp"),))
[LOCKD_CLASH] = clashes(parsed_running("32768 60999", "8080"), LOCKD)
QSUB = Demands(within=(demanded("qsub -I", "32768-60000/tcp"),))
HEADER = (
    "# Written by hpc.ports: ephemeral ports that leave services the ports which the port file says they have.\n"
    "# What others had reserved is among them, as one list replaces another. Other lines here are not kept.\n"
)


@pytest.fixture(name="paths")
def fixture_paths(tmp_path: Path) -> SysctlPaths:
    """Return a host as Linux starts it, but for one port that somebody reserved."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "ip_local_port_range").write_text("32768\t60999\n")
    (proc / "ip_local_reserved_ports").write_text("8080\n")
    return SysctlPaths(str(proc), str(tmp_path / "sysctl.d" / "zz.conf"))


def texts(paths: SysctlPaths) -> tuple[str, str, str]:
    kernel = [Path(paths.proc, f"ip_local_{name}").read_text() for name in ("port_range", "reserved_ports")]
    saved = Path(paths.saved)
    return kernel[0], kernel[1], saved.read_text() if saved.exists() else ""


def test_a_clash_is_told_and_left(paths: SysctlPaths) -> None:
    before = texts(paths)
    result = compared(LOCKD, False, False, paths)
    assert result["diff"]["before"] == result["diff"]["after"]
    del result["diff"]
    assert result == {
        "changed": False,
        "clashes": [LOCKD_CLASH],
        "fixed": [],
        "ephemeral_ports": "32768-60999",
        "reserved_ports": "8080",
    }
    assert texts(paths) == before


def test_check_mode_says_what_the_real_run_does(paths: SysctlPaths) -> None:
    before = texts(paths)
    promised = compared(LOCKD, True, True, paths)
    assert texts(paths) == before
    assert compared(LOCKD, True, False, paths) == promised
    assert (promised["changed"], promised["clashes"], promised["fixed"]) == (True, [], [LOCKD_CLASH])


def test_the_kernel_and_a_file_are_changed(paths: SysctlPaths) -> None:
    result = compared(LOCKD, True, False, paths)
    lines = "net.ipv4.ip_local_reserved_ports = 8080,32768\n"
    assert texts(paths) == ("32768\t60999\n", "8080,32768\n", HEADER + lines)
    assert result["diff"] == {
        "before": "kernel:\nnet.ipv4.ip_local_port_range = 32768 60999\nnet.ipv4.ip_local_reserved_ports = 8080\n",
        "after": f"kernel:\nnet.ipv4.ip_local_port_range = 32768 60999\n{lines}{paths.saved}:\n{HEADER}{lines}",
    }
    assert os.stat(paths.saved).st_mode & 0o7777 == 0o644
    assert os.listdir(os.path.dirname(paths.saved)) == ["zz.conf"]


def test_a_second_run_changes_nothing(paths: SysctlPaths) -> None:
    compared(LOCKD, True, False, paths)
    before = [os.stat(path).st_mtime_ns for path in (paths.saved, f"{paths.proc}/ip_local_reserved_ports")]
    again = compared(LOCKD, True, False, paths)
    assert (again["changed"], again["fixed"], again["clashes"]) == (False, [], [])
    assert again["diff"]["before"] == again["diff"]["after"]
    assert before == [os.stat(path).st_mtime_ns for path in (paths.saved, f"{paths.proc}/ip_local_reserved_ports")]


def test_another_role_keeps_what_the_first_needs(paths: SysctlPaths) -> None:
    compared(LOCKD, True, False, paths)
    compared(QSUB, True, False, paths)
    lines = "net.ipv4.ip_local_port_range = 32768 60000\nnet.ipv4.ip_local_reserved_ports = 8080,32768\n"
    assert texts(paths) == ("32768 60000\n", "8080,32768\n", HEADER + lines)
    assert [compared(demands, True, False, paths)["changed"] for demands in (LOCKD, QSUB)] == [False, False]


def test_what_somebody_undid_is_done_again(paths: SysctlPaths) -> None:
    compared(LOCKD, True, False, paths)
    Path(paths.proc, "ip_local_reserved_ports").write_text("9090\n")
    assert compared(QSUB, True, False, paths)["changed"]
    assert texts(paths)[1] == "8080,9090,32768\n"


def test_nothing_in_the_way_writes_no_file(paths: SysctlPaths) -> None:
    result = compared(
        Demands((demanded("statd", "32765-32766/tcp"),), declared=any_ports(32768, 60999)), True, False, paths
    )
    assert (result["changed"], result["clashes"], texts(paths)[2]) == (False, [], "")


def test_a_file_without_settings_stays(paths: SysctlPaths) -> None:
    os.mkdir(os.path.dirname(paths.saved))
    Path(paths.saved).write_text("# Nothing yet.\n")
    assert not compared(Demands(), True, False, paths)["changed"]
    assert texts(paths)[2] == "# Nothing yet.\n"


def test_a_list_becomes_shorter(paths: SysctlPaths) -> None:
    Path(paths.proc, "ip_local_reserved_ports").write_text("32760-32767,32769-32790\n")
    compared(LOCKD, True, False, paths)
    assert texts(paths)[1] == "32760-32790\n"


def test_a_narrowed_range_is_told_to_lint(paths: SysctlPaths) -> None:
    result = compared(QSUB._replace(declared=any_ports(32768, 60999)), True, False, paths)
    [text] = result["clashes"]
    assert text.startswith("firewall_ephemeral_ports is 32768-60999") and text.endswith("to '32768-60000'.")
    assert len(result["fixed"]) == 1


def test_a_file_that_holds_something_else(paths: SysctlPaths) -> None:
    os.mkdir(os.path.dirname(paths.saved))
    Path(paths.saved).write_text("net.ipv4.ip_local_port_range = all\n")
    with pytest.raises(ValueError) as caught:
        compared(LOCKD, True, False, paths)
    assert str(caught.value) == (
        f"{paths.saved}: got ' all' for ip_local_port_range, expected two ports. Correct the file, or remove it"
    )


def test_a_kernel_that_refuses_leaves_the_file_alone(paths: SysctlPaths) -> None:
    with pytest.raises(OSError) as caught, no_writing():
        compared(LOCKD, True, False, paths)
    assert (caught.value.filename, caught.value.errno) == (f"{paths.proc}/ip_local_reserved_ports", errno.EFBIG)
    assert not os.path.exists(paths.saved)


def test_a_folder_that_cannot_be_written(paths: SysctlPaths) -> None:
    Path(os.path.dirname(paths.saved)).write_text("a file")
    with pytest.raises(OSError) as caught:
        compared(LOCKD, True, False, paths)
    assert worded(caught.value).startswith(f"Cannot change the ephemeral ports: {os.path.dirname(paths.saved)}")


def test_a_proc_that_is_read_only() -> None:
    assert worded(OSError(30, "Read-only file system", "/proc/sys/net/ipv4/ip_local_port_range")) == (
        "Cannot read or write /proc/sys/net/ipv4/ip_local_port_range: Read-only file system. Set become: true. In a "
        "container without a network of its own, or with a read-only /proc/sys, set it when the container is started "
        "(podman run --sysctl net.ipv4.ip_local_port_range=...), or leave fix false."
    )
