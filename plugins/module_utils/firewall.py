# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module `firewall` to what it did on the host."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.hpc.ports.plugins.module_utils import nftables
from ansible_collections.hpc.ports.plugins.module_utils.apply import Terms, make_absent, make_present
from ansible_collections.hpc.ports.plugins.module_utils.change import Change
from ansible_collections.hpc.ports.plugins.module_utils.connection import Connection
from ansible_collections.hpc.ports.plugins.module_utils.conntrack import fill_warning
from ansible_collections.hpc.ports.plugins.module_utils.errors import HostError
from ansible_collections.hpc.ports.plugins.module_utils.guard import check_lockout, missing_flow
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy, least_of, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils.rule_loaders import flushing
from ansible_collections.hpc.ports.plugins.module_utils.tools import Tools
from ansible_collections.hpc.ports.plugins.module_utils.transaction import Pending

# Connection plugins that log in through a port of the host; others, such as `local` or `podman`, need no flow.
_THROUGH_A_PORT = ("ssh", "paramiko", "paramiko_ssh", "libssh")
_UNSEEN = ("Cannot tell from where Ansible connects to this host: no process above the module has SSH_CONNECTION. The "
           "policy was not checked against that connection; the host still undoes the change unless it is confirmed.")


class Options(NamedTuple):
    """How to apply a policy; see the module `firewall`."""

    confirm_within: int
    lockout_guard: bool
    cut_established: bool
    transport: str
    token: str
    watch: bool = True
    boot_failure: str = "open"


class Outcome(NamedTuple):
    """What differed, what was done about it, and what the user should know."""

    change: Change
    pending: Optional[Pending] = None
    warnings: Tuple[str, ...] = ()


def ensure_present(name: str, data: Mapping[str, Any], options: Options, check: bool,
                   tools: Tools = Tools()) -> Outcome:
    """Give the host its policy by that backend, or with `check` stop just before.

    Raises OSError, PolicyError, RuntimeError.
    """
    policy = parse_policy(data)
    change = _present_change(name, policy, options, tools)
    if not change.is_needed:
        return Outcome(change, warnings=change.warnings)
    client = _Client.of(options.transport, tools)
    if client.connection and options.lockout_guard:
        check_lockout(policy, client.connection)
    warnings = (*change.warnings, *client.warnings, *filter(None, [fill_warning()]))
    if check:
        return Outcome(change, warnings=warnings)
    with tools.transaction.turn() as waited_for:
        tools.backend(name).recover()
        # What another run has done meanwhile counts.
        change = _present_change(name, policy, options, tools)
        terms = _terms(policy, data, options, client.connection)
        pending = make_present(change, terms, tools) if change.is_needed else None
    return Outcome(change, pending, (*warnings, *_told(waited_for)))


def ensure_absent(check: bool, tools: Tools = Tools()) -> Outcome:
    """Leave the host as it was before us, or with `check` stop just before. Raises OSError, RuntimeError."""
    change = _absent_change(tools)
    if check or not change.is_needed:
        return Outcome(change)
    with tools.transaction.turn() as waited_for:
        # Else the next boot would put back what a crash has left to be put back.
        tools.backend("firewalld").recover()
        change = _absent_change(tools)
        make_absent(change)
    return Outcome(change, warnings=_told(waited_for))


def _present_change(name: str, policy: Policy, options: Options, tools: Tools) -> Change:
    closed = _closed(name, policy, options)
    change = tools.backend(name).present_change(policy, closed)
    change = change._replace(leaving=tools.leaving(name), warnings=(*change.warnings, *flushing(tools.loaders())))
    return tools.watch(change, options.watch, closed)


def _closed(name: str, policy: Policy, options: Options) -> str:
    if options.boot_failure == "open":
        return ""
    if name == "firewalld" and not options.watch:
        raise RuntimeError("firewall_boot_failure is 'closed', and firewall_watch is false: with firewalld it is the watch "
                           "that closes the host. Nothing was changed. Set firewall_watch: true.")
    if not nftables.is_installed():
        raise HostError("Missing program nft, for firewall_boot_failure: closed. Install the package nftables.",
                        ["nftables"])
    return nftables.script_of(nftables.ruleset_of(least_of(policy)))


def _absent_change(tools: Tools) -> Change:
    """Return the change that removes what either backend has of ours."""
    change, other = tools.backend("nftables").absent_change(), tools.leaving("nftables")
    only = other if other and not change.is_needed else change._replace(leaving=other)
    return tools.watch(only, False, "")


class _Client(NamedTuple):
    """Who applies: their ssh connection, if that is how they come."""

    connection: Optional[Connection]
    warnings: Tuple[str, ...]

    @classmethod
    def of(cls, transport: str, tools: Tools) -> _Client:
        """Return what can be told where the task uses that connection plugin."""
        if transport.rpartition(".")[2] not in _THROUGH_A_PORT:
            return cls(None, ())
        connection = tools.connection()
        return cls(connection, () if connection else (_UNSEEN,))


def _terms(policy: Policy, data: Mapping[str, Any], options: Options, connection: Optional[Connection]) -> Terms:
    extra = {"advice": missing_flow(policy, connection) if connection else "",
             "cut": data if options.cut_established else None}
    return Terms(options.token, options.confirm_within, connection, extra)


def _told(waited_for: Optional[Pending]) -> Tuple[str, ...]:
    if waited_for is None:
        return ()
    return ("Another run changed this host{0} and awaited its confirmation: this one waited for it.".format(
        " from " + waited_for.client if waited_for.client else ""),)
