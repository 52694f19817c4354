# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which tests detect random one-line mutations of the plugins.

Each mutation changes one line of one file, chosen at random from a seed: a condition is negated, a comparison has
another operator, a call is removed, a function returns an empty value, a constant has another value, an element is left
out, `and` and `or` are swapped, a `not` is removed, + becomes -. The stages run from cheap to expensive, each with the
mutations that survived the stages before; the first failed test kills a mutation. The survivors are listed: people have
to judge whether they make a difference.

Everything happens in a copy of the tree. Stages without a lab run in namespaces of their own, with an empty /run and a
copy-on-write /etc. They, and every stage with a lab, need root. The lab is called hpc-ports-mutations, or
HPC_PORTS_LAB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from importers import distances, importers_of
from mutants import Mutation, applied, chosen, line_number

ROOT = Path(__file__).resolve().parents[1]
TESTS = "{tests}"
_PYTEST = ("python", "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider")
_LAB = ("dev/lab", "run")
# At most this many imports lie between a near test and what is mutated.
_NEAR = 2
_FAR = 1000
# Seconds that a stage may take beyond four times what it takes without a mutation.
_PATIENCE = 120
_ISOLATED = (
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-ec",
    """
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
ip link set lo up
ulimit -d 8000000
exec "$@"
""",
    "sh",
)


class Stage(NamedTuple):
    """A stage of tests: their folder, the commands that run them, and the lab that they need, if any."""

    folder: str
    commands: tuple[tuple[str, ...], ...]
    lab: str = ""


STAGES = {
    "near": Stage("tests/unit", ((*_PYTEST, TESTS),)),
    "units": Stage("tests/unit", ((*_PYTEST, "-n", "2", TESTS),)),
    "page": Stage("tests/page", ((*_PYTEST, "-n", "2", "--dist", "loadfile", TESTS),)),
    "kernel": Stage("tests/kernel", ((*_PYTEST, "-n", "4", TESTS),)),
    "firewalld": Stage("tests/firewalld", (("dev/lab", "open"), (*_LAB, *_PYTEST, "-n", "3", TESTS)), "default"),
    "lab": Stage(
        "tests/lab", (("dev/lab", "down"), ("dev/lab", "up"), ("dev/lab", "site"), (*_LAB, *_PYTEST, TESTS)), "default"
    ),
    "platform": Stage(
        "tests/platform",
        (
            ("dev/lab", "down"),
            ("dev/lab", "open"),
            (*_LAB, "molecule", "test", "--scenario-name", "platform", "--destroy", "never"),
            (*_LAB, *_PYTEST, TESTS),
        ),
        "platform",
    ),
}


@dataclass
class Trial:
    """A mutation with its result: the stages that it survived, and the test that killed it, if any."""

    mutation: Mutation
    passed: list[str] = field(default_factory=list)
    killed: str = ""
    by: str = ""
    late: bool = False

    @property
    def lives(self) -> bool:
        """Whether no stage has killed it."""
        return not self.killed


@dataclass
class Record:
    """The results of a run, as saved in its JSON file."""

    seed: int
    trials: list[Trial]
    # Seconds by folder of tests, without a mutation.
    unmutated: dict[str, float] = field(default_factory=dict)


