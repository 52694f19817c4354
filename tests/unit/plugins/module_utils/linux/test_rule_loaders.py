# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of others that load rules, in a folder that stands for the root of a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import (
    RuleLoader,
    early_loaders,
    flush_warnings,
    rule_loaders,
)

# The unit of Debian.
NFTABLES = """\
[Unit]
Wants=network-pre.target
Before=network-pre.target shutdown.target
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=/usr/sbin/nft -f /etc/nftables.conf
ExecStop=/usr/sbin/nft flush ruleset

[Install]
WantedBy=sysinit.target
"""
LATE = "[Unit]\nAfter=network-online.target\n\n[Service]\nExecStart=/usr/sbin/iptables-restore /etc/rules\n"
# Our unit waits for these even if they are not installed yet.
USUAL = early_loaders(())
ETC, USR = "etc/systemd/system", "usr/lib/systemd/system"


class Root:
    """A folder that stands for the root of a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str) -> None:
        """Write a file, and its folders."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def enable(self, name: str, kind: str = "wants") -> None:
        """Link a unit as systemctl does."""
        link = self.folder / ETC / f"sysinit.target.{kind}" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/lib/systemd/system/{name}")

    def loaders(self) -> tuple[RuleLoader, ...]:
        """Return the units that are found."""
        return rule_loaders(str(self.folder))


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_host_without_such_units(root: Root) -> None:
    assert root.loaders() == ()


def test_units_of_debian(root: Root) -> None:
    root.write(f"{USR}/nftables.service", NFTABLES)
    root.write("etc/nftables.conf", "#!/usr/sbin/nft -f\n\nflush ruleset\n")
    found = root.loaders()
    assert found == (RuleLoader("nftables.service", is_early=True, is_enabled=False, flushes="/etc/nftables.conf"),)
    assert flush_warnings(found) == ()
    root.enable("nftables.service")
    assert flush_warnings(root.loaders()) == (
        "nftables.service is enabled, and /etc/nftables.conf has 'flush ruleset': each start or reload of this unit "
        "deletes all rules of the host. Remove this line, or disable the unit.",
    )


@pytest.mark.parametrize("text", ["", "# flush ruleset\n", "flush table inet filter\n"])
def test_commands_that_do_not_flush(root: Root, text: str) -> None:
    root.write(f"{USR}/nftables.service", NFTABLES)
    root.write("etc/nftables.conf", text)
    root.enable("nftables.service")
    assert flush_warnings(root.loaders()) == ()


@pytest.mark.parametrize(
    ("start", "where"),
    [
        ("/usr/sbin/nft flush ruleset", "its ExecStart"),
        ('/bin/sh -c "nft flush ruleset; nft -f /srv/a.nft"', "its ExecStart"),
        ("-/srv/rules.sh --now", "/srv/rules.sh"),
        ("/usr/sbin/nft -f /srv/main.nft", "/srv/parts/b.nft"),
    ],
)
def test_commands_that_flush(root: Root, start: str, where: str) -> None:
    root.write(f"{ETC}/site-rules.service", NFTABLES.replace("/usr/sbin/nft -f /etc/nftables.conf", start))
    root.write("srv/rules.sh", "#!/bin/sh\nset -e\nnft flush ruleset\n")
    root.write("srv/main.nft", 'include "/srv/parts/*.nft"\n')
    root.write("srv/parts/b.nft", "flush ruleset\n")
    root.write("usr/sbin/nft", "\x7fELF\0\nflush ruleset\n")
    root.enable("site-rules.service", "requires")
    [warning] = flush_warnings(root.loaders())
    assert warning.startswith(f"site-rules.service is enabled, and {where} has 'flush ruleset': ")


def test_a_late_unit_is_not_waited_for(root: Root) -> None:
    root.write(f"{USR}/shorewall.service", LATE)
    assert early_loaders(root.loaders()) == USUAL


def test_a_unit_that_waits_for_ours_is_not_waited_for(root: Root) -> None:
    root.write(f"{USR}/nftables.service", NFTABLES)
    root.write(f"{ETC}/nftables.service.d/order.conf", "[Unit]\nAfter=hpc-ports.service\n")
    assert early_loaders(root.loaders()) == tuple(name for name in USUAL if name != "nftables.service")


def test_a_unit_of_the_site_is_recognized_by_its_command(root: Root) -> None:
    root.write(f"{ETC}/site-rules.service", NFTABLES.replace("/etc/nftables.conf", "/srv/rules.nft"))
    root.write("srv/rules.nft", "table inet a {\n}\nflush ruleset; add table inet b\n")
    root.write(f"{ETC}/backup.service", NFTABLES.replace("nft", "tar"))
    root.write(f"{ETC}/hpc-ports.service", NFTABLES)
    for name in ("firewalld", "dbus-org.fedoraproject.FirewallD1"):
        root.write(f"{ETC}/{name}.service", NFTABLES)
    assert [loader.name for loader in root.loaders()] == ["site-rules.service"]
    assert early_loaders(root.loaders()) == tuple(sorted((*USUAL, "site-rules.service")))


def test_a_masked_unit_loads_nothing(root: Root) -> None:
    root.write(f"{USR}/nftables.service", NFTABLES)
    (root.folder / ETC).mkdir(parents=True)
    (root.folder / ETC / "nftables.service").symlink_to("/dev/null")
    assert root.loaders() == ()
