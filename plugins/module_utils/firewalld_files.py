# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of our policies and ipsets, which firewalld loads when it starts and when it reloads.

A reload is the only way to a new ipset or policy, and it needs the files in their places, long before the change is
confirmed. So they are there only while firewalld reads them. Should the power go just then, or while files that were
confirmed come one by one, a unit puts all old files back before firewalld starts.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
from contextlib import contextmanager, suppress
from typing import Dict, Iterable, Iterator, List, Sequence
from xml.sax.saxutils import quoteattr

from ansible_collections.hpc.ports.plugins.module_utils import files
from ansible_collections.hpc.ports.plugins.module_utils.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils.files import Item, Items, Places
from ansible_collections.hpc.ports.plugins.module_utils.firewalld import (
    PREFIX,
    PRIORITY,
    Config,
    FirewalldPolicy,
    IPSet,
    RichRule,
)
from ansible_collections.hpc.ports.plugins.module_utils.firewalld_state import rule_line
from ansible_collections.hpc.ports.plugins.module_utils.state import State

POLICIES = "/etc/firewalld/policies"
IPSETS = "/etc/firewalld/ipsets"
_HOME = "/etc/hpc-ports"
_KEPT = _HOME + "/undo"
# Puts the old files back, and removes itself.
UNDO = _KEPT + "/run"
_UNIT = "/etc/systemd/system/hpc-ports-undo.service"
_LINK = "/etc/systemd/system/sysinit.target.wants/hpc-ports-undo.service"
# Removes what is kept; the script goes first: without it, what else is left is nothing to be put back.
DISCARD = "rm -f {0} {1} {2}; rm -rf {3}; rmdir {4} 2> /dev/null || :".format(UNDO, _LINK, _UNIT, _KEPT, _HOME)
_HEAD = ('<?xml version="1.0" encoding="utf-8"?>\n'
         "<!-- Written by the Ansible collection hpc.ports; changes here are undone by its next run. -->\n")
_SHORT = re.compile("  <short>(.*)</short>")
_COMMENT = re.compile("  <!-- ([a-z0-9_]+): (.*) -->")
_UNIT_TEXT = """\
# Written by the Ansible collection hpc.ports while firewalld reads files that nobody has confirmed yet.
[Unit]
Description=Put back the confirmed files of firewalld
DefaultDependencies=no
Wants=network-pre.target
Before=firewalld.service network-pre.target shutdown.target
Conflicts=shutdown.target
RequiresMountsFor={home}
ConditionPathExists={undo}

[Service]
Type=oneshot
ExecStart=/bin/sh {undo}
"""


def items_of(config: Config) -> Items:
    """Return the files of a config, in the order in which they must come: no policy before its ipsets."""
    items = {"{0}/{1}.xml".format(IPSETS, name): Item(ipset_xml(ipset)) for name, ipset in config.ipsets.items()}
    items.update({"{0}/{1}.xml".format(POLICIES, name): Item(policy_xml(policy))
                  for name, policy in config.policies.items()})
    return items


def present_paths() -> List[str]:
    """Return our files that are there, in the order in which they can go; firewalld keeps old ones as `.old`."""
    return [path for folder in (POLICIES, IPSETS) for form in (PREFIX + "*", "." + PREFIX + "*")
            for path in sorted(glob.glob("{0}/{1}".format(folder, form)))]


def places(items: Items) -> Places:
    """Return where these files come, and what of ours goes."""
    staged = Places(tuple(items)).staged
    gone = tuple(path for path in present_paths() if path not in items and path not in staged)
    return Places(tuple(items), gone=gone)


def present_state() -> State:
    """Return our files, with what a crash left of others."""
    return files.present_state([*present_paths(), *filter(os.path.lexists, (UNDO, _UNIT, _LINK))])


@contextmanager
def in_place(items: Items) -> Iterator[None]:
    """Have these files in their places while the block runs, and the old ones again after it. Raises OSError."""
    _keep(items)
    try:
        for path in items:
            files.unlink(_passing(path))
            files.write(_passing(path), items[path])
            os.replace(_passing(path), path)
        for path in places(items).gone:
            files.unlink(path)
        yield
    except BaseException:
        # The failure that led here says more than another one would; whoever undoes the change tries again.
        with suppress(CommandError, OSError):
            put_back()
        raise
    put_back()


@contextmanager
def all_or_nothing(places: Places) -> Iterator[None]:
    """Have a boot find either all files as before the block or all as after it, whenever the host goes down."""
    _keep(places.paths)
    try:
        yield
    except BaseException:
        with suppress(CommandError, OSError):
            put_back()
        raise
    _discard_kept()


