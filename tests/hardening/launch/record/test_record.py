from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import LaunchError
from hardening.launch.config import bundle
from hardening.launch.record import record
from hardening.launch.record.record import Recorder
from hardening.launch.record.recording import who
from hardening.launch.record.sinks import FILE, File

ORIGIN = "/b/config.json"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


def new(places: Callable[[], Any]) -> Recorder:
    return Recorder("id-1", "native", places, {**who(), "pid": os.getpid()}, os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))


def recorder(place: Path, **annotations: object) -> Recorder:
    made = new(lambda: [("file", lambda: File(str(place)))])
    said = {f"org.hardening.{name}": json.dumps(value) for name, value in annotations.items()}
    made.describe(
        {"process": {"args": ["true", "\x1b[31m"], "env": ["A=canary"]}, "annotations": said}, "ab" * 32, ORIGIN
    )
    return made


def written(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / FILE).read_text().splitlines()]


def test_a_launch_its_exceptions_and_its_end(place: Path) -> None:
    exception = {
        "setting": "rootfs.read_only",
        "reason": "why",
        "ticket": None,
        "expires": "2030-01-01",
        "origin": "a:3",
    }
    profiles = [{"name": "strict", "sha256": "ab" * 32}]
    mechanisms = {"enforced": ["seccomp"], "partly": [], "not_enforced": ["selinux"]}
    made = recorder(place, profiles=profiles, exceptions=[exception], mechanisms=mechanisms)
    made.launched()
    made.waited(9)
    made.ended(137)
    launch, excepted, end = written(place)
    assert [launch["event"], excepted["event"], end["event"]] == ["launch", "exception", "end"]
    assert {item["id"] for item in (launch, excepted, end)} == {"id-1"}
    assert launch["profiles"] == profiles
    assert {name: launch[name] for name in mechanisms} == mechanisms
    assert {name: excepted[name] for name in exception} == exception
    assert "command" not in excepted
    assert (end["result"], end["signal"], end["code"]) == ("killed", 9, 137)
    assert 0 <= end["seconds"] < 60
    assert launch["command"] == ["true", "\x1b[31m"]
    assert b"\x1b" not in (place / FILE).read_bytes()
    assert b"canary" not in (place / FILE).read_bytes()
    assert (launch["uid"], launch["gid"], launch["pid"]) == (os.getuid(), os.getgid(), os.getpid())


def test_a_bundle_of_many_exceptions_profiles_and_names_leaves_a_bounded_record(place: Path) -> None:
    row = {"setting": "rootfs.read_only", "reason": "y" * 2000}
    many = [{**row, "setting": f"a.{number}"} for number in range(100)]
    profiles = [{"name": f"{number}" * 500} for number in range(100)]
    made = recorder(
        place, exceptions=[row] * 1000 + many, profiles=profiles, mechanisms={"enforced": ["x" * 2000] * 100}
    )
    made.launched()
    launch, *excepted = written(place)
    assert [item["setting"] for item in excepted[:2]] == ["rootfs.read_only", "a.0"]
    assert len(excepted) == record.MOST + 1
    assert excepted[-1]["setting"] == f"…(+{101 - record.MOST} exceptions)"
    assert launch["profiles"][-1] == {"name": f"…(+{100 - record.MOST} profiles)", "sha256": None}
    assert launch["enforced"][-1] == f"…(+{100 - record.MOST} mechanisms)"
    assert (place / FILE).stat().st_size < 200_000


def test_what_never_ran_is_refused(place: Path) -> None:
    made = recorder(place)
    made.refused("config.json:/x: is wrong\nhint: mend it", 125)
    (refused,) = written(place)
    assert (refused["event"], refused["code"], refused["error"]) == ("refused", 125, "config.json:/x: is wrong")


def test_what_is_interrupted_before_it_ran_is_refused(place: Path) -> None:
    recorder(place).ended(130)
    (refused,) = written(place)
    assert (refused["event"], refused["code"], refused["error"]) == (
        "refused",
        130,
        "interrupted before the command ran",
    )


@pytest.mark.parametrize(("launched", "events"), [(False, ["refused"]), (True, ["launch", "end"])])
def test_what_a_child_records_of_a_launcher_that_was_killed(launched: bool, events: list[str], place: Path) -> None:
    made = recorder(place)
    child_may, launcher_is_gone = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(child_may, 1)
        made.abandoned(lambda: [("file", lambda: File(str(place)))], 137, ["x: is still there"])
        os._exit(0)
    if launched:
        made.launched()
    os.write(launcher_is_gone, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [item["event"] for item in written(place)] == events
    assert {item["pid"] for item in written(place)} == {os.getpid()}
    assert written(place)[-1]["error"] == "the launcher was killed; x: is still there"
    assert (written(place)[-1]["code"], written(place)[-1].get("result")) == (137, "abandoned" if launched else None)


def test_what_could_not_be_executed_after_all_has_an_end(place: Path) -> None:
    made = recorder(place)
    made.launched()
    made.refused("exec format error", 126)
    assert [(item["event"], item.get("result")) for item in written(place)] == [
        ("launch", None),
        ("end", "not-executed"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("profiles", {}), ("profiles", [1]), ("profiles", [{"name": 1}]), ("exceptions", "x"), ("mechanisms", []),
        ("mechanisms", {"enforced": [1]}), ("mechanisms", {"partly": "x"}),
    ],
)  # fmt: skip
def test_a_malformed_annotation_is_refused_with_its_pointer(name: str, value: object, place: Path) -> None:
    with pytest.raises(LaunchError) as caught:
        recorder(place, **{name: value})
    assert str(caught.value).startswith(f"{ORIGIN}:/annotations/org.hardening.{name}: must be")


def test_annotations_that_are_no_text_or_no_json(place: Path) -> None:
    made = new(tuple)
    for value in (7, "{"):
        with pytest.raises(LaunchError, match=r"annotations/org\.hardening\.profiles"):
            made.describe({"annotations": {bundle.PROFILES: value}}, "", ORIGIN)
    made.describe({"annotations": 7, "process": {"args": 7}}, "", ORIGIN)
    made.describe([], "", ORIGIN)


def test_a_launch_that_nothing_records_is_refused(place: Path) -> None:
    place.write_text("no directory")
    made = recorder(place)
    with pytest.raises(LaunchError, match="the launch cannot be recorded") as caught:
        made.launched()
    assert str(caught.value).startswith("file: the launch cannot be recorded: Not a directory")
    with pytest.raises(OSError, match=r"."):
        made.refused("so", 125)


def test_the_next_sink_takes_what_the_first_does_not(place: Path) -> None:
    """One that is not sure to keep it (`Audit` without CAP_AUDIT_CONTROL) is not the last; one that fails is left."""
    attempts: list[str] = []

    class Unsure(File):
        def write(self, record: dict[str, Any]) -> bool:
            attempts.append(record["event"])
            if len(attempts) > 1:
                raise OSError(28, "full")
            return not super().write(record)

    place.mkdir()
    sinks = [("a", lambda: Unsure(f"{place}/a")), ("b", lambda: File(f"{place}/b"))]
    made = new(lambda: sinks)
    made.launched()
    made.ended(0)
    assert [item["event"] for item in written(place / "a")] == ["launch"]
    assert [item["event"] for item in written(place / "b")] == ["launch", "end"]
