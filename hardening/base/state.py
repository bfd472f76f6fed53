"""Where the tool keeps what outlives a call: bundles that run, and reservations."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from hardening.base import files, places, trusted
from hardening.base.wholefile import FULL
from hardening.errors import LaunchError

#: The variable that names the store of images, and where that has them unpacked.
IMAGES, ROOTS = "HARDENING_IMAGES", "roots"
#: The variable that names the file of logins at registries.
LOGINS = "REGISTRY_AUTH_FILE"
#: What helps where the state directory, or something in it, is in the way.
OWN = "set HARDENING_STATE to a directory of your own"
ANOTHER = "remove it, or set HARDENING_STATE to another directory of your own"


def directory() -> Path:
    """The state directory of the caller, made if it is missing: ``/run/hardening`` for root, else
    ``$XDG_RUNTIME_DIR/hardening``, else ``$XDG_STATE_HOME/hardening`` (``~/.local/state/hardening``).

    Mode 0711: a container's mapped ids pass through it to their own bundle, and see nothing else. Raises `LaunchError`
    where it cannot be made, or belongs to somebody else.
    """
    path = location()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.make_directory(str(path), 0o711)
        status = os.lstat(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    _require_own(path, status)
    if not os.access(path, os.W_OK):
        raise _unusable(path, "it is read-only")
    return path


def existing() -> Path | None:
    """The state directory of the caller; None where there is none. What lies in it may be believed: raises `LaunchError`
    for one that somebody else than the caller could have written."""
    path = location()
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    _require_own(path, status)
    return path


def _require_own(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise _unusable(path, f"it is not a directory of uid {os.geteuid()}")
    if trusted.others_can_write(status, str(path)):
        raise _unusable(path, "others can write to it")
    try:
        trusted.require_secure_path(str(path))
    except OSError as error:
        raise _unusable(path, str(error)) from None


def location() -> Path:
    """Where the state directory is or would be; nothing is made or looked at."""
    return Path(places.state(os.environ, os.geteuid()))


def secrets() -> Path:
    """Where the store of the caller's secrets is or would be: ``$HARDENING_SECRETS``, else for root
    ``/var/lib/hardening/secrets``, else ``$XDG_DATA_HOME/hardening/secrets`` (``~/.local/share/hardening/secrets``);
    nothing is made or looked at. `OSError` for a user without a home directory."""
    found = _store("secrets", "HARDENING_SECRETS", os.environ, os.geteuid())
    if found is None:
        raise OSError("the caller has no home directory")
    return found


def images(environment: Mapping[str, str], uid: int) -> Path | None:
    """Where the store of a user's images is or would be: ``$HARDENING_IMAGES``, else for root ``/var/lib/hardening/images``,
    else ``$XDG_DATA_HOME/hardening/images`` (``~/.local/share/hardening/images``); None without a home directory."""
    return _store("images", IMAGES, environment, uid)


def _store(name: str, variable: str, environment: Mapping[str, str], uid: int) -> Path | None:
    explicit = places.named(environment, variable)
    if explicit:
        return Path(files.absolute(explicit))
    if uid == 0:
        return Path("/var/lib/hardening", name)
    data = places.xdg(environment, "XDG_DATA_HOME")
    return Path(data, "hardening", name) if data is not None else None


def home() -> Path | None:
    """The caller's home directory (`hardening.base.places.home`)."""
    found = places.home(os.environ)
    return None if found is None else Path(found)


def expanded(path: str) -> str:
    """A path with the home that a ``~`` at its begin stands for: the caller's account's, or another user's. As it is where
    there is none."""
    first, slash, rest = path.partition("/")
    if first != "~":
        return os.path.expanduser(path)
    own = home()
    return path if own is None else str(own / rest) if slash else str(own)


def private() -> tuple[str, ...]:
    """Where the state, the records, the secrets and the images of the caller are or would be: what lies there is believed
    later, so no command may write to it, or read what it tells of others."""
    store = images(os.environ, os.geteuid())
    kept = (str(location()), str(secrets()), *places.of_records(os.environ), *([str(store)] if store else []))
    found = {Path(os.path.abspath(path)) for path in kept}
    return tuple(sorted(str(path) for path in found if found.isdisjoint(path.parents)))


def deciding() -> tuple[str, ...]:
    """Where the next call reads what decides it: profiles, policies and logins of images, and this program with what it
    imports, the folder it was called from, and that of a user's own programs. No command may write there, or it would
    decide for itself."""
    # Also without the variable, with which the next call may come.
    own = (
        places.xdg(variables, "XDG_CONFIG_HOME") for variables in (os.environ, {**os.environ, "XDG_CONFIG_HOME": ""})
    )
    folders = (*(place for place in own if place is not None), "/etc")
    named = [f"{folder}/{name}" for folder in folders for name in ("hardening", "containers")]
    program = [sys.prefix, *(path for path in sys.path if os.path.isdir(path))]
    if os.path.isfile(sys.argv[0]):
        program.append(os.path.dirname(os.path.abspath(sys.argv[0])))
    user = home()
    if user is not None:
        program.append(f"{user}/.local/bin")
    found = {Path(os.path.abspath(path)) for path in (*named, *logins(os.environ, os.geteuid()), *program)}
    return tuple(sorted(str(path) for path in found if found.isdisjoint(path.parents)))


def may_write(path: str) -> bool:
    """Whether the caller could write to a place, make it, or put another in its place by renaming a directory above it."""
    return any(os.access(place, os.W_OK) for place in (path, *map(str, Path(path).parents)))


def logins(environment: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """The files of logins at registries that are looked into, in this order (containers-auth.json(5)); REGISTRY_AUTH_FILE
    stands for all of them. Raises `UsageError` where a variable names a relative one."""
    explicit = places.named(environment, LOGINS)
    if explicit:
        return (explicit,)
    runtime = places.xdg(environment, "XDG_RUNTIME_DIR") or (f"/run/user/{uid}" if uid else None)
    config, own = places.xdg(environment, "XDG_CONFIG_HOME"), places.home(environment)
    docker = places.named(environment, "DOCKER_CONFIG") or (f"{own.rstrip('/')}/.docker" if own else None)
    found = [
        f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{uid}/auth.json",
        f"{config}/containers/auth.json" if config else "",
        f"{docker}/config.json" if docker else "",
    ]
    return tuple(path for path in found if path)


def danger(place: Path) -> tuple[str, str] | None:
    """What is wrong with the place of a store that goes when the program is installed anew, and what to do; None where
    nothing is. It lies in a virtual environment then, which has a `pyvenv.cfg`
    (https://docs.python.org/3/library/venv.html).
    """
    around = next((above for above in place.parents if os.path.lexists(above / "pyvenv.cfg")), None)
    if around is None:
        return None
    return (
        f"{place} lies in a virtual environment of Python, and is lost when that is made anew",
        f"make the environment in another place than {around}, such as ~/.local/opt/hardening, and "
        "then remove there what belongs to the old one alone",
    )


def remedy(error: OSError) -> str:
    """What to do where something cannot be written into the state directory."""
    if error.errno in FULL:
        return (
            "free space there: `hardening cache clear` and `hardening rm` remove what is kept, or set HARDENING_STATE"
        )
    return OWN


def _unusable(path: Path, reason: str) -> LaunchError:
    return LaunchError(
        f"cannot use the state directory: {reason}",
        origin=path,
        hint=OWN,
    )
