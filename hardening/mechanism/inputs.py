"""What a composition depends on besides the words of its command line, so that a stack that has not changed is not composed
again (`hardening.cache.validity`).

A mechanism, a runtime and a plugin that judges declare what they look at: every file, directory, link and variable whose
change could change what they answer. Most need a handful of the functions here. Who declares nothing, or cannot, yields an
`Unknown`: then nothing is stored, and everything is composed at every call.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from hardening.base import patterns
from hardening.base.digest import sha256
from hardening.base.linux.resolution import resolve
from hardening.base.values import frozen
from hardening.launch import fingerprints

_ACCOUNT_FILES = ("files", "compat", "systemd")


@frozen
class Input:
    """A kind and an argument of `hardening.launch.fingerprints`. ``seen`` is the fingerprint of when it was used, None where
    it is to be taken now."""

    kind: str
    argument: str
    seen: str | None = None

    def __attrs_post_init__(self) -> None:
        """Raises `ValueError` for a kind that there is not, and `TypeError` for an argument that is no text."""
        if self.kind not in fingerprints.KINDS and self.kind != fingerprints.COMMAND:
            raise ValueError(
                f'there is no kind of input "{self.kind}": they are {", ".join(sorted(fingerprints.KINDS))}'
            )
        if not isinstance(self.argument, str):
            raise TypeError(f"an input of {type(self.argument).__name__}: its argument is a text")


@frozen
class Unknown:
    """Something that no fingerprint can tell, and why."""

    reason: str


Inputs = Iterable[Input | Unknown]


def way(path: str | os.PathLike[str], root: str = "/") -> Iterator[Input]:
    """Whether ``path`` exists, of which type, with whose rights, and where it leads: every name on the way to it, links
    followed. With ``root`` the path is one inside that directory, and so are its links."""
    top = root.rstrip("/")
    return (Input("name", top + name) for name in resolve(os.fspath(path), root).names)


def passed_over(path: str) -> Iterator[Input]:
    """A place where a search has seen nothing, whatever is there by now. Nor does it see what it may not look at."""
    now = fingerprints.take("name", path)
    yield Input("name", path, now if now.startswith("!") else fingerprints.ABSENT)


def file(path: str | os.PathLike[str], seen: str | None = None) -> Iterator[Input]:
    """The content of a file, and the way to it. ``seen`` is the SHA-256 (hexadecimal) of what was read of it."""
    yield from way(os.path.abspath(path))
    yield Input("file", os.path.abspath(path), seen)


def entries(path: str | os.PathLike[str]) -> Iterator[Input]:
    """The names in a directory, with their types and the targets of links."""
    yield from way(path)
    yield Input("entries", os.fspath(path))


def program(path: str | os.PathLike[str]) -> Iterator[Input]:
    """A program or a library: which file it is, and that nobody has changed it."""
    yield from way(path)
    yield Input("code", os.fspath(path))


def names(path: str) -> Inputs:
    """The names of a file: as long as it is the same and has one, it is no hard link of another. Nothing tells where the
    others of a file with several are."""
    try:
        status = os.stat(path)
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode):
        return
    if status.st_nlink > 1:
        yield Unknown(f"{path} has other names, which may come to lie anywhere")
    yield Input("inode", path)


def lines(path: str, *words: str) -> Iterator[Input]:
    """The lines of a file that begin with certain words, and nothing else of it."""
    yield Input("lines", "\n".join((path, *words)))


def kernel(*paths: str) -> Iterator[Input]:
    """The content of files below /proc or /sys."""
    for path in paths:
        yield Input("file", path)


def access(letters: str, path: str) -> Iterator[Input]:
    """Which of the rights ``r``, ``w`` and ``x`` the caller has on a file."""
    yield Input("access", f"{letters} {path}")


def mounts(*kinds: str) -> Iterator[Input]:
    """The caller's mounts, or those of some types of file systems."""
    yield Input("mounts", " ".join(kinds))


def environment(*names: str) -> Iterator[Input]:
    """Variables of the environment, of which only digests are kept."""
    for name in names:
        yield Input("variable", name)


def passed(*names: str) -> Iterator[Input]:
    """Variables whose values are in the configuration as the caller has them, and decide nothing else: each run has its
    own."""
    for name in names:
        yield Input("passed", name)


def before(moment: int) -> Iterator[Input]:
    """That a moment, in seconds since 1970, has not come: what is judged counts until then."""
    yield Input("before", str(moment), "yes")


def folder() -> Iterator[Input]:
    """The folder where the caller stands, for what counts from there."""
    yield Input("folder", "")


def command(words: Sequence[str]) -> Iterator[Input]:
    """The command, for what was judged of this one alone."""
    yield Input(fingerprints.COMMAND, "", fingerprints.of_command(words))


def pattern(text: str, top: str = "") -> Iterator[Input]:
    """What a pattern (`hardening.base.patterns`) means below a directory: what is searched, and the ways."""
    searched: list[str] = []

    def listing(place: str) -> list[str]:
        searched.append(place)
        try:
            return os.listdir(place)
        except OSError:
            return []

    found = patterns.expand(text, listing, top)
    for place in searched:
        yield from entries(place)
    for path in found:
        yield from way(path)


def accounts(uid: int) -> Inputs:
    """The name of a user, and of groups (nsswitch.conf(5)). Unknown where it may come from elsewhere than files."""
    for path in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf"):
        yield from file(path)
    if _elsewhere() and not _has_line(uid):
        yield Unknown(f"the account of uid {uid} may come from elsewhere than /etc/passwd")


def _elsewhere() -> bool:
    try:
        with open("/etc/nsswitch.conf", encoding="utf-8", errors="replace") as text:
            rows = [line.partition("#")[0].split() for line in text]
    except OSError:
        return False
    return any(row[0] in ("passwd:", "group:") and set(row[1:]) - set(_ACCOUNT_FILES) for row in rows if row)


def _has_line(uid: int) -> bool:
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as text:
            return any(line.split(":")[2:3] == [str(uid)] for line in text)
    except OSError:
        return False


def take(found: Iterable[Input]) -> dict[str, dict[str, str]]:
    """What is seen at each input, by kind and argument: when it was used, or else now."""
    items = list(found)
    taken: dict[str, dict[str, str]] = {}
    for item in items:
        if item.seen is not None:
            taken.setdefault(item.kind, {}).setdefault(item.argument, item.seen)
    for item in items:
        table = taken.setdefault(item.kind, {})
        if item.argument not in table:
            table[item.argument] = _VARIABLES.get(item.kind, fingerprints.take)(item.kind, item.argument)
    return taken


def _variable(kind: str, name: str) -> str:
    """What is seen of a variable of this process, of which `posix` knows only what it was started with."""
    value = os.environb.get(os.fsencode(name))
    if kind == "passed":
        return fingerprints.of_passed(value)
    return fingerprints.ABSENT if value is None else sha256(value)


_VARIABLES = {"variable": _variable, "passed": _variable}
