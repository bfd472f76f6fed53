"""The store: what it takes and refuses, and that no error and no kill leaves it between two states."""

from __future__ import annotations

import errno
import itertools
import os
import posix
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from hardening.errors import UsageError
from hardening.mechanism.secret_driver import LONGEST, SecretDriver, SecretError
from hardening_secrets.store import SecretStore
from tests.plugins.secrets.stores import DRIVERS, Kept
from tests.support.disks import fill, small_disk
from tests.support.features import require
from tests.support.users import ordinary

ONE = ["secrets", "values/file"]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "store")


def test_what_is_kept_is_given_back_byte_for_byte(kept: Kept) -> None:
    for name, value in {"a": b"x", "b": bytes(range(256)), "c": b"z" * LONGEST, "d": b"line\n"}.items():
        kept.create(name, value)
        assert kept.open(name) == value
    assert [record.name for record in kept.store.records()] == ["a", "b", "c", "d"]


def test_nobody_else_can_look_into_it(kept: Kept) -> None:
    kept = Kept(kept.path / "with" / "others")
    umask = os.umask(0)
    try:
        kept.create("db", b"x")
    finally:
        os.umask(umask)
    for path in (*kept.path.parents[:2], kept.path, *kept.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize(("value", "reason"), [(b"", "is empty"), (b"x" * (LONGEST + 1), "is too large")])
def test_a_value_of_a_wrong_size_is_refused(kept: Kept, value: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        kept.create("db", value)
    kept.create("db", b"old")
    with pytest.raises(UsageError, match=reason):
        kept.rotate("db", value)
    assert kept.open("db") == b"old"


def test_a_name_is_used_once_and_one_that_is_none_is_refused(kept: Kept) -> None:
    kept.create("db", b"old")
    with pytest.raises(UsageError, match='there is a secret "db" already'):
        kept.create("db", b"new")
    assert kept.open("db") == b"old"
    assert kept.files() == ONE
    for name in ("", "a/b", "a=b", "a,b", "..", "x" * 254):
        with pytest.raises(UsageError, match="is not the name of a secret"):
            kept.create(name, b"x")


def test_a_rotated_secret_has_its_new_value_and_nothing_of_the_old_one(kept: Kept) -> None:
    first = kept.create("db", b"old")
    second = kept.rotate("db", b"new")
    assert (second.id, second.created) == (first.id, first.created)
    assert second.key != first.key
    assert kept.open("db") == b"new"
    assert kept.files() == ONE
    assert not [path for path in kept.path.rglob("*") if path.is_file() and b"old" in path.read_bytes()]


def test_a_removed_secret_is_gone_with_its_value(kept: Kept) -> None:
    record = kept.create("db", b"x")
    kept.remove(record.id)
    assert kept.files() == []
    with pytest.raises(UsageError, match='no such secret: "db"'):
        kept.remove("db")
    with pytest.raises(UsageError, match='no such secret: "db"'):
        kept.open("db")
    kept.create("db-password", b"x")
    with pytest.raises(UsageError) as caught:
        kept.open("db-pasword")
    assert caught.value.hint == 'did you mean "db-password"?'


def test_a_store_that_was_never_made_is_empty(kept: Kept) -> None:
    assert kept.store.records() == []
    assert not kept.path.exists()


@pytest.mark.parametrize("what", ["", "secrets", "values/file"])
@pytest.mark.parametrize("mode", [0o750, 0o720, 0o705, 0o702])
def test_a_store_that_others_can_read_or_write_is_refused(kept: Kept, what: str, mode: int) -> None:
    kept.create("db", b"hidden")
    (kept.path / what).chmod(mode)
    with pytest.raises(SecretError, match="others than its owner can read or write it"):
        kept.open("db")
    with pytest.raises(SecretError, match="others than its owner can read or write it"):
        kept.rotate("db", b"new")
    (kept.path / what).chmod(0o700)
    assert kept.open("db") == b"hidden"


def test_a_value_or_a_record_that_others_can_read_is_refused(kept: Kept) -> None:
    kept.create("db", b"hidden")
    for folder in ("values/file", "secrets"):
        (path,) = (kept.path / folder).iterdir()
        path.chmod(0o640)
        with pytest.raises(SecretError, match="others than its owner"):
            kept.open("db")
        path.chmod(0o600)
        target = kept.path / "elsewhere"
        path.rename(target)
        path.symlink_to(target)
        with pytest.raises(SecretError, match="Too many levels of symbolic links"):
            kept.open("db")
        path.unlink()
        target.rename(path)
    assert kept.open("db") == b"hidden"


def test_a_store_of_somebody_else_is_refused(kept: Kept) -> None:
    require("root")
    kept.create("db", b"hidden")
    os.chown(kept.path, ordinary().uid, -1)
    with pytest.raises(SecretError, match="belongs to another user"):
        kept.store.records()


def test_a_store_below_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SecretError, match="can be written by others"):
        Kept(tmp_path / "store").create("db", b"x")


TWICE = (
    b'{"id": "1", "name": "db", "driver": "file", "key": "a", "key": "b", "created": "", "updated": "", "options": {}}'
)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"id": 1}', b"\xff", b'{"options": null}', TWICE])
def test_a_record_that_is_broken_is_said_to_be(kept: Kept, text: bytes) -> None:
    kept.create("db", b"hidden")
    (path,) = (kept.path / "secrets").iterdir()
    path.write_bytes(text)
    with pytest.raises(SecretError, match="the description of a secret is malformed"):
        kept.open("db")


