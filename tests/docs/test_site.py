"""The documentation as a site (`tools/site/conf.py`), in a browser without a server; `make docs` holds its links."""

from __future__ import annotations

import subprocess

import pytest

from tests.docs.examples import ROOT
from tests.support.browser import browser

SITE = ROOT / "build/site"


@pytest.mark.complete
def test_the_site_is_built_and_its_search_works_without_a_server() -> None:
    said = subprocess.run(["make", "docs"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.endswith(f"{SITE}/index.html\n")
    for page in (ROOT / "docs").rglob("*.md"):
        assert (SITE / page.relative_to(ROOT).with_suffix(".html")).exists()
    with browser() as found:
        found.size(1280, 900)
        found.open(SITE / "index.html")
        found.wait("document.querySelectorAll('.sidebar-tree a').length > 0")
        side_bar = found.ask("[...document.querySelectorAll('.sidebar-tree a')].map(link => link.textContent)")
        assert {"Tutorial", "Write a profile", "The command line", "Security"} <= {*side_bar}
        found.click(".sidebar-search")
        found.type("loginuid")
        found.press("Enter")
        found.wait("document.querySelectorAll('ul.search li a').length > 0")
        pages = found.ask("[...document.querySelectorAll('ul.search li a')].map(link => link.href)")
        assert any("a-launch-has-a-login-uid" in page for page in pages)
        found.shoot(ROOT / "build/report/site.png")
        assert found.errors == []
        assert [one for one in found.requests if not one.startswith(("file:", "data:"))] == []
