"""The start of ``hardening run`` and ``hardening launch``: a plan that is ready is run by this process, and everything
else is left to the whole program.

It runs without `site` and imports what the launch stage imports. Whatever is not as expected is no error here: the whole
program finds it again, and has the words for it.
"""

from __future__ import annotations

import sys

from hardening.launch import compiled, files, leftovers, places, plans
from hardening.launch.guarded import guarded
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.plans import Found

#: A shell that asks how to complete a line gets its answer from the whole program.
COMPLETING = "_HARDENING_COMPLETE"


def main(program: str) -> int | None:
    """Run the plan for the words in `sys.argv`; ``program`` is the path of the whole program. The exit code, None where
    there is no plan."""
    return guarded(lambda: _run(program, sys.argv[1:]))


def _run(program: str, words: list[str]) -> int | None:
    environment = files.environment()
    found = plans.find(words, environment) if COMPLETING not in environment else None
    if found is None or _would_hang(found):
        return None
    if _has_to_tidy():
        _tidy(program)
    sys.path += [place for place in found.path if place not in sys.path]
    compiled.load(compiled.STAGE)
    from hardening.launch.main import launch, parse

    arguments = parse([*_named(found), found.bundle.directory])
    if found.notes:
        os.write(2, "".join(f"{note}\n" for note in found.notes).encode("utf-8", "backslashreplace"))
    return launch(arguments, found.bundle)


def _would_hang(found: Found) -> bool:
    """Whether the command would get a terminal and wait for keys that nobody can type."""
    if "--interactive" not in found.words or "--detach" in found.words or os.isatty(0):
        return False
    document = found.bundle.document
    process = document.get("process") if isinstance(document, dict) else None
    return isinstance(process, dict) and process.get("terminal") is True


def _has_to_tidy() -> bool:
    try:
        return leftovers.any_left(places.state(files.environment(), os.geteuid()))
    except OSError:
        return True


def _tidy(program: str) -> None:
    """Let the whole program do what it does at every start. Where it cannot, it will say so at the next one."""
    null = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        pid = os.posix_spawn(program, ["hardening", "tidy"], os.environ, file_actions=null)
    except OSError:
        return
    os.waitpid(pid, 0)


def _named(found: Found) -> list[str]:
    """The arguments of the launch stage, with a name for this launch that no other one has."""
    words = list(found.words)
    identity = places.new_id()
    for option, value in (("--id", identity), ("--record", f"{files.parent(_value(words, '--record'))}/{identity}")):
        if option in words:
            words[words.index(option) + 1] = value
    return words


def _value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words else ""