def test_a_value_that_a_damaged_secret_may_have_stays(kept: Kept) -> None:
    """A rotation was killed after it had announced the new value: which of the two is the secret's, nobody can read."""
    record = kept.create("db", b"hidden")
    (path,) = (kept.path / "secrets").iterdir()
    (kept.path / "pending" / f"{record.key}.json").write_bytes(path.read_bytes())
    (kept.path / "pending" / f"{record.key}.json").chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    kept.create("other", b"x")
    kept.store.remove("other", DRIVERS)
    path.write_bytes(whole)
    assert kept.open("db") == b"hidden"


def test_a_secret_of_a_driver_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    Kept(tmp_path / "store").create("db", b"hidden")
    without = {name: driver for name, driver in DRIVERS.items() if name != "file"}
    with pytest.raises(SecretError, match='unknown secret driver "file"'):
        Kept(tmp_path / "store", without).open("db")


# --- drivers that do not do their part --------------------------------------------------------------------------------


class Failing(SecretDriver):
    """Keeps values in memory, and fails where it is told to."""

    name: ClassVar[str] = "failing"
    summary: ClassVar[str] = "fails"

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.fails = ""
        self.error: Exception | None = None

    def _do(self, what: str) -> None:
        if self.fails == what:
            raise self.error or SecretError(f"it does not {what}", hint="none")

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        self.values[key] = value  # which it may have done before it failed
        self._do("store")

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        self._do("read")
        return self.values[key]

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        self._do("delete")
        self.values.pop(key, None)


@pytest.fixture
def failing(tmp_path: Path) -> tuple[Failing, Kept]:
    driver = Failing()
    return driver, Kept(tmp_path / "store", {"failing": driver})


def test_what_a_driver_does_not_keep_is_no_secret(failing: tuple[Failing, Kept]) -> None:
    driver, kept = failing
    driver.fails = "store"
    with pytest.raises(SecretError, match="it does not store"):
        kept.create("db", b"x", "failing")
    assert (kept.store.records(), driver.values, kept.files()) == ([], {}, [])
    driver.fails = ""
    kept.create("db", b"old", "failing")
    driver.fails = "store"
    with pytest.raises(SecretError, match="it does not store"):
        kept.rotate("db", b"new")
    assert kept.open("db") == b"old"
    assert list(driver.values.values()) == [b"old"]


def test_a_value_that_cannot_be_removed_now_is_removed_by_the_next_change(failing: tuple[Failing, Kept]) -> None:
    driver, kept = failing
    kept.create("db", b"old", "failing")
    driver.fails = "delete"
    store = kept.store
    store.rotate("db", b"new", kept.drivers)
    assert "is not used any more is still kept by failing: it does not delete" in store.notes[0]
    assert kept.open("db") == b"new"
    assert sorted(driver.values.values()) == [b"new", b"old"]
    driver.fails = ""
    kept.create("other", b"x", "failing")
    assert sorted(driver.values.values()) == [b"new", b"x"]
    assert kept.files() == ["secrets", "secrets"]