def _keep(paths: Iterable[str]) -> None:
    """Keep what is there, and have it put back should the host go down; `paths` are what comes. Raises OSError."""
    put_back()
    old = {path: _text(path) for path in present_paths() if not os.path.basename(path).startswith(".")}
    for path, text in old.items():
        files.write(_kept_path(path), Item(text))
    files.write(_passing(UNDO), Item(_undo_script(old, list(paths)), mode=0o700))
    os.replace(_passing(UNDO), UNDO)
    if os.path.isdir("/run/systemd/system"):
        files.write(_UNIT, Item(_UNIT_TEXT.format(home=_HOME, undo=UNDO)))
        files.write(_LINK, Item(target=_UNIT))
    files.sync((UNDO, _UNIT, _LINK, *map(_kept_path, old)))


def put_back() -> None:
    """Put back what was kept, if anything was. Raises CommandError, OSError."""
    if not any(map(os.path.lexists, (_KEPT, _UNIT, _LINK))):
        return
    if os.path.exists(UNDO):
        run(["/bin/sh", UNDO])
    _discard_kept()


def _discard_kept() -> None:
    """Remove what is kept; what has a script should be put back before. Raises OSError."""
    for path in (UNDO, _LINK, _UNIT):
        files.unlink(path)
    shutil.rmtree(_KEPT, ignore_errors=True)
    if os.path.isdir(_HOME) and not os.listdir(_HOME):
        os.rmdir(_HOME)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _kept_path(path: str) -> str:
    return "{0}/{1}/{2}".format(_KEPT, *path.split("/")[-2:])


def _passing(path: str) -> str:
    return "{0}/.{1}.now".format(*os.path.split(path))


def _undo_script(old: Iterable[str], new: Sequence[str]) -> str:
    """Return a shell script that can run more than once; what it needs goes last, when all else is on the disk."""
    come = {folder: [_kept_path(path) for path in old if os.path.dirname(path) == folder]
            for folder in (IPSETS, POLICIES)}
    go = [path for path in reversed(new) if path not in old]
    lines = ["#!/bin/sh", "# Put back the files of firewalld that were confirmed last.", "set -e"]
    lines += ["cp -f {0} {1}/".format(shlex.join(paths), folder) for folder, paths in come.items() if paths]
    lines.append("rm -f {0}".format(shlex.join([*go, *map(_passing, new)])))
    lines += ["sync -f {0} || sync".format(POLICIES), "rm -f {0} {1}".format(_LINK, _UNIT), "rm -rf {0}".format(_KEPT),
              "rmdir {0} 2> /dev/null || :".format(_HOME)]
    return "".join(line + "\n" for line in lines)


# ---- the files' text

def ipset_xml(ipset: IPSet) -> str:
    """Return the file of an ipset; `short` names the flow."""
    return "".join([
        _HEAD, "<ipset type={0}>\n".format(quoteattr(ipset.kind)),
        "  <short>{0}</short>\n".format(ipset.flow) if ipset.flow else "",
        '  <option name="family" value="inet6"/>\n' if ipset.version == 6 else "",
        *("  <entry>{0}</entry>\n".format(entry) for entry in ipset.entries), "</ipset>\n"])


def policy_xml(policy: FirewalldPolicy) -> str:
    """Return the file of a policy; a comment names the flow of a rule that looks up no ipset."""
    head = '<policy priority="{0}" target="{1}">\n  <ingress-zone name="{2}"/>\n  <egress-zone name="{3}"/>\n'
    return "".join([_HEAD, head.format(PRIORITY, policy.target, policy.ingress_zone, policy.egress_zone),
                    *(_comment(rule) + rule.xml() for rule in policy.rules), "</policy>\n"])


def _comment(rule: RichRule) -> str:
    has_ipset = "ipset" in (*rule.source[:1], *rule.destination[:1])
    return "" if has_ipset or not rule.flow else "  <!-- {0}: {1} -->\n".format(rule.flow, rule_line(rule))


def flow_names(found: State) -> Dict[str, str]:
    """Return which flow an ipset, or a line of a policy, belongs to: as files that were read say, see above."""
    result = {}
    for name, lines in found.items():
        if name.startswith("file {0}/{1}".format(IPSETS, PREFIX)):
            shorts = [match[1] for match in map(_SHORT.fullmatch, lines) if match]
            result.update({os.path.basename(name)[:-len(".xml")]: flow for flow in shorts})
        elif name.startswith("file {0}/{1}".format(POLICIES, PREFIX)):
            result.update({match[2]: match[1] for match in map(_COMMENT.fullmatch, lines) if match})
    return result
