"""`plugins/hardening_scan`: what a verdict on an image rests on beside the image."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

import hardening_scan
from hardening.mechanism import host
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.scanner import RootEntry, Scanner
from hardening.mechanism.used import Used
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins
from tests.support.texts import composed


def test_what_scanners_look_at_is_asked_of_those_that_a_gate_asks() -> None:
    class Silent(Scanner):
        name = "silent"
        summary = "looks"
        kinds = ("external",)

        def entry(self, entry: RootEntry) -> Any:
            return ()

    class Telling(Silent):
        name = "telling"

        def inputs(self) -> Any:
            return (Input("file", "/db"),)

    @hookimpl
    def hardening_scanners() -> Any:
        return (Silent(), Telling())

    third = ModuleType("third")
    vars(third)["hardening_scanners"] = hardening_scanners
    loaded = Plugins([Plugin("third", third, "third", "1"), Plugin("scan", hardening_scan, "hardening", "1")])
    of_image = Used("dir:x", "sha256:x", Path("/r"))

    def looks(text: str) -> list[Any]:
        found = attrs.evolve(composed(text, by=[hardening_scan.Scan()]), image=of_image)
        return loaded.inputs(found, host.plain())

    assert looks("") == looks("scan.setuid = 'deny'\nscan.command = ['x', '{root}']") == []
    silent = Unknown("the scanner silent does not say what it looks at")
    assert looks("scan.external = 'deny'") == [silent, Input("file", "/db")]
    with_command = looks("scan.external = 'deny'\nscan.command = ['x', '{root}']")
    assert with_command == [silent, Input("file", "/db"), Unknown("an external scanner looks at each run")]
