"""The start of ``hardening run`` and ``hardening launch``: an entry of the cache is run by this process, and everything
else is left to the whole program.

It runs without `site` and imports what the launcher imports. Whatever is not as expected is no error here: the whole
program finds it again, and has the words for it.

An entry has no say in what is not the container's: it names neither a place to import from nor a program of its own, and no
bundle but its own or one that was typed.
"""

from __future__ import annotations

import sys

from hardening.base import files, places, trusted
from hardening.base.guarded import guarded, require_descriptors
from hardening.base.linux.system import os
from hardening.base.pointer import lookup
from hardening.errors import LaunchError
from hardening.launch import cache
from hardening.launch.container import directory
from hardening.launch.request import from_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from hardening.launch.cache import Found
    from hardening.launch.config.bundle import Bundle
    from hardening.launch.request import LaunchRequest

    Launch: TypeAlias = Callable[[LaunchRequest, Bundle], int]

#: A shell that asks how to complete a line gets its answer from the whole program.
COMPLETING = "_HARDENING_COMPLETE"


def main(program: str) -> int | None:
    """Run the entry for the words in `sys.argv`; ``program`` is the path of the whole program. The exit code, None where
    there is none."""
    return guarded(lambda: _run(program, sys.argv[1:]))


def _run(program: str, words: list[str]) -> int | None:
    files.restore_environment()
    environment = files.environment()
    try:
        require_descriptors()
    except LaunchError:  # for the whole program to say, and to record
        return None
    found = cache.find(words, environment) if COMPLETING not in environment else None
    if found is None:
        return None
    request = _request(found, words, environment)
    if request is not None and _would_hang(request, found.bundle.document):
        request = None
    launch = _launch(program) if request is not None else None
    if request is None or launch is None:
        if found.locks and request is not None:  # it will never be run: the one that is kept next takes its place
            cache.remove(found.locks[0])
        found.release()
        return None
    if _has_to_prune(request.state):
        _prune(program)
    notes = (*found.notes, cache.LOST) if found.loses and cache.has_input() else found.notes
    if notes:
        os.write(2, "".join(f"{note}\n" for note in notes).encode("utf-8", "backslashreplace"))
    return launch(request, found.bundle)


def _would_hang(request: LaunchRequest, document: object) -> bool:
    """Whether the command would get a terminal and wait for keys that nobody can type."""
    if not request.stdin or request.detach or os.isatty(0):
        return False
    return lookup(document, "/process/terminal") is True


def _launch(program: str) -> Launch | None:
    """The launcher; None where the environment of ``program`` does not have what it imports."""
    for more in ((), _of_system(program)):
        sys.path += more
        try:
            from hardening.launch.main import launch
        except ImportError:
            continue
        return launch
    return None


def _of_system(program: str) -> Iterator[str]:
    """Where the interpreter itself has packages, if the environment of ``program`` has those as well: what distributions
    package lies there. Nothing that others can write to is one of these."""
    if not _sees_system(files.join(files.parent(program), "../pyvenv.cfg")):
        return
    base, version = sys.base_prefix, f"{sys.version_info[0]}.{sys.version_info[1]}"
    for library in (f"local/lib/python{version}", "lib/python3", f"{sys.platlibdir}/python{version}"):
        for name in ("site-packages", "dist-packages"):
            place = f"{base}/{library}/{name}"
            try:
                status = os.stat(place)
            except OSError:
                continue
            if trusted.is_of_root_or_own(status, place):
                yield place


def _sees_system(configuration: str) -> bool:
    """Whether an environment has the packages of the system: one of venv says so, and the system is none."""
    try:
        lines = files.read(configuration).split("\n")
    except OSError:
        return True
    said = (line.partition("=")[::2] for line in lines)
    return any((key.strip(), value.strip().lower()) == ("include-system-site-packages", "true") for key, value in said)


def _has_to_prune(state: str) -> bool:
    try:
        return directory.any_left(state)
    except OSError:
        return True


def _prune(program: str) -> None:
    """Let the whole program do what it does at every start. Where it cannot, it will say so at the next one."""
    null = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        argv = [sys.executable, "-I", "-B", program, "prune"]
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=null)
    except OSError:
        return
    os.waitpid(pid, 0)


def _request(found: Found, typed: list[str], environment: dict[str, str]) -> LaunchRequest | None:
    """The launch request, with a name for this launch that no other one has, and places of this caller's; None where an
    entry asks for what was not typed."""
    own = {
        "id": places.new_id(),
        "state": places.state(environment, os.geteuid()),
        "bundle": found.bundle.directory,
        "name": found.name,
    }
    try:
        request = from_entry(found.launch, own)
    except LaunchError:
        return None
    if request.runtime and not _is_typed(request.runtime, typed):
        return None
    if request.name and (places.is_id(request.name) or not places.is_name(request.name)):
        return None
    if not found.locks and not any(files.absolute(word) == request.bundle for word in typed[1:]):
        return None
    return request


def _is_typed(program: str, typed: list[str]) -> bool:
    """Whether another runtime is one of the system's, and the one that was asked for."""
    name = files.base(program)
    if files.parent(program) not in places.OF_RUNTIMES:
        return False
    return any(
        word == f"--runtime={name}" or (word == name and typed[index - 1] == "--runtime")
        for index, word in enumerate(typed)
    )
