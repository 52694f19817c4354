# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dev/mutations changes, and which tests it calls near."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.dev.importers import distances, importers_of
from ansible_collections.hpc.ports.dev.mutants import Mutation, applied, candidates, chosen, is_another, line_number

DOCUMENTED = '''"""What it is for: 1 and 2."""
DOCUMENTATION = r"""options: [1, 2]"""
from ansible.errors import AnsibleError
T = TypeVar("T")
Names = Mapping[str, "Name"]


@dataclass(frozen=True)
class Name:
    """A name."""

    text: Literal["a", "b"]


class ModuleDocFragment:
    HOST = r"""options: {}"""
'''
SOURCE = "def f(x):\n    if x > 1:\n        return x\n    if x > 1:\n        go(x)\n    return 0\n"


@pytest.mark.parametrize(
    ("line", "kind", "expected"),
    [
        ("x = 1 if a else 2", "condition", {"x = 1 if not (a) else 2"}),
        ("x = a <= b != c", "comparison", {"x = a < b != c", "x = a <= b == c"}),
        ("x = é not in b", "comparison", {"x = é in b"}),
        ("go(a)", "call", {"pass"}),
        ("def f() -> list[str]: return a", "return", {"def f() -> list[str]: return []"}),
        ("def f() -> bool: return a", "return", {"def f() -> bool: return not (a)"}),
        ("def f() -> Name: return a", "return", {"def f() -> Name: return None"}),
        ("x = True, b'y'", "constant", {"x = False, b'y'", "x = True, b\"x\" b'y'"}),
        ("x = f'{a[0]}' + '3'", "constant", {"x = \"x\" f'{a[0]}' + '3'", "x = f'{a[0]}' + \"x\" '3'"}),
        ("x = (a, b, c)", "element", {"x = (b, c)", "x = (a, c)", "x = (a, b)"}),
        ("x = a, b", "element", {"x = b,", "x = a,"}),
        ("x = [a]", "element", {"x = []"}),
        ("x = a and b or c", "junction", {"x = a or b or c", "x = a and b and c"}),
        ("x = not a", "negation", {"x = a"}),
        ("x = a + (b + c)", "sum", {"x = a - (b + c)", "x = a + (b - c)"}),
    ],
)
def test_what_a_line_may_become(line: str, kind: str, expected: set[str]) -> None:
    found = {mutation for mutation in candidates("f.py", line) if mutation.kind == kind}
    assert {mutation.new for mutation in found} == expected
    assert all(is_another(line, mutation) for mutation in found)


def test_calls_and_returns_over_several_lines_change_in_the_first() -> None:
    source = "def f() -> list[str]:\n    go(\n        a)\n    return sorted(\n        b)\n"
    found = {mutation.kind: applied(source, mutation) for mutation in candidates("f.py", source)}
    assert found == {
        "call": source.replace("go(", "None and go("),
        "return": source.replace("sorted(", "[] and sorted("),
    }


def test_documentation_and_types_stay_as_they_are() -> None:
    assert not candidates("f.py", DOCUMENTED)


def test_what_does_not_parse_or_is_the_same_is_no_mutation() -> None:
    assert not is_another(SOURCE, Mutation("f.py", "call", "        go(x)", "        go(x", 0))
    assert not is_another(SOURCE, Mutation("f.py", "call", "        go(x)", "        go( x)", 0))


def test_one_of_equal_lines_changes() -> None:
    second = Mutation("f.py", "comparison", "    if x > 1:", "    if x >= 1:", 1)
    assert second in candidates("f.py", SOURCE)
    assert line_number(SOURCE, second) == 4
    assert applied(SOURCE, second) == SOURCE.replace("if x > 1:\n        go", "if x >= 1:\n        go")
    with pytest.raises(LookupError, match="f.py has no such line"):
        applied(SOURCE.replace("> 1:\n        go", "> 2:\n        go"), second)


def test_lines_keep_their_lot_where_others_come_and_go() -> None:
    more = "def g(y):\n    return y < 1\n"
    alone, together = chosen({"f.py": SOURCE}, 13, 9), chosen({"f.py": SOURCE, "g.py": more}, 13, 9)
    of_f = [mutation for mutation in together if mutation.path == "f.py"]
    assert alone and len(of_f) < len(together)
    assert set(of_f) <= set(alone) and len({mutation.kind for mutation in alone[:3]}) == 3
    assert len(chosen({"f.py": SOURCE}, 13, 2)) == 2


def test_tests_are_near_by_their_imports() -> None:
    ours = "from ansible_collections.hpc.ports.plugins"
    sources = {
        "plugins/a.py": "",
        "plugins/b.py": f"{ours} import a",
        "tests/unit/test_a.py": f"{ours}.a import f",
        "tests/unit/test_b.py": f"import os\nif os:\n    {ours}.b import g",
        "tests/unit/test_c.py": "",
    }
    assert distances(importers_of(sources), "plugins/a.py") == {
        "plugins/a.py": 0,
        "plugins/b.py": 1,
        "tests/unit/test_a.py": 1,
        "tests/unit/test_b.py": 2,
    }
