# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draft entries of a port file from the rules of other firewall programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Read
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.firewalld import read_firewalld
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import drafted
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.sources import read_rules
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables


class ActionModule(ControllerAction):
    """`hpc.ports.import_info`; documented in plugins/modules/import_info.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
        "files": {"type": "list", "elements": "path", "required": True},
        "interfaces": {"type": "list", "elements": "str", "default": []},
        "to": {"type": "list", "elements": "str", "required": True},
        "draft": {"type": "path", "default": ""},
    }
    VARIABLES = play_variables("import")

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the draft, and the rules that are not in it."""
        catalogue = self.store(options["plan"]).plan().catalogue
        if not options["files"]:
            raise PortFileError("import_files is not set. Write, for example, -e import_files=login1.json.")
        if not options["to"]:
            raise PortFileError("import_to is not set. Write the groups of the host, such as -e import_to=slurm_login.")
        known = [*catalogue.endpoints, *task_vars["groups"]]
        for name in options["to"]:
            if name not in known:
                expected = "a group of the inventory or an endpoint of the port file"
                raise invalid("import_to", name, expected, nearest(name, known))
        reads = {path: _read(path, options["interfaces"]) for path in options["files"]}
        regions = [region for read in reads.values() for region in read.accepted]
        draft = drafted(catalogue, regions, options["to"])
        left = [f"{path}: {line}" for path, read in reads.items() for line in read.left]
        text = "".join([*(f"# Not imported: {shown(line)}\n" for line in left), draft.text()])
        if options["draft"]:
            write_file(options["draft"], text, "import_draft")
        self._display.display(f"\n{text}")
        self.show_written([options["draft"]])
        return {
            "changed": False,
            "services": draft.services,
            "endpoints": draft.endpoints,
            "flows": draft.flows,
            "left": list(map(shown, left)),
        }


def _read(path: str, interfaces: list[str]) -> Read:
    try:
        if Path(path).is_dir():
            return read_firewalld(Path(path), interfaces)
        return read_rules(Path(path).read_text(encoding="utf-8", errors="replace"), interfaces)
    except OSError as exc:
        raise PortFileError(f"Cannot read {path}: {exc.strerror}. Set import_files.") from None
    except (ValueError, ParseError) as exc:
        raise PortFileError(f"Invalid {path}: {exc}.") from None
