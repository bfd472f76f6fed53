"""What a bundle that was composed before, or was made elsewhere, binds of images: that it is of the image that it names,
that it cannot be written to, and that the store still has it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening.base import state
from hardening.base.pointer import CONFIG, lookup
from hardening.base.values import frozen
from hardening.errors import ImageError, SpecError
from hardening.mechanism import inputs, used
from hardening.mechanism.inputs import Input
from hardening.mechanism.used import Used

#: File systems that the kernel makes up: the source of such a mount is a word, and no path.
_MADE_UP = ("proc", "sysfs", "tmpfs", "mqueue", "devpts", "cgroup", "cgroup2")
_BIND, _READ_ONLY, _WRITABLE = {"bind", "rbind"}, {"ro", "rro"}, {"rw", "rrw"}
_HINT = "compose the bundle again: `hardening compose -o BUNDLE IMAGE -- COMMAND`"


@frozen
class _Bound:
    """A path of the host that a configuration binds: as it says it, and where that leads. ``decides`` is the pointer of what
    says whether it is ``read_only``."""

    said: str
    path: str
    read_only: bool
    decides: str

    def holder(self, store: str) -> Path | None:
        """The directory of an unpacked image of ``store`` in which it lies; None where it is in none."""
        roots = f"{store}/{state.ROOTS}"
        if not f"{self.path}/".startswith(f"{roots}/"):
            return None
        return Path(roots, self.path.removeprefix(roots).lstrip("/").partition("/")[0])


def require(document: Mapping[str, Any], bundle: Path) -> tuple[Input, ...]:
    """Hold the store of the image that a configuration in the directory ``bundle`` runs, until the launcher has this
    process: nothing is removed meanwhile. What was looked at.

    Raises `SpecError` for one that binds an image of the caller's and does not name it, or names another, and for one that
    could write to it: all runs of an image share its root. Raises `ImageError` where what it binds is not there any more."""
    image = used.of(document)
    bound = list(_bound(document, bundle))
    looked = [look for item in bound for look in inputs.way(item.said)]
    holders = dict.fromkeys(_holders(bound, image))
    if image is None:
        return tuple(looked)
    from hardening.images import removal  # most bundles run no image
    from hardening.images.store import ImageStore

    kept = ImageStore.existing(image.store)
    if kept is not None:
        kept.hold()
    if kept is None or any(kept.unpacked(holder) is None for holder in holders):
        raise ImageError(
            f"{image.reference} ({image.digest}) is no longer in the store",
            origin=image.store,
            hint="pull the same image again, or compose the bundle again from another",
        )
    looked += [look for holder in holders for look in inputs.way(holder / removal.ABOUT)]
    return tuple(dict.fromkeys(looked))


def _holders(bound: list[_Bound], image: Used | None) -> Iterator[Path]:
    """The directories of unpacked images of which something is bound, be they of the named store or of the caller's."""
    own = state.images(os.environ, os.geteuid())
    named = os.path.realpath(image.store) if image is not None else ""
    stores = dict.fromkeys((named, *([os.path.realpath(own)] if own is not None else [])))
    for item in bound:
        for store in filter(None, stores):
            holder = item.holder(store)
            if holder is None:
                continue
            _require_named(holder, image, store == named)
            if not item.read_only:
                raise SpecError(
                    "the root of an image stays read-only: all its runs share it",
                    origin=f"{CONFIG}:{item.decides}",
                    hint="make it read-only, and mount its writable directories separately",
                )
            yield holder


def _require_named(holder: Path, image: Used | None, in_its_store: bool) -> None:
    if image is None:
        raise SpecError(f"it binds the root of an image, {holder.name}, and does not name the image", hint=_HINT)
    if not image.digest:
        raise SpecError(f"it binds the root of an image, {image.reference}, and does not give its digest", hint=_HINT)
    if not in_its_store or not holder.name.startswith(f"{image.digest.replace(':', '-')}-"):
        raise SpecError(
            f"it names the image {image.reference} ({image.digest}), and binds the root of another, {holder}",
            hint=_HINT,
        )


def _bound(document: Mapping[str, Any], bundle: Path) -> Iterator[_Bound]:
    """All paths of the host that a configuration binds. Values of a wrong type are for the runtime to refuse."""
    path = lookup(document, "/root/path")
    yield from _at(
        "rootfs" if path is None else path, bundle, lookup(document, "/root/readonly") is True, "/root/readonly"
    )
    mounts = document.get("mounts")
    for number, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        said = lookup(mount, "/options")
        options = {option for option in said if isinstance(option, str)} if isinstance(said, list) else set()
        if lookup(mount, "/type") in _MADE_UP and not options & _BIND:
            continue
        read_only = bool(options & _READ_ONLY) and not options & _WRITABLE
        yield from _at(lookup(mount, "/source"), bundle, read_only, f"/mounts/{number}/options")


def _at(path: object, bundle: Path, read_only: bool, decides: str) -> Iterator[_Bound]:
    if not isinstance(path, str):
        return
    said = os.path.join(bundle, path)
    try:
        yield _Bound(said, os.path.realpath(said), read_only, decides)
    except PermissionError:  # before Python 3.13, of a link that the caller cannot read, and so cannot follow
        yield _Bound(said, os.path.abspath(said), read_only, decides)
    except ValueError:  # a NUL, or what no name can have: nothing is there
        return
