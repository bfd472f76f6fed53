"""The cache: stacks that were composed, each good for every command, and all that decided them.

An *entry* is a directory of the caller's state directory: `entry.json`, and for ``hardening run`` the bundle beside it. It
lies below a *key*: the words of a command line up to the command, who typed them, and the versions. It is valid only while
every fingerprint that its composition took is the same again (`hardening.launch.fingerprints`), and while the files of its
bundle are what they were. What a run decides is left open in it and filled in at each (`hardening.launch.config.variables`):
the command, and the values of variables. Nothing is trusted that somebody else than the caller could have written; and where
the administrator of the machine binds the caller, nothing that the caller could (`is_bound`).

Any number of launches use an entry at once, under a shared lock (flock(2)). One whose configuration names what a single
container can have (a control group, a lease) serves one at a time, which locks `entry.json` besides.
"""

from __future__ import annotations

import _stat as stat
import fcntl
import sys

from hardening import __version__
from hardening.base import files, jsontext, places, trusted
from hardening.base.digest import sha256
from hardening.base.frozen import Frozen
from hardening.base.linux.system import os
from hardening.base.pointer import lookup
from hardening.errors import LaunchError, UsageError
from hardening.launch import fingerprints
from hardening.launch.config import bundle as bundles
from hardening.launch.config.bundle import Bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, TypeAlias

    #: What was seen at the composition, by kind and argument.
    Fingerprints: TypeAlias = Mapping[str, Mapping[str, str]]

FILE = "entry.json"
BUNDLE = "bundle"
#: Kinds of fingerprints of which entries of one key may hold different ones, each of which can come again.
VARYING = ("variable", "passed", "folder", fingerprints.COMMAND)
#: Changed by every change of what is stored and how it is read.
FORMAT = 6
#: What stands before the command: the options alone, or an image behind them; and a bundle, behind which nothing does.
HOST, IMAGE, LAUNCH = "host", "image", "launch"
END = "--"
NAME = "--name"
#: The key of the machine's configuration by which layers have to be signed.
SIGNED = "require_signed_by"
#: The most words before an image.
MOST = 64
#: What a run says that has been given input, and does not pass it on.
LOST = "standard input is not passed on: add -i"
_SEEK_CUR = 1  # lseek(2)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Line(Frozen):
    """A command line. ``options`` are its words up to the command, an image included, without the ``name`` of the container,
    which decides nothing of the stack; ``kind`` says what they end with."""

    kind: str
    options: tuple[str, ...]
    command: tuple[str, ...]
    name: str = ""

    @classmethod
    def of(cls, kind: str, options: Sequence[str], command: Sequence[str]) -> Line:
        """The line of these words. The name is told apart where it is given once."""
        found = [index for index, word in enumerate(options) if word == NAME or word.startswith(f"{NAME}=")]
        if len(found) != 1:
            return cls(kind=kind, options=tuple(options), command=tuple(command))
        before, (word, *rest) = options[: found[0]], options[found[0] :]
        if word == NAME and not rest:  # the name is missing
            return cls(kind=kind, options=tuple(options), command=tuple(command))
        name = rest.pop(0) if word == NAME else word.partition("=")[2]
        return cls(kind=kind, options=(*before, NAME, "", *rest), command=tuple(command), name=name)


class Found(Frozen):
    """An entry that is valid. ``launch`` is what it keeps of the launch request, ``name`` is the one that was typed for the
    container, ``loses`` says whether it is to be told where input is not passed on, ``locks`` are the descriptors that hold
    the entry, none for a bundle elsewhere."""

    bundle: Bundle
    launch: Mapping[str, object]
    name: str
    notes: tuple[str, ...]
    loses: bool
    locks: tuple[int, ...]

    def release(self) -> None:
        """Let go of the entry."""
        for lock in self.locks:
            os.close(lock)


def lines(words: Sequence[str]) -> Iterator[Line]:
    """The lines that words can be. Which of them it is, this does not know: it has no list of options. But a key is made of
    words that the whole program has read as options that end there, and a parser that goes from left to right reads the
    same words alike, whatever follows. So where there is a key for one of them, it is that one."""
    if list(words[:1]) == ["launch"]:
        yield Line.of(LAUNCH, (*words, os.getcwd()), ())
    if list(words[:1]) != ["run"]:
        return
    end = words.index(END) if END in words else len(words)
    if end < len(words):
        yield Line.of(HOST, words[:end], words[end + 1 :])
    for last in range(1, min(end, MOST)):
        command = words[last + 1 :]
        if list(command[:1]) == [END]:
            command = command[1:]
        elif "".join(command[:1]).startswith("-"):  # which may be an option at the wrong place
            continue
        if not words[last].startswith("-"):
            yield Line.of(IMAGE, words[: last + 1], command)


