"""Protected and masked paths that are patterns (`hardening.base.patterns`)."""

from __future__ import annotations

import _stat as stat

from hardening.base import patterns
from hardening.base.linux.system import os
from hardening.launch.native.mounts import MaskPath, ProtectPath
from hardening.launch.native.root import Root


class ProtectMatching(ProtectPath):
    """All paths that match, read-only."""

    def paths(self, root: Root) -> list[str]:
        return _expand(root, self.path)


class MaskMatching(MaskPath):
    """All paths that match, masked."""

    def paths(self, root: Root) -> list[str]:
        return _expand(root, self.path)


def _expand(root: Root, pattern: str) -> list[str]:
    return patterns.expand(pattern, lambda place: _names(root, place))


def _names(root: Root, place: str) -> list[str]:
    """The names in a directory of the root; none in what is no directory. `OSError` where they cannot be told."""
    fd = root.find_if_present(place)
    if fd is None:
        return []
    is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    os.close(fd)
    if not is_directory:
        return []
    directory = root.find(place, os.O_RDONLY | os.O_DIRECTORY)
    names = os.listdir(directory)
    os.close(directory)
    return names
