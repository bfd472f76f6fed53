"""What was fetched of signatures, in the store: how much of them there may be, and how they are kept.

They are kept for a manifest under one name of it. What another name has of them, or has not, is no matter; and of one name
those that one pull has found do not go because the next one, with other profiles, has looked elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.base import files, locks, wholefile
from hardening.base.files import Opened
from hardening.errors import HardeningError, ImageError

if TYPE_CHECKING:
    from hardening.images.store import ImageStore

#: How the name of each begins in its directory, the most that an image may have, and the most bytes of each.
PREFIX = "signature-"
MOST = 128
LONGEST = 4 << 20


def names(prefix: str = PREFIX) -> Iterator[str]:
    """The names of signatures in a directory, in their order."""
    return (f"{prefix}{number}" for number in range(1, MOST + 1))


def gather(store: ImageStore, found: Iterable[bytes], stage: Path, origin: object, name: str = "found") -> Path:
    """Write signatures down where nothing is kept yet: the directory of them. Raises `ImageError` for too many."""
    made = stage / name
    try:
        made.mkdir(mode=0o700)
        for number, content in enumerate(found, 1):
            if number > MOST or len(content) > LONGEST:
                what = f"has signatures of more than {LONGEST} bytes, or more than {MOST} of them"
                raise ImageError(what, origin=origin, hint="check where its signatures are kept")
            files.create(str(made / f"{PREFIX}{number}"), content, durable=True)
    except OSError as error:
        raise store.failed(error) from None
    return made


def keep(store: ImageStore, target: Path, gathered: Path, stage: Path, judge: Callable[[Path], None]) -> None:
    """Keep in ``target`` what was gathered, beside what is kept there: another stack of profiles may have found that
    elsewhere, and rest on it. ``judge`` is called with a directory that has both, and where it raises `HardeningError`,
    only what was gathered is kept. Raises `ImageError`."""
    try:
        with Opened(locks.lock(str(target.parent))):
            before = _contents(target)
            added = [content for content in _contents(gathered) if content not in before]
            if not added:
                return
            if before and _go_together(store, [*before, *added], stage, judge):
                for content in added:
                    wholefile.add(target, content, names(), 0o600)
                return
            # Between the two there is none, which no policy takes for one.
            with suppress(FileNotFoundError):
                target.rename(stage / "before")
            gathered.rename(target)
            files.sync(str(target.parent))
    except OSError as error:
        raise store.failed(error) from None


def _go_together(store: ImageStore, contents: list[bytes], stage: Path, judge: Callable[[Path], None]) -> bool:
    """Whether the image is accepted with all of them: one that nobody can read spoils the others."""
    if len(contents) > MOST:
        return False
    try:
        judge(gather(store, contents, stage, stage, "together"))
    except HardeningError:
        return False
    return True


def _contents(folder: Path) -> list[bytes]:
    """The signatures in a directory, which need not be there."""
    return [(folder / name).read_bytes() for name in names() if (folder / name).is_file()]