def key(line: Line) -> str:
    """The name of what decides a stack, beside what is looked at again: the options, the caller, the versions."""
    return _key(line, facts())


def facts() -> tuple[object, ...]:
    """What every key of this process holds."""
    mask = os.umask(0o077)
    os.umask(mask)
    host = os.uname()
    return (
        FORMAT,
        __version__,
        sys.version,
        host.release,
        host.machine,
        os.getresuid(),
        os.getresgid(),
        sorted(os.getgroups()),
        mask,
    )


def _key(line: Line, known: tuple[object, ...]) -> str:
    return sha256(repr((*known, line.kind, line.options)).encode("utf-8", "surrogateescape"))


def has_input() -> bool:
    """Whether standard input was given for a command to read: a file with something left in it, or a pipe in which
    something waits. A terminal is there in any case, and jobs that nobody talks to have a pipe that never says anything."""
    status = os.fstat(0)
    if stat.S_ISREG(status.st_mode):
        return status.st_size > os.lseek(0, 0, _SEEK_CUR)
    if not stat.S_ISFIFO(status.st_mode):
        return False
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(0, POLLIN)
    return any(found & POLLIN for _, found in waiting.poll(0))


def is_bound() -> bool:
    """Whether the administrator binds this caller, by a stack before every other or by signatures: an entry that is theirs
    to write would shed that. In doubt they are bound. Root, whose entries nobody else writes, is not."""
    try:
        os.lstat(places.ENFORCED)
    except FileNotFoundError:
        try:
            said = files.read(places.CONFIGURATION)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        if SIGNED not in said and "\\" not in said:  # by which TOML could spell the key in another way
            return False
    except OSError:
        return True
    return os.geteuid() != 0 or trusted.root() != 0  # in a user namespace everybody can be 0


def find(words: Sequence[str], environment: Mapping[str, str]) -> Found | None:
    """The entry for a command line, filled in and locked; None where there is none that is valid."""
    opened: list[int] = []
    try:
        if is_bound():
            return None
        os.getcwd()  # where there is none, the whole program says so
        place = places.state(environment, os.geteuid())
        trusted.require_secure_path(place)
        for step in (place, places.CACHE):
            opened.append(own(step, _DIRECTORY, opened[-1] if opened else None))
        kept, known = frozenset(os.listdir(opened[-1])), facts()
        named = ((_key(line, known), line) for line in lines(words))
        name, line = next((found for found in named if found[0] in kept), ("", None))
        if line is None or (NAME in line.options and not line.name):  # an empty one is refused
            return None
        opened.append(own(name, _DIRECTORY, opened[-1]))
        for entry in _recent_first(opened[-1]):
            path = f"{place}/{places.CACHE}/{name}/{entry}"
            found = _try(path, entry, opened[-1], line, environment)
            if found is not None:
                return found
    except (OSError, UsageError):  # the second is told by whoever composes
        return None
    finally:
        for fd in opened:
            os.close(fd)
    return None


def own(name: str, flags: int, directory: int | None = None) -> int:
    """Open what belongs to the caller, and what no other can write; raises `OSError` for anything else."""
    fd = os.open(name, flags, dir_fd=directory)
    if not trusted.is_own(os.fstat(fd), fd):
        os.close(fd)
        raise PermissionError(f"{name} belongs to another user, or can be written by others")
    return fd


def _recent_first(directory: int) -> list[str]:
    names = os.listdir(directory)
    if len(names) > 1:
        names.sort(key=lambda name: os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, reverse=True)
    return names


