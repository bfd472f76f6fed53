"""The request for one launch: one record from the command line to the launcher, which gets it as one argument of JSON.

An option that reaches the launcher is one field here, and its name stands in one of `KEPT`, `TYPED` and `OWN`: what a cache
entry may say of it.
"""

from __future__ import annotations

import sys

from hardening.base import files, jsontext, places
from hardening.base.frozen import Frozen
from hardening.base.linux.system import os
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from os import PathLike

# Code on the command line is compiled at every start, so it only imports. Appended directories cannot shadow the
# standard library. The collector waits for the watch over the command (`Supervisor.watch`): until then nothing is made that
# only it would free.
START = (
    "import gc, sys; gc.disable(); sys.path += sys.argv.pop(1).split(':');"
    "from hardening.launch.main import main; import posix; posix._exit(main())"
)
#: How every interpreter of ours is started: isolated, and without writing bytecode.
OPTIONS = ("-I", "-B", "-S")
_KINDS = {"str": str, "bool": bool, "int": int}


class LaunchRequest(Frozen):
    """How a bundle is to be launched. What is left empty was not asked for; a descriptor is -1 then.

    - ``bundle``: the directory with `config.json`; ``sha256``: the digest of that which was admitted, any other is refused.
    - ``id``, ``state``: the name of the launch, and the state directory in which others find it. Without, it is not found.
    - ``runtime``: the whole path of another runtime; the native launcher without.
    - ``crun``: that one behaves as crun does: its log is text, it takes cgroup2 alone, and makes its user namespace itself.
    - ``stdin``: the command gets standard input.
    - ``typed``: somebody has typed the command, who knows of no configuration that could be wrong about it.
    - ``hints``: they may be told, where the command has failed, how to ask what was denied.
    - ``remove``: the bundle goes when the command has ended.
    - ``debug``: each operation of the native launcher is described on standard error when its turn comes.
    - ``receipt``: the file to write the kernel's report to.
    - ``lock``: a descriptor to keep open, whose lock says that the bundle is in use.
    - ``secrets``: the descriptor with the values of the secrets that the bundle names (`hardening.launch.secret.handed`),
      ``variables`` that of the variables of which it has the names alone (`hardening.launch.config.variables`).
    - ``tracer``: a connected socket, to whose other end init's pid is told before it says a word; it goes on when one byte
      has come back (`hardening.launch.native.native.have_traced`).
    - ``name``, ``profiles``: what `hardening ps` shows.
    - ``detach``, ``auto_remove``: it runs in the background; nothing is kept of it when it has ended.
    - ``log_size``: the bytes that the log of a detached container may take.
    """

    bundle: str = ""
    id: str = ""
    state: str = ""
    runtime: str = ""
    crun: bool = False
    stdin: bool = False
    typed: bool = False
    hints: bool = False
    remove: bool = False
    debug: bool = False
    receipt: str = ""
    sha256: str = ""
    lock: int = -1
    secrets: int = -1
    variables: int = -1
    tracer: int = -1
    name: str = ""
    profiles: str = ""
    detach: bool = False
    auto_remove: bool = False
    log_size: int = 16 * 1024 * 1024

    #: What a cache entry may decide, because it follows from what the entry was made for.
    KEPT = ("crun", "stdin", "typed", "hints", "profiles", "detach", "auto_remove", "log_size")
    #: What it may only repeat of the line that was typed.
    TYPED = ("runtime",)
    #: What is this launch's own: no entry decides it.
    OWN = (
        "bundle", "id", "state", "remove", "debug", "receipt", "sha256", "lock", "secrets", "variables", "tracer",
        "name",
    )  # fmt: skip

    @property
    def directory(self) -> str:
        """The launch's own directory (`hardening.launch.container.directory`), '' where it has none."""
        return f"{self.state}/{places.LAUNCHES}/{self.id}" if self.state else ""

    @property
    def runtime_name(self) -> str:
        """The runtime, as people name it."""
        return files.base(self.runtime) or "native"

    def argv(self, bundle: str | PathLike[str], runtime: str = "") -> list[str]:
        """The argv that replaces the calling process by the launcher of ``bundle``: this interpreter, isolated and without
        `site`. ``sys.path`` gets only the directories of `hardening` and `_cffi_backend`, behind the standard library.
        ``runtime`` is the whole path of a program with runc's command line; without, the native launcher runs it."""
        request = self.changed(bundle=files.absolute(os.fspath(bundle)), runtime=runtime)
        return [sys.executable, *OPTIONS, "-c", START, ":".join(_directories()), request.to_json()]

    def to_json(self) -> str:
        """As one argument: a JSON object of the fields that were asked for."""
        return jsontext.dump(self._asked(type(self).__annotations__))

    def kept(self) -> dict[str, object]:
        """What a cache entry keeps of it."""
        return self._asked((*self.KEPT, *self.TYPED))

    def _asked(self, names: Collection[str]) -> dict[str, object]:
        return {name: value for name in names if (value := getattr(self, name)) != getattr(LaunchRequest, name)}


def from_json(text: str) -> LaunchRequest:
    """The request that `LaunchRequest.to_json` has written; `LaunchError` for anything else."""
    request = _checked(
        jsontext.parse(text.encode("utf-8", "replace"), "the launch request"), LaunchRequest.__annotations__
    )
    if not request.bundle:
        raise LaunchError("a launch request names its bundle")
    found = request.state or request.runtime or request.name or request.detach
    if found and not (request.id and request.state):
        raise LaunchError("a launch that others find has an id and a state directory")
    return request


def from_entry(kept: object, own: Mapping[str, object]) -> LaunchRequest:
    """The request of a cache entry, with what is this launch's ``own``. `LaunchError` where the entry says more than it
    may."""
    return _checked(kept, (*LaunchRequest.KEPT, *LaunchRequest.TYPED)).changed(**own)


def of_argv(argv: Sequence[str]) -> LaunchRequest | None:
    """The request in an argv that a runtime has made; None where that starts something else than the launcher."""
    begin = [sys.executable, *OPTIONS, "-c", START, ":".join(_directories())]
    return from_json(argv[-1]) if list(argv[:-1]) == begin else None


def _directories() -> list[str]:
    import importlib.util

    found = []
    for name in ("hardening", "_cffi_backend"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name} is not installed")
        place = files.parent(files.absolute(spec.origin))
        found.append(files.parent(place) if name == "hardening" else place)
    return list(dict.fromkeys(found))


def _checked(value: object, names: Collection[str]) -> LaunchRequest:
    if not isinstance(value, dict):
        raise LaunchError("a launch request is a JSON object")
    for name, found in value.items():
        if name not in names:
            raise LaunchError(f"a launch request does not have {name!r} here")
        if type(found) is not _KINDS[LaunchRequest.__annotations__[name]]:
            raise LaunchError(f"{name} of a launch request is {found!r}")
    return LaunchRequest(**value)
