"""Imports of the modules of packages straight from their compiled files, as `hardening.launch.compiled` has them for the
launch stage. A first composition imports 200 modules, and the import system takes longer to find one than to load it.
"""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external
import _imp
import os
import sys
from typing import Any

from hardening import caches
from hardening.launch.compiled import Compiled

_SOURCE = ".py"


class Packages(Compiled):
    """Finds the modules of every package that is one directory. Where something else could be meant, a package or an
    extension module of the same name, or compiled files do not count, it is left to the import system."""

    def __init__(self) -> None:
        super().__init__({}, _frozen_importlib.ModuleSpec, _frozen_importlib_external.MAGIC_NUMBER)
        self._modules: dict[str, frozenset[str]] = {}

    def find_spec(self, name: str, path: Any = None, _target: object = None) -> Any:
        """The spec of a module, None where the import system is to find it."""
        package, _, stem = name.rpartition(".")
        if path is None or len(path) != 1:
            return None
        if self._places.get(package) != path[0]:
            self._places[package] = path[0]
            self._modules[package] = _plain_modules(path[0]) if caches.are_believed(path[0]) else frozenset()
        return super().find_spec(name) if stem in self._modules[package] else None


def _plain_modules(directory: str) -> frozenset[str]:
    """The modules in a directory of which there is nothing but the source."""
    try:
        names = set(os.listdir(directory))
    except OSError:
        return frozenset()
    others = ("", *_imp.extension_suffixes())
    stems = {name.removesuffix(_SOURCE) for name in names if name.endswith(_SOURCE)}
    return frozenset(stem for stem in stems if not any(stem + other in names for other in others))


def use() -> None:
    """Import in this way from now on, unless compiled files are not to be used. What others have put before the search
    along `sys.path` stays before it."""
    if sys.implementation.cache_tag is None or sys.pycache_prefix is not None:
        return
    search = sys.meta_path.index(_frozen_importlib_external.PathFinder)
    sys.meta_path.insert(search, Packages())