def _try(path: str, name: str, directory: int, line: Line, environment: Mapping[str, str]) -> Found | None:
    """One entry if it is valid. One that never will be again loses its file."""
    locks: list[int] = []
    found = None
    try:
        locks.append(own(name, _DIRECTORY, directory))
        fcntl.flock(locks[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = _open(locks, path, line, environment)
    except OSError:  # it is in use, or somebody takes it away
        found = None
    finally:
        if found is None or not found.locks:
            for lock in locks:
                os.close(lock)
    return found


def _open(locks: list[int], path: str, line: Line, environment: Mapping[str, str]) -> Found | None:
    """The entry of a directory that this process has locked."""
    entry = locks[0]
    try:
        kept = read(entry, path)
        seen = dict(kept["inputs"])
        elsewhere = kept["bundle"]
        command = () if elsewhere else (*kept["before"], *(line.command or kept["otherwise"]))
        if seen.pop(fingerprints.COMMAND, {}) not in ({}, {"": fingerprints.of_command(command)}):
            return None
        wrong = "the day" if kept["until"] and today() > kept["until"] else mismatch(seen)
        if not wrong and (elsewhere or _is_whole(kept, f"{path}/{BUNDLE}")):
            program = "" if elsewhere else kept["files"].get(bundles.FILTER, "")
            loaded = bundles.load(elsewhere or f"{path}/{BUNDLE}", kept["config"], program)
            if not elsewhere:
                if kept["alone"]:
                    locks.append(own(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, entry))
                    fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _has_lost_its_group(loaded.document):
                        return None
                if not _fill(loaded, kept, line, command, environment):
                    return None
            os.utime(entry)
            return Found(
                bundle=loaded,
                launch=kept["launch"],
                name=line.name,
                notes=tuple(map(str, kept["notes"])),
                loses=kept["loses"] is True,
                locks=() if elsewhere else tuple(locks),
            )
    except (LaunchError, LookupError, TypeError, AttributeError, ValueError):
        wrong = FILE
    if wrong.partition(" ")[0] not in VARYING:  # the next call may have that again
        remove(entry)
    return None


def _fill(
    loaded: Bundle, kept: dict[str, Any], line: Line, command: Sequence[str], environment: Mapping[str, str]
) -> bool:
    """Fill in what the line decides: the command, and the values of variables. False for a command of which only the whole
    program can say what is wrong. Raises as `variables.fill` and `variables.find` do."""
    from hardening.launch.config import variables

    if not command or not command[0] or not all(map(files.is_text, command)):
        return False
    if line.kind == HOST and "/" in command[0]:
        from hardening.launch.config import shown

        if shown.is_hidden(loaded, command[0]):
            return False
    values = variables.find(kept["values"], line.options, environment)
    variables.fill(loaded.document, values, command if kept["open"] else None)
    return True


def remove(entry: int) -> None:
    """Take the file of an open entry away, which goes then. Raises `OSError`."""
    os.unlink(FILE, dir_fd=entry)


def read(entry: int, path: str) -> dict[str, Any]:
    """What an open entry says. Raises `LaunchError` for one that is missing, broken or not the caller's."""
    data = bundles.read_file(entry, FILE, path, jsontext.MAX_BYTES)
    digest, _, text = data.partition(b"\n")
    if sha256(text).encode() != digest:
        raise LaunchError("is not what was written", origin=f"{path}/{FILE}")
    found: dict[str, Any] = jsontext.parse(text, path, checked=True)  # type: ignore[assignment]
    return found


def mismatch(seen: Fingerprints) -> str:
    """The first fingerprint that is another one than at the composition, or ''."""
    for kind, table in seen.items():
        for argument, text in table.items():
            if fingerprints.take(kind, argument) != text:
                return f"{kind} {argument}"
    return ""


def today() -> str:
    """The day in UTC, as in ``2030-12-31``: by the calendar of TZ the caller could live on an earlier one."""
    from time import gmtime

    now = gmtime()
    return f"{now[0]:04}-{now[1]:02}-{now[2]:02}"


def _is_whole(kept: dict[str, Any], bundle: str) -> bool:
    """Whether an entry's bundle is as it was written. `config.json` and the filter are held to their digests where they are
    read."""
    try:
        status = os.lstat(bundle)
        if not stat.S_ISDIR(status.st_mode) or not trusted.is_own(status, bundle):
            return False
        for name, digest in kept["files"].items():
            if name != bundles.FILTER and fingerprints.file(f"{bundle}/{name}") != digest:
                return False
        return bool(fingerprints.tree(bundle) == kept["tree"])
    except OSError:
        return False


def _has_lost_its_group(document: object) -> bool:
    """Whether something else is in the control group that a configuration names."""
    name = lookup(document, "/linux/cgroupsPath")
    if not isinstance(name, str) or not name:
        return False
    from hardening.launch.cgroup import removal

    return removal.is_taken(name)
