# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutations: programs that differ from ours in one line and behave differently.

Documentation is not mutated: docstrings, the texts that Ansible shows, annotations, decorators, imports.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Union

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class Mutation(NamedTuple):
    """One changed line of a file; `occurrence` counts the identical lines of the file before it."""

    path: str
    kind: str
    old: str
    new: str
    occurrence: int


class Edit(NamedTuple):
    """A replacement of the text between two columns of a line."""

    row: int
    begin: int
    end: int
    text: str


class Place(NamedTuple):
    """The line and the column of the begin or the end of a node."""

    row: int
    column: int


_TEXTS = {"DOCUMENTATION", "EXAMPLES", "RETURN", "__metaclass__", "__all__"}
_TYPING = {"TypeVar", "NewType", "cast"}
_NO_CODE = {"annotation", "returns", "decorator_list"}
_COMPARISONS: Mapping[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
}
# By the first word of an annotation.
_EMPTY = {
    "list": "[]",
    "sequence": "[]",
    "iterable": "[]",
    "iterator": "iter(())",
    "dict": "{}",
    "mapping": "{}",
    "str": '""',
    "bytes": 'b""',
    "int": "0",
    "float": "0.0",
    "tuple": "()",
    "set": "set()",
    "frozenset": "frozenset()",
}
# An expression of one of these kinds may have `EMPTY and` before it, and is not evaluated then.
_WHOLE = (
    ast.Call,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.JoinedStr,
)


def candidates(path: str, source: str) -> list[Mutation]:
    """Return every mutation of a file; some may be invalid or equivalent programs: see `is_another`."""
    text = _Text(source)
    found = [
        _mutation(path, kind, text.lines, edit)
        for kind, edits in KINDS.items()
        for node in _code(text.tree)
        for edit in edits(text, node)
    ]
    return list(dict.fromkeys(found))


def applied(source: str, mutation: Mutation) -> str:
    """Return the text of the file with the mutation. Raise LookupError if the line does not exist."""
    lines = source.split("\n")
    lines[line_number(source, mutation) - 1] = mutation.new
    return "\n".join(lines)


def line_number(source: str, mutation: Mutation) -> int:
    """Return the number of the mutated line. Raise LookupError if the line does not exist."""
    rows = [row for row, line in enumerate(source.split("\n"), 1) if line == mutation.old]
    if mutation.occurrence >= len(rows):
        raise LookupError(f"{mutation.path} has no such line, or fewer of them: {mutation.old.strip()}")
    return rows[mutation.occurrence]


def is_another(source: str, mutation: Mutation) -> bool:
    """Return whether the mutated file is a valid program that differs from the original."""
    try:
        return ast.dump(ast.parse(applied(source, mutation))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def chosen(sources: Mapping[str, str], seed: int, count: int) -> list[Mutation]:
    """Return random mutations, equally many of each kind. Changes elsewhere do not affect the order of a line."""
    every = [mutation for path, source in sources.items() for mutation in candidates(path, source)]
    by_kind = {
        kind: sorted((found for found in every if found.kind == kind), key=lambda found: _lot(seed, found))
        for kind in KINDS
    }
    result: list[Mutation] = []
    lines: set[tuple[str, str, int]] = set()
    for mutation in _by_turns([*by_kind.values()]):
        line = (mutation.path, mutation.old, mutation.occurrence)
        if len(result) < count and line not in lines and is_another(sources[mutation.path], mutation):
            result.append(mutation)
            lines.add(line)
        if len(result) == count:
            break
    return result


def _lot(seed: int, mutation: Mutation) -> str:
    return hashlib.sha256(f"{seed} {mutation}".encode()).hexdigest()


def _by_turns(rows: list[list[Mutation]]) -> Iterator[Mutation]:
    for turn in range(max(map(len, rows), default=0)):
        yield from (row[turn] for row in rows if turn < len(row))


def _mutation(path: str, kind: str, lines: list[str], edit: Edit) -> Mutation:
    old = lines[edit.row]
    return Mutation(path, kind, old, old[: edit.begin] + edit.text + old[edit.end :], lines[: edit.row].count(old))


# ---- where the code is


class _Text:
    """A source file: its lines and its syntax tree."""

    def __init__(self, source: str) -> None:
        self.lines = source.split("\n")
        self.tree = ast.parse(source)

    def begin(self, node: ast.AST) -> Place:
        """Return where a node begins."""
        return self._place(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> Place:
        """Return where a node ends."""
        return self._place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _place(self, number: int, offset: int) -> Place:
        # ast counts bytes.
        return Place(number - 1, len(self.lines[number - 1].encode()[:offset].decode()))

    def replace(self, node: ast.AST, form: str) -> Iterator[Edit]:
        """Replace a node that is on one line; `{}` in the form stands for the present text."""
        begin, end = self.begin(node), self.end(node)
        if begin.row == end.row:
            old = self.lines[begin.row][begin.column : end.column]
            yield Edit(begin.row, begin.column, end.column, form.replace("{}", old))

    def put_before(self, node: ast.AST, text: str) -> Iterator[Edit]:
        """Insert text before a node."""
        begin = self.begin(node)
        yield Edit(begin.row, begin.column, begin.column, text)

    def between(self, left: ast.AST, right: ast.AST, pattern: str, text: str) -> Iterator[Edit]:
        """Replace the operator between two operands, on any line."""
        begin, end = self.end(left), self.begin(right)
        for row in range(begin.row, end.row + 1):
            first = begin.column if row == begin.row else 0
            last = end.column if row == end.row else len(self.lines[row])
            match = re.compile(pattern).search(self.lines[row], first, last)
            if match:
                yield Edit(row, match.start(), match.end(), text)
                return


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of executable code, down to f-strings, but not the nodes inside them."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for name, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for child in children if name not in _NO_CODE else []:
                if isinstance(child, ast.AST) and not _is_no_code(child, name):
                    yield from _code(child)


def _is_no_code(node: ast.AST, field: str) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ClassDef):
        return node.name == "ModuleDocFragment"
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id in _TEXTS for target in node.targets)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _TYPING
    # `Mapping[str, Any]`
    return isinstance(node, (ast.Import, ast.ImportFrom)) or field == "slice" and isinstance(node, ast.Tuple)


