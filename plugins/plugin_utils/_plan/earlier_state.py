# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An earlier state of the inventory: its files in a folder or at a git ref, and the variables that Ansible reads there.

The files of a ref are written to a temporary folder. Neither the working tree nor the index of the repository changes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid, printable

KEY = "from"
_EXPECTED = "a git ref, such as main or HEAD~1, or a folder with a copy of the inventory"
_FETCH = (
    "If the clone is shallow, as in CI, fetch the ref first, for example with git fetch --depth=1 origin main:main."
)
# Git sets these for hooks. They would win over the folder of the inventory.
_GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class EarlierState(NamedTuple):
    """Where an earlier state is: `root` is the counterpart of `present_root`; `sources` are those of its inventory.

    `unchanged` are sources of the inventory that the state does not have, such as a script outside the repository.
    """

    title: str
    sources: list[str]
    present_root: Path
    root: Path
    unchanged: list[str]

    def counterpart(self, folder: str) -> str:
        """Return the folder of this state that stands for a present folder; the same one if the state has none."""
        there = _moved(_resolved(Path(folder)), self.present_root, self.root)
        return str(there) if there and there.is_dir() else folder


@contextmanager
def earlier_state(text: str, sources: Sequence[str], scratch: str) -> Iterator[EarlierState]:
    """Find the state that `text` names, for the sources of the present inventory. Raises PortFileError.

    Temporary files are in the folder `scratch`, and are removed at the end of the block.
    """
    paths = [_resolved(Path(source)) for source in sources if _is_path(source)]
    if not text or text.startswith("-"):
        raise invalid(KEY, text, _EXPECTED, "Write, for example, -e from=main.")
    if not paths:
        raise invalid("inventory", list(sources), "a file or a folder, which the earlier state has as well")
    repository = _repository(paths)
    commit = _commit(repository, text) if repository else ""
    is_folder = Path(text).is_dir()
    if is_folder and commit and "/" not in text:
        raise invalid(KEY, text, _EXPECTED, f"It is both: write ./{text} for the folder, or heads/{text} for a branch.")
    if is_folder:
        yield _in_folder(text, sources)
        return
    if not repository:
        raise invalid(KEY, text, "an existing folder", f"The inventory {paths[0]} is in no git repository.")
    if not commit:
        raise invalid(KEY, text, f"an existing folder, or a ref of the git repository {repository}", _FETCH)
    with TemporaryDirectory(prefix="hpc-ports-", dir=scratch) as folder:
        _write_files(repository, commit, Path(folder))
        yield _at_ref(f"{text} ({commit[:10]})", text, sources, (repository, Path(folder)))


def variables_of(state: EarlierState, loader: DataLoader) -> Mapping[str, Any]:
    """Return the `hostvars` and the `groups` of a state as Ansible reads them. Raises PortFileError.

    Secrets of the vault and variables of the command line are those of this run.
    """
    there = copy(loader)  # with the secrets of the vault
    there.set_basedir(state.counterpart(loader.get_basedir()))
    try:
        inventory = InventoryManager(loader=there, sources=state.sources)
        manager = VariableManager(loader=there, inventory=inventory)
        groups = inventory.get_groups_dict()
    except AnsibleError as exc:
        raise PortFileError(f"Cannot read the inventory of {state.title}: {printable(str(exc))}") from None
    if not groups.get("all"):
        raise invalid(KEY, state.title, "a state whose inventory has hosts", f"It has none in {state.sources}.")
    return {"hostvars": HostVars(inventory, manager, there), "groups": groups}


def _is_path(source: str) -> bool:
    """Return whether a source of an inventory is a path, not a list of hosts such as `a,b`."""
    return "," not in source or Path(source).exists()


def _resolved(path: Path) -> Path:
    """Return the path without links, apart from the last part: a repository may have the link itself."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def _moved(path: Path, root: Path, other: Path) -> Path | None:
    return other / path.relative_to(root) if path.is_relative_to(root) else None


# ---- a folder


def _in_folder(text: str, sources: Sequence[str]) -> EarlierState:
    """Return the state in a folder: a copy of the inventory, or of a folder that contains it."""
    folder = Path(text).resolve()
    for source in filter(_is_path, sources):
        path = _resolved(Path(source))
        # The longest end of the path that the folder has; at last, a copy of the folder of the inventory itself.
        for root in (*reversed(path.parents), *([path] if path.is_dir() else [])):
            there = folder / path.relative_to(root)
            if there.is_dir() if path.is_dir() else there.is_file():
                return EarlierState(text, *_sources(sources, root, folder))
    raise invalid(KEY, text, "a folder with a copy of the inventory", f"It has nothing for {', '.join(sources)}.")


def _sources(sources: Sequence[str], root: Path, other: Path) -> tuple[list[str], Path, Path, list[str]]:
    found: list[str] = []
    unchanged: list[str] = []
    for source in sources:
        there = _moved(_resolved(Path(source)), root, other) if _is_path(source) else None
        exists = bool(there and there.exists())
        found.append(str(there) if exists else source)
        unchanged += [source] if _is_path(source) and not exists else []
    return found, root, other, unchanged


# ---- a git ref


def _at_ref(title: str, text: str, sources: Sequence[str], roots: tuple[Path, Path]) -> EarlierState:
    state = EarlierState(title, *_sources(sources, *roots))
    missing = [source for source in state.unchanged if _moved(_resolved(Path(source)), *roots)]
    if missing:
        names = ", ".join(str(_resolved(Path(source)).relative_to(roots[0])) for source in missing)
        raise invalid(KEY, text, f"a commit that has {names}, which -i names", "Choose a later one, or give a folder.")
    return state


def _repository(paths: Sequence[Path]) -> Path | None:
    """Return the folder of the git repository that has the inventory; None if there is none, or no program git."""
    for path in paths:
        done = _git(path if path.is_dir() else path.parent, "rev-parse", "--show-toplevel", check=False)
        if done:
            return Path(done).resolve()
    return None


def _commit(repository: Path, text: str) -> str:
    return _git(repository, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}", check=False)


def _write_files(repository: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit. No hook runs, and the filters of the repository, such as git-crypt, apply."""
    index = str(folder / ".index-of-hpc-ports")
    _git(repository, "read-tree", commit, index=index)
    _git(repository, "checkout-index", "--all", "--quiet", f"--prefix={folder}/", index=index)


def _git(folder: Path, *arguments: str, check: bool = True, index: str = "") -> str:
    """Return what git prints; empty if it fails and `check` is false. Raises PortFileError."""
    variables = {name: value for name, value in os.environ.items() if name not in _GIT_VARIABLES}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**variables, **({"GIT_INDEX_FILE": index} if index else {})},
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as exc:
        if check:
            raise PortFileError(f"Cannot run git: {exc.strerror}. Install it, or give a folder.") from exc
        return ""
    if check and done.returncode:
        raise PortFileError(f"git {arguments[0]} failed in {folder}: {printable(done.stderr.strip())}")
    return done.stdout.strip() if done.returncode == 0 else ""
