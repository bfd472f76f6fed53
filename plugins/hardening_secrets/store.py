"""The store of a caller's secrets: which there are, under which driver and key their values are kept, and since when.

A directory of mode 0700 that belongs to the caller, on the way to which nobody else can put another:

| name | what it is |
| --- | --- |
| `secrets/DIGEST.json` | one secret; the digest is that of its name |
| `pending/KEY.json` | a value that is being kept or removed, for whoever comes after somebody who was killed over it |
| `values/DRIVER` | the directory of a driver |
| `lock` | held (flock(2)) by who changes something |

Every change is one rename(2) or unlink(2) of a secret's file; what is kept under a key that no secret has is removed by the
next change of a secret of the same driver. So a secret has its old value, or its new one, whenever somebody is killed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from hardening.base import files, jsontext, locks, state, trusted, wholefile
from hardening.base.digest import sha256
from hardening.base.files import Opened
from hardening.base.text import nearest
from hardening.base.units import timestamp
from hardening.base.values import frozen
from hardening.errors import HardeningError, LaunchError, PluginError, UsageError, quoted
from hardening.mechanism.secret_driver import LONGEST, SecretDriver, SecretError
from hardening_secrets.settings import NAME_HINT, is_name

_SECRETS, _PENDING, _VALUES, _LOCK = "secrets", "pending", "values", "lock"
_SUFFIX = ".json"
_TEXTS = ("id", "name", "driver", "key", "created", "updated")
_MOST = 1 << 16  # bytes of what is kept of one secret beside its value
_HINT = "set HARDENING_SECRETS to a directory of your own"


@frozen
class SecretRecord:
    """What is kept of a secret beside its value. ``key`` is what its driver has the value under; times are UTC."""

    id: str
    name: str
    driver: str
    key: str
    created: str
    updated: str
    options: Mapping[str, Any] = attrs.field(factory=dict)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 has it."""
    return timestamp(time.time_ns())


def require_size(value: bytes) -> None:
    """Raise `UsageError` for a value that no secret can have."""
    if not 0 < len(value) <= LONGEST:
        what = "is empty" if not value else "is too large"
        raise UsageError(f"the secret {what}", hint=f"a secret has 1 to {LONGEST} bytes")