def test_a_driver_that_is_out_of_order_is_asked_once_a_change_and_not_for_another_s(tmp_path: Path) -> None:
    driver, asked = Failing(), list[str]()

    class Counting(Failing):
        name: ClassVar[str] = "counting"

        def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
            asked.append(key)
            super().delete(folder, key, options)

    counting = Counting()
    kept = Kept(tmp_path / "store", {"failing": driver, "counting": counting})
    for name in ("a", "b", "c"):
        kept.create(name, b"x", "counting")
    counting.fails = "delete"
    for name in ("a", "b", "c"):
        store = kept.store
        record = store.remove(name, kept.drivers)
        assert record.key in store.left
        assert len(asked) == len(store.notes) == 1
        asked.clear()
    kept.create("other", b"x", "failing")
    kept.rotate("other", b"y")
    assert asked == []
    counting.fails = ""
    kept.create("d", b"x", "counting")
    assert len(asked) == 3
    assert list(counting.values.values()) == [b"x"]


def test_a_secret_whose_driver_is_gone_can_be_removed(tmp_path: Path) -> None:
    driver = Failing()
    Kept(tmp_path / "store", {"failing": driver}).create("db", b"x", "failing")
    store = SecretStore(tmp_path / "store")
    record = store.remove("db", {})
    assert (store.records(), store.left) == ([], {record.key})
    assert 'unknown secret driver "failing"' in store.notes[0]


def test_a_value_of_a_wrong_size_that_a_driver_gives_is_refused(failing: tuple[Failing, Kept]) -> None:
    driver, kept = failing
    kept.create("db", b"x", "failing")
    for value in (b"", b"y" * (LONGEST + 1), "text", None):
        driver.values = dict.fromkeys(driver.values, cast("bytes", value))
        with pytest.raises(SecretError, match="the driver failing returned"):
            kept.open("db")


PLANTED = "pla" + "nted"  # which no line of this file holds


@pytest.mark.parametrize("error", [ValueError(PLANTED), KeyError(PLANTED), BrokenPipeError(errno.EPIPE, PLANTED)])
def test_what_a_driver_raises_against_its_contract_is_told_without_its_text(
    failing: tuple[Failing, Kept], error: Exception
) -> None:
    driver, kept = failing
    kept.create("db", PLANTED.encode(), "failing")
    driver.error = error
    for driver.fails, change in (
        ("store", lambda: kept.rotate("db", PLANTED.encode() * 2)),
        ("store", lambda: kept.create("other", PLANTED.encode() * 2, "failing")),
        ("read", lambda: kept.open("db")),
    ):
        with pytest.raises(SecretError, match=f"the driver failing failed: {type(error).__name__}") as caught:
            change()
        assert PLANTED not in "".join(traceback.format_exception(caught.value))
    driver.fails = "delete"
    store = kept.store
    store.remove("db", kept.drivers)
    assert store.notes
    assert PLANTED not in "".join(store.notes)


def test_options_that_cannot_be_kept_are_refused(kept: Kept) -> None:
    class Odd(Failing):
        name = "odd"
        known: ClassVar[Mapping[str, str]] = {"length": "of what is kept"}

        def options(self, given: Mapping[str, str]) -> dict[str, Any]:
            return {"kept": "x" * int(super().options(given)["length"]) or {1, 2}}

    with pytest.raises(SecretError, match="the driver odd failed: TypeError"):
        kept.store.create("db", b"x", Odd(), {"length": "0"}, {})
    with pytest.raises(SecretError, match="what is to be kept of the secret db is too long"):
        kept.store.create("db", b"x", Odd(), {"length": "70000"}, {})
    with pytest.raises(UsageError, match=r'has no option lenght\nhint: did you mean "length"\?'):
        kept.store.create("db", b"x", Odd(), {"lenght": "1"}, {})
    with pytest.raises(UsageError, match=r"the driver failing has no option colour\nhint: it takes none"):
        kept.store.create("db", b"x", Failing(), {"colour": "red"}, {})
    assert kept.store.records() == []


