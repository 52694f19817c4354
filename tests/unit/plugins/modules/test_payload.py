# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible sends to a host with a module: Python compiles all of it that the module imports, on each run."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import parse_confirmation

ROOT = Path(__file__).parents[4]
# Ansible looks for a collection by its own loader, which is not that of the tests.
_BUILD = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
name = sys.argv[2]
path = f"{sys.argv[1]}/ansible_collections/hpc/ports/plugins/modules/{name}.py"
variables = {"ansible_python_interpreter": "/usr/bin/python3"}
sent = modify_module(
    module_name=f"hpc.ports.{name}", module_path=path, module_args={}, templar=Templar(DataLoader()),
    task_vars=variables, module_compression="ZIP_DEFLATED",
)
sys.stdout.buffer.write(sent[0] if isinstance(sent, tuple) else sent.b_module_data)
"""
# The archive in the program that Ansible sends.
_ARCHIVE = re.compile(rb"[A-Za-z0-9+/=]{1000,}")


def archive_with(name: str) -> bytes:
    """Return the archive that Ansible sends with a module."""
    command = [sys.executable, "-c", _BUILD, str(ROOT / ".collections"), name]
    program = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return base64.b64decode(max(_ARCHIVE.findall(program), key=len))


def sent_with(name: str) -> dict[str, int]:
    """Return the bytes of each file of this collection that Ansible sends with a module."""
    with zipfile.ZipFile(io.BytesIO(archive_with(name))) as files:
        sizes = {info.filename: info.file_size for info in files.infolist()}
    return {name.rpartition("/hpc/ports/plugins/")[2]: size for name, size in sizes.items() if "/hpc/" in name and size}


@pytest.mark.parametrize("name,most_files,most_bytes", [("firewall_confirm", 22, 82_000), ("firewall_cut", 17, 90_000)])
def test_the_modules_that_complete_a_change_are_small(name: str, most_files: int, most_bytes: int) -> None:
    sizes = sent_with(name)
    assert f"modules/{name}.py" in sizes
    assert len(sizes) <= most_files and sum(sizes.values()) <= most_bytes, sizes


def keep_code(folder: Path, before: str = "") -> None:
    """Have `_apply/kept_code.py` keep the archive of the module `firewall`, after the lines `before`."""
    archive = folder / "sent.zip"
    archive.write_bytes(archive_with("firewall"))
    program = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n{before}\n"
        "from ansible_collections.hpc.ports.plugins.module_utils._apply import kept_code\n"
        f"kept_code.keep_code({str(folder)!r}, 'x')\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    archive.unlink()


def test_the_code_that_a_host_keeps_can_confirm_the_change(tmp_path: Path) -> None:
    """The script of `_apply/kept_code.py` finds all that it imports in the archive of the module `firewall`."""
    keep_code(tmp_path)
    done = subprocess.run(["/bin/sh", str(tmp_path / "confirm")], check=True, capture_output=True, text=True)
    # This machine knows no such change, or lets only root ask.
    result = parse_confirmation(done.stdout)
    assert result and (result.get("status") == "unknown" or result["failed"])


def test_a_host_without_room_for_the_code_keeps_none_of_it(tmp_path: Path) -> None:
    keep_code(tmp_path, before="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))")
    assert not list(tmp_path.iterdir())
