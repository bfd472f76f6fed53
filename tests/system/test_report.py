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


DARK = [{"name": "prefers-color-scheme", "value": "dark"}]
#: The texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, "contrast ratio" and "relative luminance").
CONTRASTS = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const linear = [...canvas.getImageData(0, 0, 1, 1).data].map((one) => one / 255)
      .map((one) => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4);
    return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
  };
  const known = new Map(), found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const own = node.parentElement;
    if (!node.data.trim() || !own.checkVisibility() || own.closest("script")) continue;
    const grounds = [];
    for (let one = own; one; one = one.parentElement) grounds.unshift(getComputedStyle(one).backgroundColor);
    const behind = own.matches("svg .number") ? ".dot" : ".box";
    if (own.matches("svg *")) grounds.push(getComputedStyle(own.parentElement.querySelector(behind)).fill);
    const ink = getComputedStyle(own)[own.matches("svg *") ? "fill" : "color"], key = [...grounds, ink].join();
    if (!known.has(key)) {
      const two = [light(grounds), light([...grounds, ink])].sort((one, other) => one - other);
      known.set(key, (two[1] + .05) / (two[0] + .05));
    }
    if (known.get(key) < 4.5) found.push([node.data, known.get(key)]);
  }
  return found;
})()"""


def where(name: str) -> str:
    """Asks whether an element is on the screen, and what it is folded in open."""
    return (
        f"(one => [(top => top >= 0 && top < innerHeight)(one.getBoundingClientRect().top), one.closest('details').open])"
        f"(document.getElementById({name!r}))"
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

        # A link leads to the value that decides, which opens, also where it stands among others like it.
        page.ask("document.querySelector('#files').scrollIntoView()")
        page.click("#files .tree a")
        page.wait(
            "document.getElementById('rootfs.read_only').closest('details').open"
        )  # a page hears of it afterwards
        assert page.ask(where("rootfs.read_only")) == [True, True]
        page.ask("location.hash = 'seccomp.read'")
        page.wait("document.getElementById('seccomp.read').closest('details').open")
        assert page.ask(where("seccomp.read")) == [True, True]
        page.wait("document.querySelector('nav [aria-current]')?.hash == '#why'")
        page.click("#v-rootfs summary")

        # By the keyboard: to the report, through the matrix as one stop, and from what is found to what is found.
        page.open(file)
        page.press("Tab")
        assert page.ask("document.activeElement.textContent") == "To the report"
        page.ask("document.querySelector('.chip').focus()")
        first = page.ask("document.activeElement.textContent")
        page.press("ArrowRight")
        assert page.ask("document.activeElement.textContent") != first
        page.press("Home")
        assert page.ask("document.activeElement.textContent") == first
        page.press("/")
        page.type("ptrace")
        page.press("Enter")
        page.wait("[...CSS.highlights.get('found')][0].getBoundingClientRect().top > 0")
        page.press("Escape")

        # Every text has the contrast that WCAG 2.2 wants (AA, 1.4.3), in both colours, and what is folded as well.
        for scheme in ("light", "dark"):
            page.colours(scheme)
            page.open(file)
            page.ask("document.querySelectorAll('details').forEach(item => item.open = true)")
            assert page.ask(CONTRASTS) == []

        # On paper it is light and whole, without what only a screen can do.
        page.call("Emulation.setEmulatedMedia", media="print", features=DARK)
        page.open(file)
        page.ask("dispatchEvent(new Event('beforeprint'))")
        assert page.ask(ground) == "rgba(0, 0, 0, 0)"
        assert page.ask("getComputedStyle(document.body).color") == "rgb(22, 32, 44)"
        assert page.ask("[...document.querySelectorAll('header, nav')].some(one => one.checkVisibility())") is False
        assert page.ask("[...document.querySelectorAll('details')].every(one => one.open)")
        page.ask("dispatchEvent(new Event('afterprint'))")
        assert not page.ask("[...document.querySelectorAll('details')].every(one => one.open)")
        page.call("Emulation.setEmulatedMedia", media="", features=[])
        page.colours("light")

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
