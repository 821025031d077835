"""The page in a real browser: light, dark, on a telephone and on paper. Skipped without one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none
from playwright.sync_api import sync_playwright
from quarters import write_quarters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from sqlalchemy import Engine
    from world import Program

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
PERIOD: Final = ("--from", "2026-03-01", "--to", "2026-10-31")
TELEPHONE_PX: Final = 360

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("scheme", "media", "width_px"),
    [
        ("light", "screen", 1100),
        ("dark", "screen", 1100),
        ("light", "screen", TELEPHONE_PX),
        ("dark", "print", 800),
    ],
)
def test_the_page_can_be_read_by_everybody_and_asks_for_nothing(
    scheme: str,
    media: str,
    width_px: int,
    browser: Browser,
    program: Program,
    engine: Engine,
    tmp_path: Path,
) -> None:
    write_quarters(engine)
    file = tmp_path / "report.html"
    file.write_text(program.here("report", *PERIOD, "--output", "html").stdout, encoding="utf-8")
    page = browser.new_page(viewport={"width": width_px, "height": 900}, bypass_csp=True)
    page.emulate_media(color_scheme=scheme, media=media)  # type: ignore[arg-type]  # literals
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert (said, asked) == ([], [file.as_uri()])
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wide_px = page.evaluate("document.documentElement.scrollWidth")
    assert wide_px <= width_px
    assert page.locator("svg[role=img]").count() == len(page.locator("section.plot").all())
    papers = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == papers["light" if media == "print" else scheme]
