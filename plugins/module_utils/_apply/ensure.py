# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module `firewall` to what it did on the host."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.execute import Terms, make_absent, make_present
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import check_lockout, missing_flow
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.tools import Tools
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import fill_warning
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import flush_warnings
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    Policy,
    PolicyData,
    management_policy,
    parse_policy,
)

# SshConnection plugins that log in through a port of the host; others, such as `podman`, need no flow.
_THROUGH_A_PORT = ("ssh", "paramiko", "paramiko_ssh", "libssh")
_UNSEEN = (
    "Cannot tell from where Ansible connects to this host: no process above the module has SSH_CONNECTION. The "
    "policy was not checked against that connection; the host still undoes the change unless it is confirmed."
)
# Here Ansible runs on the host itself; whoever started it may have come through a port.
_LOCAL = "local"
_UNPROVED = (
    "No new connection confirms this change, as Ansible runs on the host itself (connection local). {0} Keep "
    "your session open until a new one comes through."
)
_LETS_IN = "The policy lets {0} in, but nothing proves it."
_NOBODY = (
    "Nothing proves that anybody gets back into this host: Ansible runs on it (connection local), with no ssh "
    "connection above it. firewall_endpoints.controllers has to name where administrators come from. Keep a "
    "session or the console open until a new ssh connection comes through. A change that Ansible makes from "
    "another host over ssh is undone after firewall_confirm_within where it locks out."
)


class Options(NamedTuple):
    """How to apply a policy; see the module `firewall`."""

    confirm_within: int
    lockout_guard: bool
    cut_established: bool
    transport: str
    token: str
    watch: bool = True
    boot_failure: str = "open"


class FirewallResult(NamedTuple):
    """What differed, what was done about it, and what the user should know."""

    change: Change
    pending: Pending | None = None
    warnings: tuple[str, ...] = ()


def ensure_present(
    name: str, data: PolicyData, options: Options, check: bool, tools: Tools = Tools()
) -> FirewallResult:
    """Give the host its policy by that backend, or with `check` stop just before.

    Raises OSError, PolicyError, RuntimeError.
    """
    policy = parse_policy(data)
    change = _present_change(name, policy, options, tools)
    if not change.is_needed:
        return FirewallResult(change, warnings=change.warnings)
    client = _Client.of(options.transport, tools)
    if client.connection and options.lockout_guard:
        check_lockout(policy, client.connection, client.is_local)
    warnings = (*change.warnings, *filter(None, [client.warning(policy), fill_warning()]))
    if check:
        return FirewallResult(change, warnings=warnings)
    with tools.transaction.turn() as waited_for:
        tools.backend(name).recover()
        # What another run has done meanwhile counts.
        change = _present_change(name, policy, options, tools)
        terms = _terms(policy, data, options, client)
        pending = make_present(change, terms, tools) if change.is_needed else None
    return FirewallResult(change, pending, (*warnings, *_told(waited_for)))


def ensure_absent(check: bool, tools: Tools = Tools()) -> FirewallResult:
    """Leave the host as it was before us, or with `check` stop just before. Raises OSError, RuntimeError."""
    change = _absent_change(tools)
    if check or not change.is_needed:
        return FirewallResult(change)
    with tools.transaction.turn() as waited_for:
        # Else the next boot would put back what a crash has left to be put back.
        tools.backend("firewalld").recover()
        change = _absent_change(tools)
        make_absent(change)
    return FirewallResult(change, warnings=_told(waited_for))


def _present_change(name: str, policy: Policy, options: Options, tools: Tools) -> Change:
    closed = _closed(name, policy, options)
    change = tools.backend(name).present_change(policy, closed)
    change = change._replace(leaving=tools.leaving(name), warnings=(*change.warnings, *flush_warnings(tools.loaders())))
    return tools.watch(change, options.watch, closed)


def _closed(name: str, policy: Policy, options: Options) -> str:
    if options.boot_failure == "open":
        return ""
    if name == "firewalld" and not options.watch:
        raise RuntimeError(
            "firewall_boot_failure is 'closed', and firewall_watch is false: with firewalld it is the watch "
            "that closes the host. Nothing was changed. Set firewall_watch: true."
        )
    if not nft.is_installed():
        raise HostError(
            "Missing program nft, for firewall_boot_failure: closed. Install the package nftables.", ["nftables"]
        )
    return ruleset.script_of(ruleset.ruleset_of(management_policy(policy)))


def _absent_change(tools: Tools) -> Change:
    """Return the change that removes what either backend has of ours."""
    change, other = tools.backend("nftables").absent_change(), tools.leaving("nftables")
    only = other if other and not change.is_needed else change._replace(leaving=other)
    return tools.watch(only, False, "")


class _Client(NamedTuple):
    """Who applies: their ssh connection, if that is how they come, and whether Ansible itself runs here."""

    connection: SshConnection | None
    is_local: bool
    is_unseen: bool

    @classmethod
    def of(cls, transport: str, tools: Tools) -> _Client:
        """Return what can be told where the task uses that connection plugin."""
        name = transport.rpartition(".")[2]
        if name not in (*_THROUGH_A_PORT, _LOCAL):
            return cls(None, False, False)
        connection = tools.connection()
        return cls(connection, name == _LOCAL, connection is None)

    def warning(self, policy: Policy) -> str:
        """Return what the user should know of how the change is guarded; empty where a new connection proves it."""
        if self.is_unseen:
            return _NOBODY if self.is_local else _UNSEEN
        if self.connection and self.is_local:
            return _UNPROVED.format(self.missing(policy) or _LETS_IN.format(self.connection.client))
        return ""

    def missing(self, policy: Policy) -> str:
        """Return which flow their connection lacks."""
        return missing_flow(policy, self.connection, self.is_local) if self.connection else ""

    def to_be_confirmed(self) -> SshConnection | None:
        """Return their connection as the one that confirms is compared with it."""
        return self.connection._replace(client_port=0) if self.connection and self.is_local else self.connection


def _terms(policy: Policy, data: PolicyData, options: Options, client: _Client) -> Terms:
    return Terms(
        options.token,
        options.confirm_within,
        client.to_be_confirmed(),
        client.missing(policy),
        data if options.cut_established else None,
    )


def _told(waited_for: Pending | None) -> tuple[str, ...]:
    if waited_for is None:
        return ()
    return (
        "Another run changed this host{} and awaited its confirmation: this one waited for it.".format(
            " from " + waited_for.client if waited_for.client else ""
        ),
    )
