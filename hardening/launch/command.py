"""The argv that starts the launch stage. Imported by the rest of `hardening`, not by the stage itself."""

from __future__ import annotations

import importlib.util
import os
import sys

from hardening.base.frozen import Frozen

# Code on the command line is compiled at every start, so it only imports. Appended directories cannot shadow the
# standard library. The collector waits for the watch over the command (`Supervisor.watch`): until then nothing is made that
# only it would free.
START = (
    "import gc, sys; gc.disable(); sys.path += sys.argv.pop(1).split(':');"
    "from hardening.launch.main import main; import posix; posix._exit(main())"
)
#: How every interpreter of ours is started: isolated, and without writing bytecode.
OPTIONS = ("-I", "-B", "-S")


class ExternalRuntime(Frozen):
    """Another runtime: its absolute path, and a directory for its state."""

    program: str
    state: str


class Container(Frozen):
    """What is written down of a container, and whether it runs on in the background.

    ``record`` is the directory for it, named by the container's id; ``log_size`` the bytes that its log may take, None for
    the default.
    """

    record: str
    name: str = ""
    profiles: str = ""
    detach: bool = False
    auto_remove: bool = False
    log_size: int | None = None

    @property
    def arguments(self) -> list[str]:
        """As arguments of the launch stage."""
        argv = ["--record", self.record]
        argv += ["--name", self.name] if self.name else []
        argv += ["--profiles", self.profiles] if self.profiles else []
        argv += ["--detach"] if self.detach else []
        argv += ["--auto-remove"] if self.auto_remove else []
        return argv + (["--log-size", str(self.log_size)] if self.log_size is not None else [])


def stage_command(
    bundle: str | os.PathLike[str],
    *,
    keep_stdin: bool = False,
    remove: bool = False,
    typed: bool = False,
    receipt: str | os.PathLike[str] | None = None,
    sha256: str = "",
    identity: str = "",
    hold: int = -1,
    secrets: int = -1,
    variables: int = -1,
    runtime: ExternalRuntime | None = None,
    container: Container | None = None,
) -> list[str]:
    """The argv to `os.execv`: this interpreter, isolated and without `site`, on the launch stage.

    ``sha256`` is the digest of the `config.json` that was checked: the stage refuses any other. ``hold`` is an inheritable
    descriptor that holds the bundle locked, ``secrets`` one with the values of secrets (`hardening.launch.secret.handed`),
    ``variables`` one with those of variables (`hardening.launch.config.variables`).
    ``typed`` says that the command is no bundle's but somebody's who has typed it. ``identity`` names the launch in
    records, and the container under another runtime, which needs one. Without ``container`` nothing is written down of it
    for `hardening ps`. ``sys.path`` gets only the directories that hold `hardening` and `_cffi_backend`, behind the standard
    library.
    """
    argv = [sys.executable, *OPTIONS, "-c", START, ":".join(_directories())]
    if keep_stdin:
        argv.append("--stdin")
    if remove:
        argv.append("--remove")
    if typed:
        argv.append("--typed")
    if receipt is not None:
        argv += ["--receipt", os.fspath(receipt)]
    if hold >= 0:
        argv += ["--hold", str(hold)]
    if secrets >= 0:
        argv += ["--secrets", str(secrets)]
    if variables >= 0:
        argv += ["--variables", str(variables)]
    if sha256:
        argv += ["--sha256", sha256]
    if identity:
        argv += ["--id", identity]
    if runtime is not None:
        argv += ["--runtime-command", runtime.program, "--state", runtime.state]
    if container is not None:
        argv += container.arguments
    return [*argv, os.path.abspath(bundle)]


def _directories() -> list[str]:
    found = []
    for name in ("hardening", "_cffi_backend"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name} is not installed")
        place = os.path.dirname(os.path.abspath(spec.origin))
        found.append(os.path.dirname(place) if name == "hardening" else place)
    return list(dict.fromkeys(found))
