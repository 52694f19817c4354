# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of our policies and ipsets, which firewalld loads when it starts and when it reloads, and of our table."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import Config
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import (
    PATHS,
    FirewalldPaths,
    files_of_firewalld,
    is_in_firewalld,
    keep,
    put_back,
    temporary_path,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.xml import ipset_xml, policy_xml
from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents, Places
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

_SHORT = re.compile("  <short>(.*)</short>")
_COMMENT = re.compile("  <!-- ([a-z0-9_]+): (.*) -->")


def items_of(config: Config, paths: FirewalldPaths = PATHS) -> FileContents:
    """Return the files of a config, in the order in which to write them: ipsets before policies."""
    items = {f"{paths.ipsets}/{name}.xml": FileContent(ipset_xml(ipset)) for name, ipset in config.ipsets.items()}
    flows = {name: ipset.flow for name, ipset in config.ipsets.items()}
    items.update(
        {
            f"{paths.policies}/{name}.xml": FileContent(policy_xml(policy, flows))
            for name, policy in config.policies.items()
        }
    )
    return items


def present_paths(paths: FirewalldPaths = PATHS) -> list[str]:
    """Return our files on this host, in the order in which to remove them."""
    published = paths.published.files()
    return [*files_of_firewalld(paths), *filter(os.path.lexists, (*published, *map(files.staged_path, published)))]


def places(items: FileContents, paths: FirewalldPaths = PATHS) -> Places:
    """Return the paths of these files, and our other files, which are to be removed."""
    staged = Places(tuple(items)).staged
    gone = tuple(path for path in present_paths(paths) if path not in items and path not in staged)
    return Places(tuple(items), gone=gone, folders=(os.path.dirname(paths.link), paths.home))


def present_state(paths: FirewalldPaths = PATHS) -> State:
    """Return our files, including temporary files that a crash left."""
    left = filter(os.path.lexists, (paths.undo, paths.unit, paths.link, *sorted(glob.glob(paths.kept + "/*/*"))))
    return files.present_state([*present_paths(paths), *left])


@contextmanager
def in_place(items: FileContents, paths: FirewalldPaths = PATHS) -> Iterator[None]:
    """Put these files in place while the block runs, and restore the old files after it. Raises OSError."""
    keep(items, paths)
    try:
        for path in items:
            files.unlink(temporary_path(path))
            # A crash restores the kept files, so these need not be on the disk.
            files.write(temporary_path(path), items[path], is_lasting=False)
            with files.naming(path):
                os.replace(temporary_path(path), path)
        for path in places(items, paths).gone:
            if is_in_firewalld(path, paths):
                files.unlink(path)
        yield
    except BaseException:
        # The original failure matters more than one in here; undoing the change tries again.
        with suppress(CommandError, OSError):
            put_back(paths)
        raise
    put_back(paths)


# ---- the files' text


def flow_names(present: State, paths: FirewalldPaths = PATHS) -> dict[str, str]:
    """Return the flow of each ipset and of each line of a policy, as written in our files (see `present_state`)."""
    result = {}
    for name, lines in present.items():
        if name.startswith(f"file {paths.ipsets}/{PREFIX}"):
            shorts = [match[1] for match in map(_SHORT.fullmatch, lines) if match]
            result.update({os.path.basename(name)[: -len(".xml")]: flow for flow in shorts})
        elif name.startswith(f"file {paths.policies}/{PREFIX}"):
            result.update({match[2]: match[1] for match in map(_COMMENT.fullmatch, lines) if match})
    return result
