"""The page of `hardening report` in a real browser, by what a person does; its pictures go to `build/report`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browser import browser

HARDENING = str(Path(sys.executable).with_name("hardening"))
PICTURES = Path(__file__).parents[2] / "build/report"
#: The texts of all that can be searched for and is to be seen.
SHOWN = (
    "[...document.querySelectorAll('main [data-s]')].filter(one => one.checkVisibility()).map(one => one.textContent)"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report") / "web.html"
    subprocess.run([HARDENING, "report", "-q", "-p", "web", "-o", made], check=True)
    return made


def test_a_person_reads_and_searches_it(file: Path) -> None:
    with browser() as page:
        page.colours("light")
        page.size(1280, 900)
        page.open(file)
        page.shoot(PICTURES / "light.png")
        everything = len(page.ask(SHOWN))

        # What is searched for is found by its name or its value, and nothing else stays.
        page.press("/")
        page.type("ptrace")
        found = page.ask(SHOWN)
        assert 0 < len(found) < everything
        assert all("ptrace" in item.lower() for item in found)
        assert {"ptrace", "SYS_PTRACE"} <= {*found}
        page.shoot(PICTURES / "search.png")
        page.type(" no such words")
        assert page.ask(SHOWN) == []
        assert page.ask("document.getElementById('nothing').checkVisibility()")
        page.press("Escape")
        assert len(page.ask(SHOWN)) == everything

        # Colours follow the system until somebody chooses.
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.ask(ground)
        page.colours("dark")
        dark = page.ask(ground)
        page.shoot(PICTURES / "dark.png")
        page.click("#theme")
        assert (page.ask(ground), dark == light) == (light, False)
        page.click("#theme")
        page.colours("light")
        assert page.ask(ground) == dark
        page.click("#theme")

        # A link from a place leads to the values that decide it; a value opens.
        page.ask("document.querySelector('#files').scrollIntoView()")
        page.click("#files + p + .tree a")
        top = page.ask("document.querySelector('#v-rootfs').getBoundingClientRect().top")
        assert 0 <= top < 200
        page.click("#v-rootfs + .values summary")
        assert page.ask("document.querySelector('#v-rootfs + .values details').open")

        # On a phone nothing has to be moved sideways, with everything open.
        page.size(360, 740)
        page.ask("document.querySelectorAll('details').forEach(item => item.open = true)")
        assert page.ask("document.documentElement.scrollWidth") == 360
        page.open(file)
        page.shoot(PICTURES / "narrow.png")

        assert {*page.requests} == {file.as_uri(), *[one for one in page.requests if one.startswith("data:")]}
        assert page.errors == []
        # It would be noticed: the policy keeps a page that wants more from it.
        page.ask("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
        assert any("127.0.0.1" in error and "Content Security Policy" in error for error in page.errors)
