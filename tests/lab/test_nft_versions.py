# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend with the nft and the Python of Debian 11, 12 and 13, in network namespaces on hosts of the lab."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest
from ansible_collections.hpc.ports.tests.support.hosts import ROOT, inside
from ansible_collections.hpc.ports.tests.support.run import SEED, scaled, turn

COLLECTION = "ansible_collections/hpc/ports"
# The backend refuses repairs that an old nft cannot do: sets and maps that were recreated with another type.
REFUSED = {"a set of another type", "a set with a time-out", "a map of another type"}


def sources() -> bytes:
    """Return a tar archive of what runs on the host."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for pattern in (
            "plugins/module_utils/**/*.py",
            "tests/kernel/nft_check.py",
            "tests/support/samples.py",
            "tests/unit/golden/*.json",
        ):
            for path in sorted(ROOT.glob(pattern)):
                tar.add(path, f"{COLLECTION}/{path.relative_to(ROOT)}")
    return archive.getvalue()


# Its own turn comes each third day, and another version each time.
@pytest.mark.takes_turns(1)
@pytest.mark.parametrize(
    "host, version, refused",
    turn([("nfs1", "v0.9.8", REFUSED), ("ctl1", "v1.0.6", set()), ("alpha-controller", "v1.1.3", set())], SEED // 3),
)
def test_the_backend_works_with_this_nft(host: str, version: str, refused: set[str]) -> None:
    program = (
        f"folder=$(mktemp -d); trap 'rm -r $folder' EXIT; cd $folder; tar --extract; PYTHONPATH=. "
        f"unshare --net python3 -B {COLLECTION}/tests/kernel/nft_check.py {COLLECTION}/tests/unit/golden"
    )
    done = subprocess.run(
        [*inside(host), "sh", "-ec", program], input=sources(), capture_output=True, timeout=scaled(600), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert (result["version"], result["not_possible"], set(result["refusals"])) == (version, [], refused)
    assert result["transitions"] >= 25 and result["mendings"] >= 30