# --- a full disk, and kills -------------------------------------------------------------------------------------------


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        kept = Kept(disk / "store")
        kept.create("db", b"old" * 1000)
        before = kept.files()
        for name, change in (("big", kept.create), ("db", kept.rotate)):
            with pytest.raises(SecretError, match="No space left on device") as caught:
                change(name, b"n" * LONGEST)
            assert caught.value.hint == "free space on that disk"
            assert kept.open("db") == b"old" * 1000
            assert kept.files() == before
        fill(disk)
        assert os.statvfs(disk).f_bavail == 0
        for name, change in (("small", kept.create), ("db", kept.rotate)):
            with pytest.raises(SecretError, match=os.strerror(errno.ENOSPC)):
                change(name, b"n")
            assert kept.open("db") == b"old" * 1000
            assert kept.files() == before


#: What a change of the store asks of the kernel.
CALLS = ("write", "rename", "unlink", "fsync", "open", "fchmod", "mkdir")


def killed_at(step: int, change: Callable[[], object]) -> bool:
    """Make a change in another process that kills itself right before its ``step``-th call; whether it came so far."""
    pid = os.fork()
    if pid == 0:
        left = itertools.count(step, -1)

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **options: Any) -> Any:
                if next(left) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return counting

        try:
            for name in CALLS:
                for module in (os, posix):
                    setattr(module, name, counted(getattr(module, name)))
            change()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_whoever_is_killed_over_a_creation_leaves_the_secret_or_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "store")
    kept.create("other", b"there")
    step = 0
    while killed_at(step, lambda: kept.create("db", b"value")):
        there = [record.name for record in kept.store.records()]
        assert there in (["other"], ["db", "other"]), step
        assert kept.open("other") == b"there"
        if "db" in there:
            assert kept.open("db") == b"value"
            kept.remove("db")
        else:
            kept.rotate("other", b"there")  # which finishes what was begun
        assert kept.files() == ONE, step
        step += 1
    assert step > 20
    assert kept.open("db") == b"value"


def test_whoever_is_killed_over_a_rotation_leaves_the_old_value_or_the_new_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "store")
    kept.create("db", b"value 0")
    kept.create("other", b"there")
    step = 0
    before = b"value 0"
    while killed_at(step, partial(kept.rotate, "db", f"value {step + 1}".encode())):
        found = kept.open("db")
        assert found in (before, f"value {step + 1}".encode()), step
        kept.rotate("other", b"there")
        assert kept.open("db") == found
        assert kept.files() == sorted(ONE * 2), step
        before, step = found, step + 1
    assert step > 20
    assert kept.open("db") == f"value {step + 1}".encode()


def test_two_changes_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "store")
    kept.create("db", b"value 0")
    code = (
        "import sys; from pathlib import Path; from tests.plugins.secrets.stores import Kept\n"
        "for n in range(20): Kept(Path(sys.argv[1])).rotate('db', f'{sys.argv[2]} {n}'.encode())"
    )
    argv = [sys.executable, "-c", code, str(kept.path)]
    started = [subprocess.Popen([*argv, name], cwd=Path(__file__).parents[3]) for name in ("a", "b")]
    seen = set()
    while any(process.poll() is None for process in started):
        seen.add(kept.open("db"))
        time.sleep(0)
    assert [process.wait() for process in started] == [0, 0]
    assert kept.open("db") in (b"a 19", b"b 19")
    assert seen <= {b"value 0", *(f"{name} {n}".encode() for name in "ab" for n in range(20))}
    assert kept.files() == ONE


def test_the_caller_s_store_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARDENING_SECRETS", str(tmp_path / "named"))
    assert SecretStore.of_caller().path == tmp_path / "named"
    monkeypatch.delenv("HARDENING_SECRETS")
    if os.geteuid() == 0:
        assert SecretStore.of_caller().path == Path("/var/lib/hardening/secrets")
