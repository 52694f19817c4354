# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewrite the golden rulesets, one for every policy in this folder; then read `git diff`.

Run it as: PYTHONPATH=.collections python tests/unit/golden/regenerate.py
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import ruleset_of, script_of
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy

FOLDER = Path(__file__).parent


def main() -> None:
    """Render every policy."""
    for path in sorted(FOLDER.glob("*.json")):
        policy = parse_policy(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".nft").write_text(script_of(ruleset_of(policy)), encoding="utf-8")


if __name__ == "__main__":
    main()
