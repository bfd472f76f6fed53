"""Whether what was seen of a program is of another time: who wrote a layer from it says on what (``hardening learn``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hardening.base.values import frozen


@frozen(eq=False)
class Circumstances:
    """On what a program was seen: the release of the ``kernel``, the version of its C library (``libc``), and the
    ``versions`` of packages by name."""

    kernel: str
    libc: str
    versions: Mapping[str, str]


def changed(seen: Circumstances, now: Circumstances) -> Iterator[str]:
    """What has another version by now than it was seen with, in words; a package that is gone, too."""
    if _series(seen.kernel) != _series(now.kernel):
        yield f"Linux {seen.kernel} was seen, and {now.kernel} runs"
    versions = {**seen.versions, "libc": seen.libc}
    for name, version in sorted(versions.items()):
        found = now.libc if name == "libc" else now.versions.get(name, "")
        if found != version:
            yield f"{name} {version} was seen, and {found or 'none'} is there"


def _series(release: str) -> str:
    """The part of a release that new system calls come with: ``6.12`` of ``6.12.41+deb13-amd64``."""
    return ".".join(release.split(".")[:2])
