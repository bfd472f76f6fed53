"""Helpers before a command (`Fragment.confine`), by a mechanism of a third party: nice(1) stands for one that confines, of
which the kernel shows what it has done. Each is executed as the command, executes it, and is found in receipts by what it
asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import bundle
from hardening.assemble.spec import to_json
from hardening.launch.config.bundle import HELPERS
from hardening.launch.config.confinement import command, helpers, joined
from hardening.mechanism.fragment import Fragment, Spec
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.kinds import Flag
from hardening.mechanism.mechanism import Context, Mechanism, Verification, Violation
from hardening.mechanism.schema import scalar
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins
from hardening.runs import receipt as receipts
from hardening.trace import calls
from tests.support import loosenings, runs
from tests.support.features import require
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

NICE = ["/usr/bin/nice", "-n", "19"]  # as low as it can be, whatever the caller's is


@attrs.frozen
class Settings:
    """Composed `[polite]`."""

    enabled: bool = scalar(Flag(strict=True), True, "Whether the command leaves the processors to others.")


class Polite(Mechanism[Settings]):
    """The mechanism behind `[polite]`."""

    name = "polite"
    summary = "a low priority"

    def contribute(self, settings: Settings, context: Context, fragment: Fragment) -> None:
        if settings.enabled:
            fragment.confine(NICE, "polite.enabled")

    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Sequence[Violation]:
        self.contribute(settings, context, fragment)
        return ()

    def inputs(self, settings: Settings, context: Context) -> Inputs:
        return ()

    def verify(self, settings: Settings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
        number = calls.native("setpriority", 0).number
        made = [call for helper in receipt["helpers"] for call in helper["calls"] if call["number"] == number]
        found = [call["arguments"][2] for call in made if call["result"] == 0]
        lowest = min(found, default=0) >= 19
        yield Verification.of("polite.enabled", "19 or more", str(found), lowest or not settings.enabled)


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Polite(),)


PLUGINS = Plugins((*runs.installed().plugins, Plugin("polite", sys.modules[__name__], "acme-polite", "1")))


#: What the command says of itself: its priority, and the words of its process.
SAID = ("/bin/sh", "-c", "cut -d' ' -f19 /proc/self/stat; tr '\\0' ' ' < /proc/$$/cmdline")


def launched(
    spec: Spec, args: Sequence[str], runtime: str, user: User | None, folder: Path, *, confined: bool = True
) -> subprocess.CompletedProcess[str]:
    """A launch of what was composed with these words as its command, and a receipt; but for a helper where it is not to be
    ``confined``."""
    document = spec.document
    document["process"]["args"] = joined(helpers(document) if confined else (), args)
    if not confined:
        del document["annotations"][HELPERS]
    (folder / "bundle/config.json").write_bytes(to_json(document))
    argv = runs.launch_argv(runtime, folder, user, receipt=folder / "receipt.json")
    environment = user.environment if user is not None else os.environ
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", env=environment, timeout=60)


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize("caller", ["root", "user"])
def test_a_helper_is_executed_as_the_command_and_executes_it(caller: str, runtime: str) -> None:
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    layers = [loosenings.FIRST, "[seccomp]\nallow = ['@strict', '@resources']"]
    with runs.workplace() as folder:
        _, assembly = loosenings.assembled(layers, PLUGINS, user, folder)
        spec = assembly.spec
        bundle.write(spec, folder / "bundle")
        runs.hand_over(folder, user)
        assert spec.document["process"]["args"] == [*NICE, "--", *command(spec.document)]

        def results(args: Sequence[str], *, confined: bool = True) -> tuple[int, list[str], list[str]]:
            done = launched(spec, args, runtime, user, folder, confined=confined)
            report = receipts.read(folder / "receipt.json")
            failing = [line[0] for line in loosenings.held(report, layers, PLUGINS, user, folder).failing]
            return done.returncode, done.stdout.splitlines(), failing

        assert results(SAID) == (0, ["19", " ".join([*SAID, ""])], [])
        assert results(SAID, confined=False) == (0, [str(os.nice(0)), " ".join([*SAID, ""])], ["polite.enabled"])
        assert [launched(spec, words, runtime, user, folder).returncode for words in
                (["sh", "-c", "exit 3"], ["/etc/passwd"], ["no-such-command"])] == [3, 126, 127]  # fmt: skip
