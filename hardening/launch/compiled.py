"""Imports of the stage's own modules straight from their compiled files.

The import system searches each entry of `sys.path` for each module, in Python, which takes longer than loading what it
finds. Here the place is known: the file that it has compiled itself, beside the source, under the same conditions (PEP 552:
the interpreter's magic number, and time and size of the source). Whatever is not as expected is left to the import system.

What is always needed together is loaded in one go (`load`), without the import system's locks and specs for each.
"""

from __future__ import annotations

import gc
import marshal
import sys

from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, ModuleType
    from typing import Any

PACKAGES = ("hardening", "hardening.launch")
HEADER = 16  # bytes before the code: magic number, flags, and the source's time and size
#: What a plan takes that is ready; what every launch takes up to its runtime, and a native one up to its process. Each
#: module stands after those that it imports itself (`load`).
PLANS = (
    "errors", "files", "places", "held", "jsontext", "digest", "frozen", "bundle", "looks", "plans", "signals",
    "guarded", "quick",
)  # fmt: skip
STAGE = (
    "errors", "files", "places", "jsontext", "digest", "frozen", "bundle", "leases", "abi", "_libc", "kernel",
    "failure", "signals", "cleaning", "guarded", "recording", "main",
)  # fmt: skip
NATIVE = (
    "plan", "config_mounts", "reader", "config_linux", "config_process", "config", "links", "sources", "starting",
    "channel", "native",
)  # fmt: skip
#: What watches the command of a native launch.
WATCH = ("lookup", "memory", "supervise", "setup")

LONGEST = 1 << 16  # bytes of a compiled file that is read here


class Compiled:
    """A finder, and loader of one module (importlib.abc.MetaPathFinder, Loader)."""

    def __init__(self, places: dict[str, str], spec_type: Any, magic: bytes, tag: str) -> None:
        self._places = places  # package -> directory
        self._spec_type = spec_type
        self._magic = magic
        self._tag = tag
        self._codes: dict[str, CodeType] = {}
        self._kept: dict[str, tuple[str, bytes]] = {}
        # One for all files: a buffer of its own for each would be a mapping of its own.
        self._buffer = bytearray(LONGEST)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        """The spec of a module, None where the import system is to find it."""
        found = self._kept.pop(name, None) or self._find(name)
        if found is None:
            return None
        source, data = found
        self._codes[name] = marshal.loads(memoryview(data)[HEADER:])  # noqa: S302 - what the import system does
        return self._spec(name, source)

    def _spec(self, name: str, source: str) -> Any:
        spec = self._spec_type(name, self, origin=source)
        spec.has_location = True
        return spec

    def load(self, name: str) -> bool:
        """Import a module whose package is imported already; False where the import system is to do it."""
        found = self._kept.pop(name, None) or self._find(name)
        if found is None:
            return False
        source, data = found
        code = marshal.loads(memoryview(data)[HEADER:])  # noqa: S302
        package, _, stem = name.rpartition(".")
        module: Any = type(sys)(name)
        module.__spec__, module.__loader__ = self._spec(name, source), self
        module.__package__, module.__file__ = package, source
        sys.modules[name] = module
        complete = False
        try:
            exec(code, module.__dict__)  # noqa: S102
            complete = True
        finally:
            if not complete:
                del sys.modules[name]
        setattr(sys.modules[package], stem, module)
        return True

    def keep(self, name: str) -> bool:
        """Read a module that will be imported where its file is out of reach; whether it is there."""
        found = self._find(name)
        if found is not None:
            self._kept[name] = (found[0], bytes(found[1]))
        return found is not None

    def _find(self, name: str) -> tuple[str, bytes | memoryview] | None:
        """The source of a module, and what its compiled file holds; until the next call, it is in the buffer."""
        package, _, stem = name.rpartition(".")
        directory = self._places.get(package)
        if directory is None:
            return None
        source = f"{directory}/{stem}.py"
        try:
            status = os.stat(source)
            fd = os.open(f"{directory}/__pycache__/{stem}.{self._tag}.pyc", os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.readv(fd, [self._buffer])
            finally:
                os.close(fd)
        except OSError:
            return None
        stamp = b"".join(
            (number & 0xFFFFFFFF).to_bytes(4, "little") for number in (0, int(status.st_mtime), status.st_size)
        )
        data = memoryview(self._buffer)[:size]
        return (source, data) if data[:HEADER] == self._magic + stamp and size < LONGEST else None

    def create_module(self, _spec: object) -> None:
        """Leave it to the import system to make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        exec(self._codes.pop(module.__name__), module.__dict__)  # noqa: S102 - this is importing


def use(names: Iterable[str] = ()) -> None:
    """Find the modules of `hardening` and `hardening.launch` that are imported from now on this way, and `load` some."""
    # Until the watch over the command begins nothing is made that only the collector would free (Supervisor.watch).
    gc.disable()
    import _frozen_importlib
    import _frozen_importlib_external

    tag = sys.implementation.cache_tag
    places = {name: sys.modules[name].__path__[0] for name in PACKAGES}
    if tag is not None and sys.pycache_prefix is None:
        found = Compiled(places, _frozen_importlib.ModuleSpec, _frozen_importlib_external.MAGIC_NUMBER, tag)
        sys.meta_path.insert(0, found)
    load(names)


def load(names: Iterable[str]) -> None:
    """Import modules in this order: one of the tables above, or what `read_ahead` was called with. As far as that can be:
    what is left is imported where it is asked for."""
    finder = _finder()
    if finder is None:
        return
    for name in map(full_name, names):
        if name not in sys.modules and not finder.load(name):
            return


def full_name(name: str) -> str:
    """The whole name of a module of the tables."""
    return "hardening.errors" if name == "errors" else f"hardening.launch.{name}"


def _finder() -> Compiled | None:
    return next((found for found in sys.meta_path if isinstance(found, Compiled)), None)


def read_ahead(names: Iterable[str]) -> None:
    """Make sure that modules can be imported from now on without their files: read, or else imported already."""
    finder = _finder()
    for name in map(full_name, names):
        if name not in sys.modules and (finder is None or not finder.keep(name)):
            __import__(name)
