# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what Python compiles from archives; every Python of the lab's hosts loads this.

Ansible sends modules as an archive, from which Python compiles anew each time: most of what an execution costs here.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import zipimport
from contextlib import suppress
from types import CodeType

# Every user that logs in may write there.
_KEPT = f"/var/cache/compiled/{sys.implementation.cache_tag}"
_compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def _compiled_once(path: str, source: bytes) -> CodeType:
    kept = f"{_KEPT}-{hashlib.sha256(source).hexdigest()}"
    with suppress(OSError), open(kept, "rb") as file:
        return marshal.load(file)
    code = _compile_source(path, source)
    # A test may have made the disk one that takes nothing.
    with suppress(OSError):
        with open(f"{kept}.{os.getpid()}", "wb") as file:
            marshal.dump(code, file)
        os.rename(file.name, kept)
    return code


zipimport._compile_source = _compiled_once  # type: ignore[attr-defined]
