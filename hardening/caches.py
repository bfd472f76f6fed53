"""Which compiled files count: those that nobody but root and the caller could have written.

The import system runs what lies in a `__pycache__`, whoever has put it there, and makes such directories as the umask lets
it. From `use` on it does neither where others may write: a module there is compiled from its source each time. What is
imported before is the business of whoever starts: `scripts/hardening` and `scripts/hardening-cli`.
"""

import _frozen_importlib_external
import _imp
import os
import stat
import sys

from hardening.launch.group import is_private

TYPE_CHECKING = False  # what is imported here is compiled from its source by `scripts/hardening-cli`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FOLDER = "__pycache__"


def are_believed(package: str) -> bool:
    """Whether compiled files of the modules in a directory count, and if there are none, whether those would that are made
    now. The rule of `scripts/hardening`, which needs it before anything can be imported. One group may write: an ordinary
    user's own (`hardening.launch.group`)."""
    own = os.geteuid()
    place = f"{package}/{FOLDER}"
    try:
        status = os.stat(place)
        mode, owner, group = status.st_mode, status.st_uid, status.st_gid
    except FileNotFoundError:
        mask = os.umask(0o22)
        os.umask(mask)
        place = package
        try:
            mode, owner, group = ~mask, own, os.stat(package).st_gid
        except OSError:
            return False
    except OSError:
        return False
    if owner not in (0, own) or mode & stat.S_IWOTH:
        return False
    return not mode & stat.S_IWGRP or is_private(place, owner, group)


class Loader(_frozen_importlib_external.SourceFileLoader):
    """Loads modules from their sources, and from compiled files that count."""

    def path_stats(self, path: str) -> "Mapping[str, Any]":
        """What a compiled file is compared with. Raises `OSError`, upon which the import system neither reads nor writes one
        (importlib.abc.SourceLoader.path_stats)."""
        if not are_believed(os.path.dirname(path) or "."):
            raise OSError(f"compiled files of {path} do not count")
        return super().path_stats(path)


def use() -> None:
    """Import in this way from now on. Where the caller has named a place for compiled files (`sys.pycache_prefix`), it is
    theirs to keep."""
    if sys.pycache_prefix is not None:
        return
    finder = _frozen_importlib_external.FileFinder.path_hook(
        (_frozen_importlib_external.ExtensionFileLoader, _imp.extension_suffixes()),
        (Loader, _frozen_importlib_external.SOURCE_SUFFIXES),
        (_frozen_importlib_external.SourcelessFileLoader, _frozen_importlib_external.BYTECODE_SUFFIXES),
    )
    # Before the one of the import system, which is the last, and behind what others have put there.
    sys.path_hooks.insert(max(len(sys.path_hooks) - 1, 0), finder)
    for directory, found in list(sys.path_importer_cache.items()):
        if type(found) is _frozen_importlib_external.FileFinder:
            del sys.path_importer_cache[directory]