def read_record(path: Path) -> Record:
    """Return the saved results of a run. Exit if the file cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        trials = [Trial(**{**trial, "mutation": Mutation(**trial["mutation"])}) for trial in found["trials"]]
        return Record(found["seed"], trials, found["unmutated"])
    except (OSError, ValueError, TypeError, KeyError) as exc:
        sys.exit(f"Cannot read {path}: {exc!r}. Expected the --json FILE of a run of dev/mutations.")


def write_record(path: Path | None, record: Record) -> None:
    """Save the results, so that an interrupted run can continue."""
    if path:
        trials = [{**asdict(trial), "mutation": trial.mutation._asdict()} for trial in record.trials]
        kept = {"seed": record.seed, "unmutated": record.unmutated, "trials": trials}
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        new.replace(path)


class Tree:
    """A copy of a tree, for mutations."""

    def __init__(self, tree: Path, copy: Path) -> None:
        self.copy = copy
        # Tests list the files with git.
        _said("git", "init", "--quiet", folder=copy)
        listed = _said("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=tree)
        for name in filter(None, listed.split("\0")):
            if os.path.lexists(tree / name):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / name, copy / name, follow_symlinks=False)

    def sources(self, *folders: str) -> dict[str, str]:
        """Return the text of each Python file in some folders, by path."""
        return {
            str(path.relative_to(self.copy)): path.read_text(encoding="utf-8")
            for folder in folders
            for path in sorted((self.copy / folder).rglob("*.py"))
        }

    @contextmanager
    def mutated(self, mutation: Mutation, number: int) -> Iterator[None]:
        """Apply a mutation to the tree within the context; the changed time of the file makes Python recompile it."""
        path = self.copy / mutation.path
        source, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(applied(source, mutation), encoding="utf-8")
        os.utime(path, (10**9 + 10 * number,) * 2)
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class Run:
    """The tests of a copy."""

    def __init__(self, tree: Tree, seed: int, logs: Path) -> None:
        self.tree, self.logs, self.seed = tree, logs, seed
        subprocess.run(["dev/setup"], cwd=tree.copy, check=True)
        venv = _said("bash", "-c", ". dev/common.sh; venv_dir main", folder=tree.copy).strip()
        self.environment = {
            "HPC_PORTS_LAB": "hpc-ports-mutations",
            **os.environ,
            "NO_COLOR": "1",
            # The cached bytecode of one mutation may be mistaken for that of the next.
            "PYTHONDONTWRITEBYTECODE": "1",
            "HPC_PORTS_SEED": str(seed),
            "PATH": f"{venv}/bin:{os.environ['PATH']}",
        }
        self.sources = tree.sources("plugins", "tests")
        self.importers = importers_of(self.sources)

    def files(self, stage: Stage, path: str) -> list[str]:
        """Return the test files of a stage, those that import the file at a path most directly first."""
        steps = distances(self.importers, path)
        found = [name for name in self.sources if name.startswith(f"{stage.folder}/") and "/test_" in name]
        return sorted(found, key=lambda name: steps.get(name, _FAR))

    def near(self, path: str) -> list[str]:
        """Return the unit tests that import the file at a path, directly or through one other file."""
        steps = distances(self.importers, path)
        return [name for name in self.files(STAGES["near"], path) if steps.get(name, _FAR) <= _NEAR]

    def concerns(self, stage: Stage, path: str) -> bool:
        """Return whether a stage may run the file at a path."""
        if stage.folder in ("tests/unit", "tests/lab", "tests/platform"):
            return True
        imports = [f"{stage.folder}/"]
        if stage.folder != "tests/page":
            # Code on hosts runs in processes of its own, which imports do not show.
            imports += ["plugins/modules/", "plugins/module_utils/"]
        return any(name.startswith(tuple(imports)) for name in distances(self.importers, path))

    def run(self, stage: Stage, files: Sequence[str], log: str, limit: float | None = None) -> str:
        """Run the tests of a stage; return `passed`, `failed` or `late`."""
        environment = {**self.environment, "HPC_PORTS_SCENARIO": stage.lab} if stage.lab else self.environment
        prefix = _ISOLATED if not stage.lab and os.geteuid() == 0 else ()
        with open(self.logs / log, "wb") as output:
            for command in stage.commands:
                tests = [f"--hypothesis-seed={self.seed}", *files]
                whole = [word for part in command for word in (tests if part == TESTS else [part])]
                verdict = _ended([*prefix, *whole], self.tree.copy, environment, output, limit)
                if verdict != "passed":
                    return verdict
        return "passed"

    def why(self, log: str) -> str:
        """Return the failed test that a log names."""
        lines = (self.logs / log).read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        return (named or [line for line in lines if line.strip()][-1:] or [""])[0][:200]


def _said(*command: str, folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def _ended(command: Sequence[str], folder: Path, environment: dict[str, str], output: Any, limit: float | None) -> str:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return "passed" if process.wait(limit) == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "late"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# ---- the stages, one after the other


def go_through(run: Run, record: Record, names: Sequence[str], path: Path | None) -> None:
    """Try what lives in each stage that it has not passed yet."""
    for name in names:
        stage = STAGES[name]
        todo = [
            (number, trial)
            for number, trial in enumerate(record.trials)
            if trial.lives and name not in trial.passed and trial.mutation.path in run.sources
        ]
        for number, trial in todo:
            if run.concerns(stage, trial.mutation.path):
                see_it_pass(run, record, name)
                write_record(path, record)
                attempt(run, record, name, number)
                write_record(path, record)
        if stage.lab and todo:
            subprocess.run(
                ["dev/lab", "down"],
                cwd=run.tree.copy,
                check=False,
                stdout=subprocess.DEVNULL,
                env={**run.environment, "HPC_PORTS_SCENARIO": stage.lab},
            )


def see_it_pass(run: Run, record: Record, name: str) -> None:
    """Stop where tests fail without a mutation: nothing can be said then."""
    folder = STAGES[name].folder
    if folder not in record.unmutated:
        stage = STAGES["units" if name == "near" else name]
        start = time.monotonic()
        log = f"{Path(folder).name}.log"
        if run.run(stage, run.files(stage, ""), log) != "passed":
            sys.exit(f"{folder} fails without a mutation, so nothing can be said: {run.why(log)}\nSee {run.logs / log}")
        record.unmutated[folder] = time.monotonic() - start
        print(f"{folder} passes without a mutation, in {record.unmutated[folder]:.0f} s", flush=True)


def attempt(run: Run, record: Record, name: str, number: int) -> None:
    """Run a stage with a mutation, and note what came of it."""
    trial, stage = record.trials[number], STAGES[name]
    near = run.near(trial.mutation.path)
    files = near if name == "near" else run.files(stage, trial.mutation.path)
    if name == "units" and "near" in trial.passed:
        files = [found for found in files if found not in near]
    log = f"{name}-{number}.log"
    with run.tree.mutated(trial.mutation, number):
        limit = _PATIENCE + 4 * record.unmutated[stage.folder]
        verdict = run.run(stage, files, log, limit) if files else "passed"
    if verdict == "passed":
        trial.passed.append(name)
    else:
        trial.killed, trial.late, trial.by = name, verdict == "late", run.why(log)
    said = f"killed: {trial.by}" if trial.killed else "survived"
    print(f"{name} {number + 1}/{len(record.trials)} {trial.mutation.path} {'late, ' * trial.late}{said}", flush=True)


# ---- what is said


def shown(mutation: Mutation, sources: dict[str, str]) -> str:
    """Return where a mutation is and what it does."""
    number = line_number(sources[mutation.path], mutation)
    return f"{mutation.path}:{number} ({mutation.kind})\n  - {mutation.old.strip()}\n  + {mutation.new.strip()}"


def report(record: Record, sources: dict[str, str]) -> str:
    """Return a table of what killed the mutations, and those that live."""
    lines = [f"{'stage':<10} killed  of these by time-out"]
    for name in STAGES:
        killed = [trial for trial in record.trials if trial.killed == name]
        if killed or any(name in trial.passed for trial in record.trials):
            lines.append(f"{name:<10} {len(killed):>6}  {sum(trial.late for trial in killed):>20}")
    alive = [trial for trial in record.trials if trial.lives]
    lines.append(f"{len(record.trials)} mutations with the seed {record.seed}, {len(alive)} alive")
    for trial in alive:
        lines.append(f"{shown(trial.mutation, sources)}\n  passed {', '.join(trial.passed) or 'nothing yet'}")
    return "\n".join(lines)


def begin(arguments: argparse.Namespace, sources: dict[str, str]) -> Record:
    """Return what an earlier run left, or mutations to begin with."""
    if arguments.json and arguments.json.exists():
        return read_record(arguments.json)
    if not arguments.load:
        return Record(
            arguments.seed, [Trial(mutation) for mutation in chosen(sources, arguments.seed, arguments.count)]
        )
    other = read_record(arguments.load)
    return Record(other.seed, [Trial(trial.mutation) for trial in other.trials])


def leave_out_what_is_gone(record: Record, sources: dict[str, str]) -> None:
    """Name mutations of lines that the tree does not have, and forget them."""
    for trial in list(record.trials):
        try:
            applied(sources[trial.mutation.path], trial.mutation)
        except LookupError:
            print(f"No such line here: {trial.mutation.path}: {trial.mutation.old.strip()}")
            record.trials.remove(trial)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="dev/mutations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    today = os.environ.get("HPC_PORTS_SEED") or str(int(time.time()) // 86400)
    parser.add_argument(
        "--seed", type=int, default=today, help="by which mutations are chosen (default: HPC_PORTS_SEED, or the day)"
    )
    parser.add_argument("--count", type=int, default=40, help="how many (default: 40)")
    parser.add_argument("--stages", default=",".join(STAGES), help="which of %(default)s (default: all)")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the clone of hpc.ports to mutate (default: this one)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep there what came of each; where the file exists, go on with what lives there, "
        "in the stages that it has not passed yet: --seed, --count and --load are not asked then",
    )
    parser.add_argument(
        "--load",
        type=Path,
        metavar="FILE",
        help="try the mutations of the --json FILE of another run, such as over another tree",
    )
    parser.add_argument("--list", action="store_true", help="show the mutations and end")
    arguments = parser.parse_args()
    arguments.names = [name for name in STAGES if name in arguments.stages.split(",")]
    if not set(arguments.stages.split(",")) <= set(STAGES):
        parser.error(f"expected stages of {', '.join(STAGES)}")
    if arguments.count < 1:
        parser.error(f"argument --count: got {arguments.count}, expected 1 or more")
    if not (arguments.tree / "galaxy.yml").exists():
        parser.error(f"argument --tree: {arguments.tree} is no clone of hpc.ports")
    if os.geteuid() and not arguments.list and any(STAGES[name].lab or name == "kernel" for name in arguments.names):
        parser.error("the stages kernel, firewalld, lab and platform need root")
    return arguments


def main() -> None:
    """Choose mutations, try them, and say what came of it."""
    arguments = parsed()
    # An end by a signal is an end as any other: the copy goes, and what runs in it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="hpc-ports-mutations-") as folder:
        tree = Tree(arguments.tree.resolve(), Path(folder))
        sources = tree.sources("plugins")
        record = begin(arguments, sources)
        leave_out_what_is_gone(record, sources)
        if not arguments.list:
            logs = ROOT / "tests" / "output" / "mutations"
            logs.mkdir(parents=True, exist_ok=True)
            go_through(Run(tree, record.seed, logs), record, arguments.names, arguments.json)
        print(report(record, sources))


if __name__ == "__main__":
    main()
