"""Containers for attempts: attacks that need the same layers share one, each in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble import bundle, pipeline
from hardening.assemble.spec import to_json
from hardening.base.linux.libseccomp import Libseccomp
from hardening.compose import composition as compose
from hardening.errors import EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE
from hardening.launch.request import START as START_OF_STAGE
from hardening.plugin.plugins import shipped_profiles
from hardening.profile import layers
from tests.escape.attempt import FOLDER, Outcome, Setup
from tests.escape.world import World
from tests.support import runs, shipped

ATTACKS = Path(__file__).parent / "attacks"
PACKAGE = "tests.escape.attacks"

#: Makes the modules of the attacks from the text that comes in, and starts them.
START = """
import json, sys, types
task = json.loads(sys.argv[1]) if len(sys.argv) > 1 else json.load(sys.stdin)
for name in ("tests", "tests.escape", "tests.escape.attacks"):
    sys.modules[name] = types.ModuleType(name)
for name, text in task["modules"].items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
sys.modules["tests.escape.attacks.kit"].main(task)
"""
#: What is said of a launch that was refused as a whole.
NOT_LAUNCHED = "not launched"
COMMAND = ("/usr/bin/python3", "-I", "-S", "-c", START)


def strict() -> tuple[str, str]:
    """The shipped profile `strict` and what it extends, without their limits, which no exception could lift, without
    the second line, which stops what one defence is switched off for, and with another word for what it denies than the
    kernel has for who lacks a capability."""
    profiles = files("hardening_profiles")
    base = (profiles / "base.toml").read_text(encoding="utf-8")
    floor, limits, _ = base.partition("[limits.")
    assert limits
    text = (profiles / "strict.toml").read_text(encoding="utf-8")
    extends = 'extends = ["base"]\n'
    assert extends in text
    default = 'default = "deny"\n'
    assert default in text
    first, second, rest = text.partition("[landlock]\n")
    assert second
    text = first + rest[rest.index("\n[") :]
    return floor, text.replace(extends, "").replace(default, 'default = "errno:ENOSYS"\n')


def numbers(*modules: str) -> dict[str, int]:
    """The numbers of the system calls that the attacks name, on this machine."""
    library = Libseccomp.load()
    text = "".join((ATTACKS / f"{name}.py").read_text() for name in modules)
    names = set(re.findall(r"""(?:call|_answered)\((?:\d+, )?["'](\w+)["']""", text)) | {"add_key", "keyctl"}
    found = {name: library.number(library.native(), name) for name in names}
    return {name: number for name, number in found.items() if number is not None and number >= 0}


def modules_of(attacks: Sequence[str]) -> list[str]:
    """The names of the modules that hold some attacks, the kit first."""
    return ["kit", *dict.fromkeys(name.removeprefix(f"{PACKAGE}.").partition(".")[0] for name in attacks)]


def task(world: World, attacks: Sequence[str]) -> str:
    """What goes into a container: the attacks, their modules, and what they know."""
    modules = modules_of(attacks)
    return json.dumps(
        {
            "attacks": list(attacks),
            "modules": {f"{PACKAGE}.{name}": (ATTACKS / f"{name}.py").read_text() for name in modules},
            "numbers": numbers(*modules),
            "facts": world.facts,
        }
    )


def attack(
    world: World,
    setup: Setup,
    attacks: Sequence[str],
    *,
    base: Sequence[str],
    runtime: str = "native",
    terminal: int | None = None,
) -> dict[str, Outcome]:
    """Run attacks in one container: what came of each. ``base`` are TOML texts or names of shipped profiles.

    ``terminal`` is a terminal in which it is started, and its standard input.
    """
    what = task(world, attacks)
    command = COMMAND if terminal is None else (*COMMAND, what)
    plugins, host = shipped.here(world.user)
    with runs.workplace() as folder:
        texts = [*base, *(text.replace(FOLDER, str(world.folder)) for text in setup.layers)]
        named = [shipped.layer(folder, f"layer-{n}", text) if "\n" in text else text for n, text in enumerate(texts)]
        stack = layers.resolve(named, layers.SearchPath(tuple(shipped_profiles())))
        composition = compose.compose(stack, plugins.mechanisms, host, date.today())
        assembly = pipeline.assembled(plugins, composition, host, command, bundle=folder / "bundle")
        document = assembly.spec.document
        if setup.change is not None:
            setup.change(document)
        bundle.write(attrs.evolve(assembly.spec, config=to_json(document)), folder / "bundle")
        runs.hand_over(folder, world.user)
        code = setup.code.replace(FOLDER, str(world.folder)).replace("ADD_KEY", str(numbers()["add_key"]))
        prefix = [word.replace(FOLDER, str(world.folder)) for word in setup.prefix]
        if terminal is not None:
            prefix += ["setsid", "--ctty", "--wait"]
        done = subprocess.run(
            prefix + with_code(runs.launch_argv(runtime, folder, world.user), code),
            stdin=terminal,
            input=what if terminal is None else None,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=120,
            check=False,
            env=dict(world.user.environment) if world.user is not None else None,
        )
    return outcomes(attacks, done)


def with_code(argv: list[str], code: str) -> list[str]:
    """The command line of a launcher that runs ``code`` when its modules are there and before it launches."""
    place = argv.index(START_OF_STAGE)
    head, separator, tail = START_OF_STAGE.partition("from hardening.launch.main import main;")
    assert separator
    return [*argv[:place], f"{head}\n{code}\n{separator}{tail}", *argv[place + 1 :]]


def outcomes(attacks: Sequence[str], done: subprocess.CompletedProcess[str]) -> dict[str, Outcome]:
    """What the lines of a container say; a container that says nothing, or a broken attack, is an `AssertionError`."""
    if done.returncode in (EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE) and not done.stdout:
        return dict.fromkeys(attacks, Outcome(False, f"{NOT_LAUNCHED}: {done.stderr}"))
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        assert "broken" not in entry, entry["broken"]
        found[entry["attack"]] = Outcome(entry["escaped"], entry["said"])
    assert set(found) == set(attacks), f"{done.returncode}: {done.stdout}{done.stderr}"
    return found
