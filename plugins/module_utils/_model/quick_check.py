# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check: a shell script tells whether a host is as the last run found it that had nothing to change.

A host keeps a record of this run: the key of what was wanted, a digest of all that the module reads, and its result. If
the script finds the same key and the same digest, it prints the result, and the module need not run. Whatever is
missing, fails or differs has the module run, which alone decides what to change.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import marked_result
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER, PUBLISHED_SERVICE, SERVICE, SETTINGS
from ansible_collections.hpc.ports.plugins.module_utils._model.one_line import one_line

# Lines: the key, the digest, the result as JSON, then the paths of more files that the module reads.
RECORD = FOLDER + "/unchanged"
_MARK = "hpc.ports unchanged: "
_FOLDERS = (
    SETTINGS,
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/firewalld",
    "/usr/lib/firewalld",
)
_KERNEL_FILES = (
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/ip_local_reserved_ports",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
    "/proc/net/ip_tables_names",
    "/proc/net/ip6_tables_names",
)
_UNITS = (SERVICE, PUBLISHED_SERVICE, "hpc-ports-watch.service", "firewalld.service")
# Prints what the module depends on; standard input has the lines of a record. The handle of a rule shows that it was
# replaced by one that nft prints in the same way, such as a match of iptables. Lifetimes of addresses and timers of
# bridges run on. A missing tool or a command that fails makes the digest another one each time. Files are listed twice:
# links as links, and what they lead to. A running watch has locked its file.
_LOOK = r"""
PATH="$PATH:/usr/sbin:/sbin:/usr/bin:/bin" LC_ALL=C
export PATH LC_ALL
look() {
  files=
  nft -a -s -p list ruleset && links=$(ip -d addr show) && command -v flock && command -v stat && command -v xargs && {
    files=$(find @FOLDERS@ -printf '%p %l %m %U:%G %i %s %T@ %C@\n'
      find -L @FOLDERS@ -maxdepth 4 -printf '%p %i %s %T@ %C@\n')
  }
  [ -n "$files" ] || { echo failed $$; date +%s%N; }
  printf '%s\n' "$files"
  printf '%s\n' "$links" | sed -E 's/(valid_lft|preferred_lft) [0-9]+sec//g; s/[a-z_]+_timer +[0-9.]+//g'
  cat @FILES@
  if [ -d /run/systemd/system ]; then
    systemctl show --property=Id,LoadState,ActiveState,UnitFileState,InvocationID @UNITS@
  fi
  if [ -d /etc/firewalld ]; then
    busctl --auto-start=no get-property org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \
      org.fedoraproject.FirewallD1 version state
  fi
  [ ! -e @FOLDER@/watch ] || flock -n @FOLDER@/watch true
  echo "watch $?"
  sed 1,3d | xargs -r -d '\n' stat -L -c '%n %a %u:%g %i %s %y %z'
  stat -L -c '%n %i %s %y %z' "$(command -v nft)"
} 2> /dev/null
"""
_DIGEST = "look | sha256sum\n"
_CHECK = r"""
if [ -f @RECORD@ ] && [ ! -e @FOLDER@/armed ] && [ ! -L @FOLDER@/armed ] && [ "$(sed -n 1p @RECORD@)" = @KEY@ ]; then
  now=$(look < @RECORD@ | sha256sum)
  [ "$now" != "$(sed -n 2p @RECORD@)" ] || sed -n '3s/^/@MARK@/p' @RECORD@
fi
"""


def _filled(text: str, key: str = "") -> str:
    values = {
        "FOLDERS": shlex.join(_FOLDERS),
        "FILES": shlex.join(_KERNEL_FILES),
        "UNITS": shlex.join(_UNITS),
        "FOLDER": FOLDER,
        "RECORD": RECORD,
        "MARK": _MARK,
        "KEY": shlex.quote(key),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def digest_script() -> str:
    """Return the shell script that prints the digest of the host; it reads the lines of a record."""
    return _filled(_LOOK + _DIGEST)


def check_script(key: str) -> str:
    """Return the shell command for the controller: it prints the result of the record if nothing has changed."""
    return one_line(_filled(_LOOK + _CHECK, key))


def parse_answer(output: str) -> dict[str, Any] | None:
    """Return the result that the script printed, or None. A login may print lines of its own."""
    result = marked_result(output, _MARK)
    return result if result and result.get("changed") is False else None


def record_lines(key: str, digest: str, result: dict[str, Any], paths: Sequence[str]) -> str:
    """Return the text of a record."""
    return "".join(f"{line}\n" for line in (key, digest, json.dumps(result), *paths))
