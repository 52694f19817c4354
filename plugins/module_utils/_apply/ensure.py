# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `firewall` does on the host, from its options to its result."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.execute import Terms, make_absent, make_present
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import check_lockout, missing_flow
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.tools import Tools
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
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

# Connection plugins that log in through a port of the host. Others, such as `podman`, need no flow.
_THROUGH_A_PORT = ("ssh", "paramiko", "paramiko_ssh", "libssh")
_UNSEEN = (
    "Cannot determine from which address Ansible connects to this host: no process above the module has "
    "SSH_CONNECTION. The policy was not checked against this connection. The host still undoes the change unless a new "
    "connection confirms it."
)
# The connection plugin with which Ansible runs on the host itself. Its user may have logged in through a port.
_LOCAL = "local"
_UNPROVED = (
    "No new connection confirms this change, because Ansible runs on the host itself (connection local). {0} Keep your "
    "session open until a new connection succeeds."
)
_ALLOWED = "The policy allows {0}, but nothing proves it."
_NO_SSH = (
    "Nothing proves that anybody can log in to this host again: Ansible runs on the host itself (connection local), "
    "and was not started over ssh. Make sure that firewall_endpoints.controllers has the addresses of the "
    "administrators. Keep a session or the console open until a new ssh connection succeeds. If Ansible makes the "
    "change from another host over ssh, the host undoes a change that locks you out after firewall_confirm_within."
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
    """The change, its note if it awaits confirmation, and warnings for the user."""

    change: Change
    pending: Pending | None = None
    warnings: tuple[str, ...] = ()


def ensure_present(
    name: str, data: PolicyData, options: Options, check: bool, tools: Tools = Tools()
) -> FirewallResult:
    """Apply a policy with the backend `name`; with `check`, only return what would change.

    Raises OSError, PolicyError, RuntimeError.
    """
    policy = parse_policy(data)
    change = _present_change(name, policy, options, tools)
    warnings = (*change.warnings, *flush_warnings(tools.loaders()))
    if not change.is_needed:
        return FirewallResult(change, warnings=warnings)
    client = _Client.of(options.transport, tools)
    if client.connection and options.lockout_guard:
        check_lockout(policy, client.connection, client.is_local)
    warnings += tuple(filter(None, [client.warning(policy), fill_warning()]))
    if check:
        change.check()
        return FirewallResult(change, warnings=warnings)
    with tools.transaction.exclusive_change() as waited_for:
        tools.backend(name).recover()
        _look_again(waited_for)
        # Another run may have changed the host meanwhile.
        change = _present_change(name, policy, options, tools)
        change.check()
        terms = _terms(policy, options, client)
        is_first = change.procedure is not None and not change.running
        untracked = tools.track() if is_first else ""
        pending = make_present(change, terms, tools) if change.is_needed else None
        if is_first:
            tools.track()  # those that were opened meanwhile
    return FirewallResult(change, pending, (*warnings, *filter(None, [untracked]), *_waiting_notice(waited_for)))


def ensure_absent(check: bool, tools: Tools = Tools()) -> FirewallResult:
    """Remove all that is ours; with `check`, only return what would change. Raises OSError, RuntimeError."""
    change = _absent_change(tools)
    if check:
        change.check()
    if check or not change.is_needed:
        return FirewallResult(change)
    with tools.transaction.exclusive_change() as waited_for:
        # Otherwise the next boot would restore files that a crash left to be restored.
        tools.backend("firewalld").recover()
        _look_again(waited_for)
        change = _absent_change(tools)
        change.check()
        make_absent(change)
    return FirewallResult(change, warnings=_waiting_notice(waited_for))


def _present_change(name: str, policy: Policy, options: Options, tools: Tools) -> Change:
    closed = _closed_ruleset(name, policy, options)
    change = tools.backend(name).present_change(policy, closed)
    return tools.watch(change._replace(leaving=tools.leaving(name)), options.watch, closed)


def _closed_ruleset(name: str, policy: Policy, options: Options) -> str:
    # With firewalld, observe mode leaves the host as the site has it.
    if options.boot_failure == "open" or (name, policy.mode) == ("firewalld", "observe"):
        return ""
    if name == "firewalld" and not options.watch:
        raise RuntimeError(
            "Invalid firewall_watch: got false, expected true with firewall_boot_failure 'closed', because with "
            "firewalld it is the watch that closes the host. Nothing was changed. Set firewall_watch: true."
        )
    if not nft.is_installed():
        raise HostError(
            "Missing program nft, for firewall_boot_failure: closed. Install the package nftables.", ["nftables"]
        )
    return ruleset.script_of(ruleset.ruleset_of(management_policy(policy)))


def _absent_change(tools: Tools) -> Change:
    """Return the change that removes our rules and files of both backends."""
    change, other = tools.backend("nftables").absent_change(), tools.leaving("nftables")
    only = other if other and not change.is_needed else change._replace(leaving=other)
    return tools.watch(only, False, "")


class _Client(NamedTuple):
    """The ssh connection of the user, if there is one, and whether Ansible itself runs on this host."""

    connection: SshConnection | None
    is_local: bool
    is_unseen: bool

    @classmethod
    def of(cls, transport: str, tools: Tools) -> _Client:
        """Return the client of a task that uses the connection plugin `transport`."""
        name = transport.rpartition(".")[2]
        if name not in (*_THROUGH_A_PORT, _LOCAL):
            return cls(None, False, False)
        connection = tools.connection()
        return cls(connection, name == _LOCAL, connection is None)

    def warning(self, policy: Policy) -> str:
        """Return a warning if no new connection proves the change; empty if one does."""
        if self.is_unseen:
            return _NO_SSH if self.is_local else _UNSEEN
        if self.connection and self.is_local:
            return _UNPROVED.format(self.missing(policy) or _ALLOWED.format(self.connection.client))
        return ""

    def missing(self, policy: Policy) -> str:
        """Return which flow the connection of the user lacks, as a sentence, or empty."""
        return missing_flow(policy, self.connection, self.is_local) if self.connection else ""

    def to_be_confirmed(self) -> SshConnection | None:
        """Return the connection with which the confirming one is compared."""
        return self.connection._replace(client_port=0) if self.connection and self.is_local else self.connection


def _terms(policy: Policy, options: Options, client: _Client) -> Terms:
    return Terms(
        options.token, options.confirm_within, client.to_be_confirmed(), client.missing(policy), options.cut_established
    )


def _look_again(waited_for: Pending | None) -> None:
    if waited_for is not None:
        systemd.ask_again()


def _waiting_notice(waited_for: Pending | None) -> tuple[str, ...]:
    if waited_for is None:
        return ()
    return (
        "Another run changed this host{} and awaited confirmation: this run waited for it.".format(
            " from " + waited_for.client if waited_for.client else ""
        ),
    )
