# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewalld backend: change our part of firewalld to what a policy needs, by D-Bus calls or by one reload.

Our table beside it (see `published.py`) is a part of every state and of every change.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, NothingMade, Procedure, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import dbus, persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    Config,
    Inside,
    config_of,
    parse_rich_rule,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.daemon import (
    Firewalld,
    check_reload,
    daemon,
    running_table,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import put_back
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.published import (
    change_of_table,
    joined,
    removal_of_table,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.running import named, state_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import (
    elements,
    flow_names,
    flow_views,
    policy_lines,
    wanted_state,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.steps import Runtime, backward, forward
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.records import SINCE
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import ruleset_beside_firewalld
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.views import flow_views as table_views
from ansible_collections.hpc.ports.plugins.module_utils._backends.watch_program import RESTARTED
from ansible_collections.hpc.ports.plugins.module_utils._linux import systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, items_state, naming
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, PUBLISHED_SERVICE
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowViews, State, changed_objects

NAME = "firewalld"
_BOOTED_OPEN = (
    f"{PUBLISHED_SERVICE} has failed: this host could not load its rules for published ports at boot. See: systemctl "
    f"status {PUBLISHED_SERVICE}. After fixing the cause, run: systemctl restart {PUBLISHED_SERVICE}"
)
# Limit of a command's arguments in bytes, with room for the environment; Linux allows 2 MiB.
_LONGEST_COMMAND = 1_500_000
_PHASE = "phase"
# After firewalld was killed, the kernel still has its rules. firewalld starts with the old files, which are in place,
# but does not remove the rules of the killed process: a reload does.
_NO_DAEMON = """\
if ! systemctl is-active --quiet firewalld.service; then
  systemctl is-failed --quiet firewalld.service || exit 0
  systemctl restart firewalld.service && {reload}
  exit
fi""".format(reload=shlex.join(dbus.command("reload")))
# firewalld 0.9 stays in the failed state until it is restarted.
_UNDO_RELOAD = """\
[ ! -e {undo} ] || /bin/sh {undo} || exit 1
{discard}
{no_daemon}
{reload} && [ "$({state})" = 's "RUNNING"' ] || systemctl restart firewalld.service
"""
# The watch leaves this file where it has restarted firewalld, which thereby forgot the calls. To repeat old entries is
# not only needless: right after its start, firewalld 0.9.3 now and then empties a set and does not fill it again.
_UNDO_CALLS = """\
[ ! -e {restarted} ] || exit 0
set -e
{no_daemon}
case "$(cat phase)" in
{phases}esac
"""


class ByReload(NamedTuple):
    """A change by new files and a reload."""

    items: FileContents
    wanted: State
    firewalld: Firewalld

    def check(self) -> None:
        """Raise RuntimeError if a reload would lose or break settings of others."""
        check_reload(self.firewalld)

    def undo(self) -> Undo:
        """Return how the host undoes the change: it restores the old files if necessary, and reloads."""
        paths = self.firewalld.paths
        text = _UNDO_RELOAD.format(
            undo=paths.undo,
            discard=paths.discard(),
            no_daemon=_NO_DAEMON,
            reload=shlex.join(dbus.command("reload")),
            state=shlex.join(dbus.property_command("state")),
        )
        return Undo("/bin/sh ./restore", {"restore": text})

    def make(self, folder: str) -> None:
        """Load the files, and restore the old ones afterwards. Raises CommandError, OSError, RuntimeError."""
        with persistence.in_place(self.items, self.firewalld.paths):
            _load(self.firewalld)
        _check_running(self.wanted, self.firewalld)


def _load(firewalld: Firewalld) -> None:
    """Make firewalld read its files. If somebody deleted its table, a reload would fail, so restart it."""
    if running_table(firewalld):
        firewalld.bus.call("reload")
        return
    firewalld.bus.run(["systemctl", "restart", "firewalld.service"])
    # firewalld answers once it has loaded its files.
    firewalld.bus.properties("state")


class ByCalls(NamedTuple):
    """A change by D-Bus calls, without a reload."""

    old: Runtime
    new: Runtime
    wanted: State
    firewalld: Firewalld

    def check(self) -> None:
        """Do nothing: the calls change only what is ours."""

    def undo(self) -> Undo:
        """Return how the host undoes the change, from any phase."""
        phases = [
            "{})\n{}\n;;\n".format(number, "\n".join(map(shlex.join, commands)))
            for number, commands in enumerate(backward(self.old, self.new))
        ]
        text = _UNDO_CALLS.format(restarted=RESTARTED, no_daemon=_NO_DAEMON, phases="".join(phases))
        return Undo("/bin/sh ./restore", {"restore": text, _PHASE: "0"})

    def make(self, folder: str) -> None:
        """Make the calls, phase by phase. Raises NothingMade, CommandError, OSError, RuntimeError."""
        phases = forward(self.old, self.new)
        for number, commands in enumerate(phases):
            _note_phase(folder, number)
            for place, command in enumerate(commands):
                _run(self.firewalld.bus.run, command, is_first=not place and not any(phases[:number]))
        _check_running(self.wanted, self.firewalld)

    def is_possible(self) -> bool:
        """Return whether every call is short enough for a command line."""
        phases = [*forward(self.old, self.new), *backward(self.old, self.new)]
        return all(sum(len(word) + 9 for word in command) < _LONGEST_COMMAND for phase in phases for command in phase)


def _run(run: Run, command: Sequence[str], is_first: bool) -> None:
    try:
        run(command)
    except CommandError as exc:
        if is_first and "ACCESS_DENIED" in exc.output:
            raise NothingMade(
                f"firewalld lockdown is enabled, and root is not on the allowlist: {exc.output}. Nothing was "
                "changed. Add root (firewall-cmd --add-lockdown-whitelist-uid 0), or disable lockdown (firewall-cmd "
                "--lockdown-off)."
            ) from exc
        raise


def _note_phase(folder: str, number: int) -> None:
    path = os.path.join(folder, _PHASE)
    with naming(path):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(str(number))
        os.replace(path + ".new", path)


def _check_running(wanted: State, firewalld: Firewalld) -> None:
    running = state_of(running_table(firewalld))
    if running != wanted:
        names = changed_objects(running, wanted)
        raise RuntimeError(
            "firewalld accepted the change, but the rules in the kernel differ from the expected ones: {}. The "
            "change was undone. See: "
            "journalctl -u firewalld".format(", ".join(names[:5]))
        )


# ---- the backend

_HERE = Firewalld()


def present_change(policy: Policy, closed: str = "", firewalld: Firewalld = _HERE) -> Change:
    """Return the change that applies this policy. Raises HostError, CommandError, OSError, RuntimeError."""
    service, paths = daemon(firewalld), firewalld.paths
    networks = firewalld.container_networks
    inside = Inside(networks(policy.interfaces_of_containers), networks(policy.container_interfaces))
    config, enforced = (
        config_of(policy._replace(mode=mode), service.abilities, inside) for mode in (policy.mode, "enforce")
    )
    running, wanted = state_of(service.table), wanted_state(config)
    items, files_now = persistence.items_of(config, paths), persistence.present_state(paths)
    names = {**persistence.flow_names(files_now, paths), **flow_names(enforced)}
    ruleset = ruleset_beside_firewalld(policy)
    now = firewalld.published.running()
    table = now, firewalld.published.wanted(ruleset, now)
    procedure = _reload_or_calls(running, wanted, config, items, firewalld) if running != wanted else None
    return _change(
        {**running, **named(table[0])},
        {**wanted, **named(table[1])},
        files_now,
        {**items, **firewalld.published.files(ruleset, paths)},
        (_views(running, table[0], names), _views(wanted, table[1], names)),
        joined(procedure, change_of_table(ruleset, *table)),
        firewalld,
    )


def _views(policies: State, table: State, names: Mapping[str, str]) -> FlowViews:
    """Return the flows of our policies; in observe mode there are none, and our table has all flows."""
    return flow_views(policies, names) if policies or not _observes(table) else table_views(table)


def _observes(table: State) -> bool:
    return f"set {SINCE}" in table


def _change(
    running: State,
    wanted: State,
    present: State,
    items: FileContents,
    views: tuple[FlowViews, FlowViews],
    procedure: Procedure | None,
    firewalld: Firewalld,
) -> Change:
    unit = "file " + firewalld.paths.published.unit
    concerns_unit = systemd.has_systemd() and present.get(unit) != items_state(items).get(unit)
    # The table may have been loaded since then: the watch loads it as soon as it can.
    failed = unit in present and systemd.has_failed(PUBLISHED_SERVICE)
    return Change(
        NAME,
        running,
        wanted,
        present,
        items,
        persistence.places(items, firewalld.paths),
        views,
        procedure,
        concerns_unit,
        warnings=(_BOOTED_OPEN,) if failed and items else (),
        units_to_start=(PUBLISHED_SERVICE,) if failed and items and procedure else (),
        units_to_stop=(PUBLISHED_SERVICE,) if concerns_unit and not items else (),
    )


def _reload_or_calls(
    running: State, wanted: State, config: Config, items: FileContents, firewalld: Firewalld
) -> ByReload | ByCalls:
    return _calls_if_enough(running, wanted, config, firewalld) or ByReload(items, wanted, firewalld)


def _calls_if_enough(running: State, wanted: State, config: Config, firewalld: Firewalld) -> ByCalls | None:
    """Return the change by calls, if nothing is added or removed and firewalld knows the running rules; else None."""
    if set(running) != set(wanted):
        return None
    changed = [name.split(" ")[1] for name in changed_objects(running, wanted)]
    ipsets = [name for name in changed if name in config.ipsets]
    if not all(name.endswith(("a", "b")) for name in ipsets):
        return None
    names = sorted({name[:-1] + copy for name in ipsets for copy in "ab"})
    old = Runtime(
        {name: firewalld.bus.rich_rules(name) for name in config.policies},
        {name: firewalld.bus.read("ipset.getEntries", name) for name in names},
    )
    new = Runtime(
        {name: [rule.text() for rule in policy.rules] for name, policy in config.policies.items()},
        {name: config.ipsets[name].entries for name in names},
    )
    by_calls = ByCalls(old, new, wanted, firewalld)
    return by_calls if _runs(old, running, config) and by_calls.is_possible() else None


def _runs(runtime: Runtime, running: State, config: Config) -> bool:
    """Return whether the kernel has the rules and entries that firewalld reports."""
    return all(
        running["ipset " + name] == elements(name, entries) for name, entries in runtime.entries.items()
    ) and all(_runs_policy(rules, running["policy " + name], config, name) for name, rules in runtime.rules.items())


def _runs_policy(rules: Sequence[str], lines: Sequence[str], config: Config, name: str) -> bool:
    known = list(filter(None, map(parse_rich_rule, rules)))
    if len(known) < len(rules):
        # Somebody added a rule to our policy: it will be removed, so its form in the kernel does not matter.
        return True
    return policy_lines(config.policies[name]._replace(rules=tuple(known))) == lines


class Removal(NamedTuple):
    """A removal by a reload, after our files are removed."""

    firewalld: Firewalld

    def check(self) -> None:
        """Raise RuntimeError if a reload would lose or break settings of others."""
        check_reload(self.firewalld)

    def undo(self) -> Undo:
        """Return an empty undo: a removal needs no confirmation."""
        return Undo(":", {})

    def make(self, folder: str) -> None:
        """Reload firewalld without our files. Raises CommandError, RuntimeError."""
        _load(self.firewalld)
        _check_running({}, self.firewalld)


def absent_change(firewalld: Firewalld = _HERE) -> Change:
    """Return the change that removes our policies, ipsets and table. Raises CommandError, OSError, RuntimeError."""
    runs, paths = firewalld.is_active("firewalld.service"), firewalld.paths
    running = state_of(running_table(firewalld)) if runs else {}
    table = firewalld.published.running()
    present = persistence.present_state(paths)
    views: tuple[FlowViews, FlowViews] = (_views(running, table, persistence.flow_names(present, paths)), {})
    # If somebody has flushed the kernel's rules, firewalld still knows ours.
    removal = Removal(firewalld) if running or runs and present and _is_known(firewalld) else None
    procedure = joined(removal, removal_of_table(table))
    return _change({**running, **named(table)}, {}, present, {}, views, procedure, firewalld)


def _is_known(firewalld: Firewalld) -> bool:
    return any(name.startswith(PREFIX) for name in firewalld.bus.read("policy.getPolicies"))


def recover(firewalld: Firewalld = _HERE) -> None:
    """Restore the old files after a crash during an unconfirmed change. Raises CommandError, OSError."""
    put_back(firewalld.paths)