class SecretStore:
    """A store. Nothing is looked at or made before a method asks for it; each raises `SecretError` for a store that others
    could have read or written, and for a disk that does not do its part. ``notes`` says what was left undone, ``left`` has
    the keys of values that no secret has, and that a driver has not removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.left: set[str] = set()

    @classmethod
    def of_caller(cls) -> SecretStore:
        """The caller's own. Raises `SecretError` where the caller has no place for one."""
        try:
            return cls(state.secrets())
        except OSError as error:
            raise SecretError(f"no directory for secrets: {error}", hint=_HINT) from None

    def records(self) -> list[SecretRecord]:
        """All secrets, by name, but for those of which the file is damaged: there is one of `notes` for each."""
        if not self._is_there():
            return []
        return sorted(self._readable(_SECRETS), key=lambda record: record.name)

    def _readable(self, folder: str) -> Iterator[SecretRecord]:
        with self._trouble("read"):
            names = [name for name in os.listdir(self.path / folder) if name.endswith(_SUFFIX)]
        for name in names:
            try:
                record = self._read(self.path / folder / name)
            except SecretError as error:
                self.notes.append(f"{error.origin}: {error.message}; {error.hint}")
                continue
            if record is not None:
                yield record

    def find(self, name: str) -> SecretRecord:
        """One secret, by its name or id. Raises `UsageError`."""
        record = self.known(name)
        if record is not None:
            return record
        hint = nearest(name, [other.name for other in self.records()])
        raise UsageError(f'no such secret: "{name}"', hint=hint or "`hardening secret ls` lists those that there are")

    def known(self, name: str) -> SecretRecord | None:
        """One secret, by its name or id; None where there is none."""
        record = self._read(self._file(name)) if self._is_there() else None
        return record or next((other for other in self.records() if other.id == name), None)

    def open(self, name: str, drivers: Mapping[str, SecretDriver]) -> bytes:
        """The value of a secret. Raises `UsageError` for one that does not exist, and `SecretError` for one that its driver
        does not give."""
        for _ in range(3):  # it may be rotated meanwhile
            record = self.find(name)
            try:
                driver, folder = _driver(record.driver, drivers), self._folder(record.driver)
                with _calling(driver):
                    value = driver.read(folder, record.key, record.options)
                break
            except SecretError as error:
                if self._read(self._file(record.name)) == record:
                    error.origin = error.origin or f"secret {name}"
                    raise
        else:
            raise SecretError(f"the secret {name} keeps changing", hint="try again")
        if not isinstance(value, bytes) or not 0 < len(value) <= LONGEST:
            what = f"{len(value)} bytes" if isinstance(value, bytes) else "an invalid value"
            hint = "keep it anew: secret rotate"
            raise SecretError(f"the driver {record.driver} returned {what} for the secret {name}", hint=hint)
        return value

    def create(
        self,
        name: str,
        value: bytes,
        driver: SecretDriver,
        options: Mapping[str, str],
        drivers: Mapping[str, SecretDriver],
    ) -> SecretRecord:
        """Keep a new secret. Raises `UsageError` for a name that is taken or cannot be one, and for a value of a wrong size;
        nothing is kept then."""
        if not is_name(name):
            raise UsageError(f'"{name}" is not the name of a secret', hint=NAME_HINT)
        require_size(value)
        with _calling(driver):
            kept = driver.options(options)
            jsontext.dump(kept)
        with self._changing():
            if self._read(self._file(name)) is not None:
                raise UsageError(
                    f'there is a secret "{name}" already',
                    hint=f"hardening secret rotate {quoted(name)} FILE gives it a new value",
                )
            time = now()
            record = SecretRecord(os.urandom(12).hex(), name, driver.name, _new_key(), time, time, kept)
            self._replace(None, record, value, driver, drivers)
        return record

    def rotate(self, name: str, value: bytes, drivers: Mapping[str, SecretDriver]) -> SecretRecord:
        """Give a secret a new value. Raises `UsageError` and `SecretError`; the old one is intact then."""
        require_size(value)
        with self._changing():
            old = self.find(name)
            record = attrs.evolve(old, key=_new_key(), updated=now())
            self._replace(old, record, value, _driver(old.driver, drivers), drivers)
        return record

    def remove(self, name: str, drivers: Mapping[str, SecretDriver]) -> SecretRecord:
        """Remove a secret with its value, which is among `left` where the driver does not do its part. Raises `UsageError`
        and `SecretError`."""
        with self._changing():
            record = self.find(name)
            self._announce(record)
            with self._trouble("write"):
                os.unlink(self._file(record.name))
                files.sync(str(self.path / _SECRETS))
            self._finish(record.driver, drivers)
        return record

    # --- the steps of a change ---------------------------------------------------------------------------------------

    def _replace(
        self,
        old: SecretRecord | None,
        new: SecretRecord,
        value: bytes,
        driver: SecretDriver,
        drivers: Mapping[str, SecretDriver],
    ) -> None:
        """Have the driver keep a value, and then the record say so. A value that no record has at the end is removed."""
        try:
            self._announce(new)
            folder = self._folder(driver.name)
            with _calling(driver):
                driver.store(folder, new.key, value, new.options)
            if old is not None:
                self._announce(old)
            self._write(self._file(new.name), new)
        except SecretError:
            with suppress(SecretError):  # the error that came first is the one to be told
                self._finish(driver.name, drivers)
            raise
        self._finish(driver.name, drivers)

    def _announce(self, record: SecretRecord) -> None:
        """Write down a key, whose value is removed by the next change unless a secret has it."""
        self._write(self.path / _PENDING / f"{record.key}{_SUFFIX}", record)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the store, which is made if it is missing, without the files that somebody was killed over."""
        with self._trouble("make"):
            self._make()
            self._require_own()
        with self._trouble("lock"):
            lock = locks.lock_file(str(self.path / _LOCK))
        with Opened(lock):
            self._prune()
            yield

    def _make(self) -> None:
        mask = os.umask(0o077)  # for the directories above, too, which nobody else may be able to change
        try:
            for folder in (self.path, *(self.path / name for name in (_SECRETS, _PENDING, _VALUES))):
                folder.mkdir(0o700, parents=True, exist_ok=True)
        finally:
            os.umask(mask)

    def _prune(self) -> None:
        with self._trouble("read"):
            for folder in (self.path / _SECRETS, self.path / _PENDING):
                for name in os.listdir(folder):
                    if name.startswith(files.PARTIAL):
                        os.unlink(folder / name)

    def _finish(self, driver: str, drivers: Mapping[str, SecretDriver]) -> None:
        """Have a driver remove its values that no secret has. What it does not remove now is left for its next change: one
        failure is enough, for it may have taken a while. Another driver's values are none of its business, which may be out
        of order."""
        pending = [left for left in self._readable(_PENDING) if left.driver == driver]
        kept = {record.key for record in self.records()} if pending else set()
        for left in pending:
            if self._is_damaged(left.name):
                continue  # the value may be its
            if left.key not in kept and (self.left or not self._is_gone(left, drivers)):
                self.left.add(left.key)
                continue
            with self._trouble("write"):
                (self.path / _PENDING / f"{left.key}{_SUFFIX}").unlink(missing_ok=True)

    def _is_damaged(self, name: str) -> bool:
        """Whether what is kept of a secret cannot be read."""
        try:
            self._read(self._file(name))
        except SecretError:
            return True
        return False

    def _is_gone(self, left: SecretRecord, drivers: Mapping[str, SecretDriver]) -> bool:
        """Have a driver remove a value that no secret has."""
        try:
            driver, folder = _driver(left.driver, drivers), self._folder(left.driver)
            with _calling(driver):
                driver.delete(folder, left.key, left.options)
        except SecretError as error:
            self.notes.append(
                f"a value of {left.name} that is not used any more is still kept by {left.driver}: {error.message}"
            )
            return False
        return True

    # --- files ---------------------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Path:
        return self.path / _SECRETS / f"{sha256(name.encode('utf-8', 'surrogatepass'))}{_SUFFIX}"

    def _folder(self, driver: str) -> Path:
        """The directory of a driver."""
        folder = self.path / _VALUES / driver
        with self._trouble("make"), suppress(FileExistsError):
            folder.mkdir(0o700)
        return folder

    def _is_there(self) -> bool:
        """Whether there is a store, which is then looked at."""
        with self._trouble("read"):
            if not os.path.lexists(self.path / _SECRETS):
                return False
            self._require_own()
        return True

    def _require_own(self) -> None:
        """Raise `SecretError` for a store that somebody else could read or write, or put another in the place of."""
        try:
            trusted.require_secure_path(str(self.path))
        except PermissionError as error:
            raise SecretError(f"the secret store is not secure: {error}", origin=self.path, hint=_HINT) from None
        for folder in (self.path, *(self.path / name for name in (_SECRETS, _PENDING, _VALUES))):
            require_private(folder, os.lstat(folder))

    def _read(self, file: Path) -> SecretRecord | None:
        """What is kept of a secret; None where there is none."""
        try:
            data = read_private(file, _MOST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecretError(f"cannot read the secret store: {error.strerror}", origin=file, hint=_HINT) from None
        try:
            row: Any = jsontext.parse(data, str(file))
            texts = {key: str(row[key]) for key in _TEXTS}
            return SecretRecord(**texts, options=dict(row["options"]))
        except (LaunchError, ValueError, KeyError, TypeError):
            hint = "remove the file, and create the secret anew"
            raise SecretError("the description of a secret is malformed", origin=file, hint=hint) from None

    def _write(self, file: Path, record: SecretRecord) -> None:
        data = jsontext.dump(attrs.asdict(record)).encode()
        if len(data) > _MOST:
            raise SecretError(f"what is to be kept of the secret {record.name} is too long", hint="shorten its options")
        with self._trouble("write"):
            wholefile.write(file, data, 0o600)

    def _trouble(self, verb: str) -> AbstractContextManager[None]:
        return wholefile.errors_as(SecretError, f"cannot {verb} the secret store", origin=self.path, hint=_HINT)


def _new_key() -> str:
    return os.urandom(12).hex()


@contextmanager
def _calling(driver: SecretDriver) -> Iterator[None]:
    """A driver is asked. What it raises beside the errors that it may is told by its kind alone, for its text, and what a
    traceback shows, could hold a value."""
    try:
        yield
    except PluginError as error:
        raise SecretError(error.message, hint=error.hint) from None
    except (HardeningError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises
        reason = f"the driver {driver.name} failed: {type(error).__name__}"
        raise SecretError(reason, hint="report this to the authors of the driver") from None


def _driver(name: str, drivers: Mapping[str, SecretDriver]) -> SecretDriver:
    if name not in drivers:
        hint = f"install the plugin that brings it; there are {', '.join(sorted(drivers))}"
        raise SecretError(f'unknown secret driver "{name}"', hint=hint)
    return drivers[name]


def require_private(path: Path, status: os.stat_result) -> None:
    """Raise `SecretError` for a file or directory that is somebody else's, or that others can read or write."""
    if status.st_uid != os.geteuid():
        raise SecretError(f"it belongs to another user (uid {status.st_uid})", origin=path, hint=_HINT)
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise SecretError(
            f"others than its owner can read or write it (mode {mode:04o})",
            origin=path,
            hint=f"chmod go= {quoted(str(path))}",
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise SecretError("it is neither a file nor a directory", origin=path, hint=_HINT)


def read_private(file: Path, longest: int) -> bytes:
    """The content of a file that only the caller could have written or read. Raises `OSError` and `SecretError`."""
    with os.fdopen(files.open_file(str(file)), "rb", buffering=0) as opened:
        require_private(file, os.fstat(opened.fileno()))
        data = b""
        while len(data) <= longest and (part := opened.read(longest + 1 - len(data))):
            data += part
    if len(data) > longest:
        raise SecretError(f"it is larger than {longest} bytes", origin=file, hint=_HINT)
    return data