# ---- the kinds


def _conditions(text: _Text, node: ast.AST) -> Iterator[Edit]:
    tests = (
        node.ifs
        if isinstance(node, ast.comprehension)
        else ([node.test] if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)) else [])
    )
    for test in tests:
        if not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            yield from text.replace(test, "not ({})")


def _comparisons(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            yield from text.between(left, right, *_COMPARISONS[type(operator)])


def _calls(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from list(text.replace(node, "pass")) or text.put_before(node, "None and ")


def _returns(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        for found in _own(node):
            if isinstance(found, ast.Return) and found.value:
                yield from _returned(text, found.value, ast.unparse(node.returns).strip("'") if node.returns else "")


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield from _own(child)


def _returned(text: _Text, value: ast.expr, annotation: str) -> Iterator[Edit]:
    empty = _EMPTY.get(re.split(r"\W", annotation.lower(), maxsplit=1)[0], "None")
    if annotation == "bool":
        empty, before = "not ({})", "not "
    else:
        before = f"{empty} and "
    yield from list(text.replace(value, empty)) or (text.put_before(value, before) if isinstance(value, _WHOLE) else [])


def _constants(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.JoinedStr):
        yield from text.put_before(node, '"x" ')
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, (str, bytes)):
            yield from text.put_before(node, 'b"x" ' if isinstance(value, bytes) else '"x" ')
        elif isinstance(value, (bool, int, float)):
            yield from text.replace(node, repr(not value if isinstance(value, bool) else value + 1))


def _elements(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        places = [(text.begin(element), text.end(element)) for element in node.elts]
        few = 3 if isinstance(node, ast.Tuple) else 1
        if len(places) >= few:
            yield from (edit for number in range(len(places)) for edit in _without(text, places, number))
        elif len(places) == 2 and places[0][0].row == places[1][1].row:
            yield from (_one_of_two(text, places, number) for number in range(2))


def _without(text: _Text, places: list[tuple[Place, Place]], number: int) -> Iterator[Edit]:
    """Remove an element and the comma after it, or before it for the last element."""
    (begin, end), row = places[number], places[number][0].row
    comma = re.compile(r"\s*,\s*").match(text.lines[end.row], end.column)
    if begin.row != end.row:
        return
    if comma:
        yield Edit(row, begin.column, comma.end(), "")
    elif number and places[number - 1][1].row == row:
        yield Edit(row, places[number - 1][1].column, end.column, "")
    elif len(places) == 1:
        yield Edit(row, begin.column, end.column, "")


def _one_of_two(text: _Text, places: list[tuple[Place, Place]], left_out: int) -> Edit:
    begin, end = places[1 - left_out]
    return Edit(
        begin.row, places[0][0].column, places[1][1].column, f"{text.lines[begin.row][begin.column : end.column]},"
    )


def _junctions(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BoolOp):
        old, new = (r"\band\b", "or") if isinstance(node.op, ast.And) else (r"\bor\b", "and")
        for left, right in zip(node.values, node.values[1:]):
            yield from text.between(left, right, old, new)


def _negations(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        begin = text.begin(node)
        match = re.compile(r"not\s*").match(text.lines[begin.row], begin.column)
        if match:
            yield Edit(begin.row, begin.column, match.end(), "")


def _sums(text: _Text, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from text.between(node.left, node.right, r"\+", "-")


KINDS: Mapping[str, Callable[[_Text, ast.AST], Iterator[Edit]]] = {
    "condition": _conditions,  # negated
    "comparison": _comparisons,  # another operator
    "call": _calls,  # a statement: removed
    "return": _returns,  # returns an empty value, None, or the opposite
    "constant": _constants,  # another value
    "element": _elements,  # of a tuple or a list: removed
    "junction": _junctions,  # `and` becomes `or` and vice versa
    "negation": _negations,  # `not` is removed
    "sum": _sums,  # + becomes -
}
