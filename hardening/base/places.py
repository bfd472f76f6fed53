"""Where things are: the state directory with its folders, the files of records, the names of launches in them, and programs.

| folder | one entry for each |
| --- | --- |
| `launches` | launch (`hardening.launch.container.directory`) |
| `cache` | key, with its entries (`hardening.launch.cache`) |
| `records` | nothing but the file of records (`hardening.launch.record.sinks`) |
"""

from __future__ import annotations

from hardening.base import files, trusted
from hardening.base.linux.system import os
from hardening.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What the administrator says to every call, and the stack that goes before every other.
CONFIGURATION, ENFORCED = "/etc/hardening/hardening.toml", "/etc/hardening/enforced.toml"
LAUNCHES, CACHE, RECORDS = "launches", "cache", "records"
#: Where other runtimes lie, whatever PATH the caller has: an ordinary user's often lacks sbin.
OF_RUNTIMES = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")
#: Where newuidmap and newgidmap lie.
OF_HELPERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin")
#: PATH of a command that is given none.
OF_COMMANDS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = "HARDENING_STATE"


#: Where a directory of the XDG Base Directory Specification lies below a home, unless its variable says otherwise.
_BELOW_HOME = (
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
)


def home(environment: Mapping[str, str]) -> str | None:
    """The caller's home directory: that of the account of the real uid, whatever HOME says. Only a uid without an account
    has no other than HOME; None where that is no absolute path."""
    import pwd  # asking the user database may be slow

    try:
        found = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        found = environment.get("HOME", "")
    return found if found.startswith("/") else None


def xdg(environment: Mapping[str, str], name: str) -> str | None:
    """The directory that a variable of the XDG Base Directory Specification stands for; None where there is none. As the
    specification has it a relative one is ignored, like one that is not set."""
    found = environment.get(name, "")
    if found.startswith("/"):
        return found
    below = dict(_BELOW_HOME).get(name)
    own = home(environment) if below is not None else None
    return files.join(own, below) if own is not None and below is not None else None


def temporary(environment: Mapping[str, str], default: str = "/tmp") -> str:  # noqa: S108
    """The directory for what nobody needs later: TMPDIR, or ``default`` where that is none, or relative."""
    found = environment.get("TMPDIR", "")
    return found if found.startswith("/") else default


def named(environment: Mapping[str, str], variable: str) -> str | None:
    """The directory that one of our own variables names; None where it is not set. Raises `UsageError` for a relative path:
    the place where somebody stands decides nothing."""
    found = environment.get(variable)
    if found and not found.startswith("/"):
        raise UsageError(f"{found} is not an absolute path", origin=variable, hint=f"unset it, or write {variable}=/…")
    return found or None


def state(environment: Mapping[str, str], uid: int) -> str:
    """Where the state directory of a user is or would be; nothing is made or looked at. `OSError` for a user without a home
    directory who says nothing else, `UsageError` as in `named`."""
    explicit = named(environment, _VARIABLE)
    if explicit:
        return files.absolute(explicit)
    if uid == 0:
        return "/run/hardening"
    runtime = xdg(environment, "XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return files.join(runtime, "hardening")
    kept = xdg(environment, "XDG_STATE_HOME")
    if kept is None:
        raise OSError("the caller has no home directory")
    return files.join(kept, "hardening")


def of_records(environment: Mapping[str, str]) -> Iterator[str]:
    """The directories for the file of records, the best first: a place that outlives a session and a start of the
    machine, else one that does not. None lies in a state directory that somebody else could write."""
    explicit = named(environment, _VARIABLE)
    if explicit and _may_be_own(explicit):
        yield files.join(explicit, RECORDS)
    if os.geteuid() == 0:
        yield from ("/var/log/hardening", f"/run/hardening/{RECORDS}")
        return
    place = xdg(environment, "XDG_STATE_HOME")
    if place is not None:
        yield files.join(place, f"hardening/{RECORDS}")
    # One that comes along from another user, where nothing but the ids was changed, is not the last word.
    if environment.get("XDG_STATE_HOME", "").startswith("/"):
        own = xdg({**environment, "XDG_STATE_HOME": ""}, "XDG_STATE_HOME")
        if own not in (None, place):
            yield files.join(str(own), f"hardening/{RECORDS}")
    runtime = xdg(environment, "XDG_RUNTIME_DIR")
    if runtime is not None:
        yield files.join(runtime, f"hardening/{RECORDS}")


def wrong_group(path: str) -> str:
    """Why a `cgroupsPath` names no control group that a container can have for itself, '' where it does."""
    try:
        if b"\0" in files.encode(path):
            return "must not hold NUL"
    except UnicodeEncodeError:
        return "cannot be encoded"
    if ".." in path.split("/"):
        return "must not go upwards"
    if not set(path.split("/")) - {"", "."}:
        return "names no group of its own"
    return ""


def new_id() -> str:
    """A name for a launch, or an entry of the cache, that no other one has."""
    return os.urandom(6).hex()


def is_id(text: str) -> bool:
    """Whether text could be one of these."""
    return len(text) == 12 and not set(text) - set("0123456789abcdef")


def is_name(text: str) -> bool:
    """Whether text can be the name of a container: at most 63 letters, digits, dots, dashes and underscores, the first one a
    letter or a digit."""
    plain = text.replace("_", "").replace(".", "").replace("-", "")
    return text.isascii() and 0 < len(text) <= 63 and text[0].isalnum() and (plain.isalnum() or not plain)


def _may_be_own(directory: str) -> bool:
    try:
        return trusted.is_own(os.lstat(directory), directory)
    except FileNotFoundError:  # it will be made
        return True
    except OSError:
        return False
