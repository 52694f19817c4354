# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show pages in a real headless Chromium without a network, and record every error in it."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page
from ansible_collections.hpc.ports.tests.support.reports import large, small
from ansible_collections.hpc.ports.tests.support.run import scaled
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, sync_playwright

# In milliseconds. The tests run beside others, at the lowest priority.
_PATIENCE = scaled(60) * 1000
_VISITS = count()
_SIZE: ViewportSize = {"width": 1300, "height": 900}


class Shown:
    """A report's page in a browser, and what its tests ask of it."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page, self.file = page, file
        self.problems: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.route("**/*", self._only_files)

    def _only_files(self, route: Route) -> None:
        if route.request.url.startswith("file://"):
            route.continue_()
        else:
            self.problems.append(f"It asked for {route.request.url}")
            route.abort()

    def go(self, state: str = "") -> Shown:
        """Load the page anew, which another address makes sure of, with a state after the # of its address."""
        self.page.goto(f"{self.file.as_uri()}?{next(_VISITS)}{state and '#'}{state}")
        return self

    @property
    def state(self) -> str:
        """What is behind the # of the address."""
        return self.page.url.partition("#")[2]

    def wait_for_state(self, state: str) -> None:
        """Wait until that is behind the #: the page writes it a moment after what it shows. Raises TimeoutError."""
        self.page.wait_for_url(lambda url: url.partition("#")[2] == state, wait_until="commit", timeout=_PATIENCE)

    @property
    def status(self) -> str:
        """What the live region says."""
        return self.page.get_by_role("status").inner_text()

    def cell(self, source: str, target: str) -> Locator:
        """The cell of two lines of the matrix, by what a screen reader says of it."""
        return self.page.locator(f'#grid td[aria-label^="{source} to {target}: "]')

    def head(self, kind: str, name: str) -> Locator:
        """A line of the matrix, `row` or `column`, by the beginning of its name."""
        role: Literal["rowheader", "columnheader"] = "rowheader" if kind == "row" else "columnheader"
        return self.page.get_by_role("grid").get_by_role(role, name=name)

    def labels(self) -> dict[str, str]:
        """What a screen reader says of each drawn cell: `{"a to b": "not tested"}`."""
        labels = self.page.locator("#grid tbody td").evaluate_all("cells => cells.map(one => one.ariaLabel)")
        return dict(label.split(": ", 1) for label in labels)

    def heads(self, scope: str) -> list[str]:
        """The names of the drawn rows or columns."""
        return self.page.locator(f'#grid th[scope="{scope}"]').evaluate_all("heads => heads.map(one => one.ariaLabel)")

    def focused(self) -> str | None:
        """What a screen reader says of the element that has the focus."""
        return self.page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")

    def violations(self) -> list[str]:
        """What axe finds that keeps people out."""
        violations = Axe().run(self.page).response["violations"]
        return [f"{violation['id']}: {node['html']}" for violation in violations for node in violation["nodes"]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its sandbox cannot be had as root, and it sees nothing but these pages."""
    program = shutil.which("chromium")
    assert program, "There is no chromium: run dev/setup."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


Show = Callable[..., Shown]


class Windows:
    """Windows of the browser. To make one takes longer than to load a page, so tests share them.

    A window can change its size and its colours, but not whether it is one of a phone.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.free: dict[str, list[Shown]] = defaultdict(list)
        self.taken: list[tuple[str, Shown]] = []

    def take(self, file: Path, size: ViewportSize, scheme: Literal["light", "dark"], options: dict[str, Any]) -> Shown:
        """Return a window that shows nothing yet, for a file."""
        key = json.dumps(options, sort_keys=True)
        shown = self.free[key].pop() if self.free[key] else self._new(options)
        self.taken.append((key, shown))
        shown.file = file
        shown.page.set_viewport_size(size)
        shown.page.emulate_media(color_scheme=scheme)
        return shown

    def _new(self, options: dict[str, Any]) -> Shown:
        context = self.browser.new_context(**options)
        context.set_default_timeout(_PATIENCE)
        context.set_offline(True)
        return Shown(context.new_page(), Path())

    def give_back(self) -> list[str]:
        """Make the windows that were taken free, and return the problems in them."""
        problems = []
        for key, shown in self.taken:
            shown.page.mouse.move(0, 0)
            problems += shown.problems
            shown.problems.clear()
            self.free[key].append(shown)
        self.taken.clear()
        return problems


@pytest.fixture(scope="session")
def windows(browser: Browser) -> Windows:
    """The windows of all tests."""
    return Windows(browser)


@pytest.fixture
def show(windows: Windows, tmp_path: Path) -> Iterator[Show]:
    """Shows the page of a report, or of a file that has one; what the browser complained of fails the test."""

    def open_page(
        report: dict[str, Any] | Path,
        state: str = "",
        viewport: ViewportSize | None = None,
        color_scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Shown:
        file = report if isinstance(report, Path) else tmp_path / "report.html"
        if not isinstance(report, Path):
            file.write_text(page(report), encoding="utf-8")
        return windows.take(file, viewport or _SIZE, color_scheme, options).go(state)

    yield open_page
    assert windows.give_back() == []


def _written(report: dict[str, Any], folder: Path) -> Path:
    file = folder / "report.html"
    file.write_text(page(report), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of ten hosts."""
    return _written(small(), tmp_path_factory.mktemp("ten"))


@pytest.fixture(scope="session")
def thousands() -> dict[str, Any]:
    """The report of 2,000 hosts."""
    return large()


@pytest.fixture(scope="session")
def two_thousand(thousands: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 2,000 hosts."""
    return _written(thousands, tmp_path_factory.mktemp("thousands"))
