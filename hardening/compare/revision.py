"""A profile as a revision of git has it, with all that it names there.

What a text of a profile names as a path of the same revision (another profile, a filter, a key) is written beside it in a
private folder, where it is read as any profile is. Nothing of the working tree is looked at, and no program of the
repository's is run: the objects are read (git-cat-file(1)), without filters of attributes or hooks.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from hardening.base import places, programs, wholefile
from hardening.base.jsontext import MAX_BYTES
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import HostError, UsageError, quoted
from hardening.profile.source import Document, parse_toml, read, singles

_LINK = "120000"
_MOST_LINKS = 40  # as the kernel follows (path_resolution(7))


class NoSuchFile(UsageError):
    """A revision has no file of a name."""


@frozen(eq=False)
class _TreeFile:
    """One file of a tree: its mode as git has it, its object, and its bytes."""

    mode: str
    object: str
    size: int


@frozen(eq=False)
class Revision:
    """A commit of the repository that ``folder`` lies in; ``name`` is how it was asked for."""

    name: str
    folder: str
    commit: str
    files: Mapping[str, _TreeFile]

    @classmethod
    def of(cls, name: str, folder: str) -> Revision:
        """Raises `UsageError` for a name that is no commit's, and where there is no repository."""
        commit = _git(folder, name, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        listed = _git(folder, name, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
        found: dict[str, _TreeFile] = {}
        for row in listed.split(b"\0"):
            head, _, path = row.partition(b"\t")
            words = head.split()
            # Whoever wrote the repository may have written what git itself never does: a name that leads out of it.
            if len(words) == 4 and words[1] == b"blob" and not {b"", b".", b".."} & {*path.split(b"/")}:
                found[os.fsdecode(path)] = _TreeFile(
                    words[0].decode(), words[2].decode(), int(words[3]) if words[3].isdigit() else 0
                )  # 0: it is missing
        return cls(name, folder, commit, found)

    def read(self, path: str) -> bytes:
        """The bytes of a file, or of what a link leads to. Raises `UsageError` for a link out of the revision, and for what
        is too large to be a profile's."""
        entry, place = self.files[path], path
        for _ in range(_MOST_LINKS):
            if entry.mode != _LINK:
                break
            target = os.fsdecode(_git(self.folder, self.name, "cat-file", "blob", entry.object))
            place = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
            if place not in self.files:
                hint = "name a file of the revision"
                raise UsageError(f"a link to {target}, out of the revision", origin=f"{self.name}:{path}", hint=hint)
            entry = self.files[place]
        if entry.size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES} bytes", origin=f"{self.name}:{path}", hint="name a profile")
        return _git(self.folder, self.name, "cat-file", "blob", entry.object)

    def top_path(self, path: str) -> str:
        """A path from the top of the repository, of one that was asked for: ``./x`` counts from the folder, as with
        git-show(1). Raises `NoSuchFile`."""
        if path.startswith(("./", "../")):
            prefix = os.fsdecode(_git(self.folder, self.name, "rev-parse", "--show-prefix").rstrip(b"\n"))
            path = posixpath.join(prefix, path)
        found = posixpath.normpath(path)
        if found not in self.files:
            hint = (
                nearest(found, list(self.files))
                or f"`git ls-tree -r --name-only {quoted(self.name)}` lists what there is"
            )
            raise NoSuchFile(f"no such file in {self.name}", origin=f"{self.name}:{path}", hint=hint)
        return found

    def write(self, path: str, top: Path) -> None:
        """Write a file below ``top``, and all that it names of this revision; in the place of a link, what it leads to."""
        waiting, seen = [path], {path}
        while waiting:
            place = waiting.pop()
            data, target = self.read(place), top / place
            hint = "look at the tree with `git fsck`"
            with wholefile.errors_as(UsageError, "cannot be copied", origin=f"{self.name}:{place}", hint=hint):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            named = _texts(data)
            named.append(posixpath.basename(place) + ".sig")  # which a machine may require
            beside = (posixpath.normpath(posixpath.join(posixpath.dirname(place), text)) for text in named if text)
            found = {other for other in beside if other in self.files and other not in seen}
            waiting += found
            seen |= found


@frozen(eq=False)
class Copy:
    """The copy of a profile at ``path``, in a folder ``top`` that stands for the top of a repository at ``home``."""

    path: Path
    top: Path
    home: Path

    def read(self, path: Path, name: str, *, owner: Owner = Owner.ANY) -> Document:
        """The document of a file, of which the paths count from where it belongs: a volume is no part of a revision. Raises
        as `hardening.profile.source.read` does."""
        document = read(path, name, owner=owner)
        below = path.is_relative_to(self.top)
        return attrs.evolve(document, home=self.home / path.parent.relative_to(self.top)) if below else document


@contextmanager
def checked_out(name: str, path: str, folder: str) -> Iterator[Copy]:
    """A profile as a revision has it, which goes in the end. Raises `UsageError`, and `HostError` without git."""
    revision = Revision.of(name, folder)
    place = revision.top_path(path)
    home = os.fsdecode(_git(folder, name, "rev-parse", "--show-toplevel").rstrip(b"\n"))
    with tempfile.TemporaryDirectory(prefix="hardening-revision-", dir=places.temporary(os.environ)) as top:
        revision.write(place, Path(top))
        yield Copy(Path(top, place), Path(top), Path(home))


def _texts(data: bytes) -> list[str]:
    """Every text that a profile says; none of what is no profile."""
    with suppress(ValueError, RecursionError):
        return list(singles(parse_toml(data.decode())))
    return []


def _git(folder: str, name: str, *words: str) -> bytes:
    # What the caller's environment says of a repository is about another one, as in a hook of git's. An object that is
    # missing is not fetched: the repository says by which program (git(1), GIT_NO_LAZY_FETCH, GIT_ALLOW_PROTOCOL).
    env = {key: value for key, value in programs.environment().items() if not key.startswith("GIT_")}
    env |= {"LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "", "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", folder, "-c", "core.fsmonitor=false", *words]
    try:
        done = programs.run(command, b"", programs.PATIENCE, env=env)
    except FileNotFoundError:
        raise HostError("git is not installed", origin=name, hint="apt install git") from None
    except subprocess.TimeoutExpired:
        raise UsageError("git takes too long", origin=name, hint="look at the repository with `git fsck`") from None
    if done.returncode:
        what, *advice = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        # What is to be done stands below, behind a tab.
        command_line = next((line.strip() for line in advice if line.startswith("\t")), None)
        raise UsageError(
            "no such revision" if "Needed a single revision" in what else what.removeprefix("fatal: "),
            origin=name,
            hint=command_line
            or "write REV:PATH, as git-show(1) takes it, within the repository: HEAD~1:profiles/web.toml",
        )
    return done.stdout
