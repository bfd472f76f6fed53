"""Receipts: what the launcher writes, read back and held against a composition."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.pipeline import assembled, examine
from hardening.compose.composition import Composition, compose
from hardening.errors import HardeningError
from hardening.launch.config.bundle import Bundle
from hardening.launch.record import receipt as launcher
from hardening.mechanism.host import plain, probe
from hardening.mechanism.mechanism import Context, State, Verification
from hardening.plugin.plugins import load
from hardening.profile.layers import Stack
from hardening.runs.receipt import KEYS, read, verify
from hardening.testing.mechanisms import gathered
from tests.support.texts import composed
from tests.support.thirdparty.acme_quota import Quota, QuotaSettings


def written(path: Path, **changes: Any) -> Path:
    """A receipt of this very process, as the launcher writes it, with changes."""
    found = gathered() | changes
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))
    return path


def test_what_a_configuration_joins_is_told_however_its_keys_are_written() -> None:
    """runc reads them in any case."""
    entries = [{"type": "network", "PATH": "/a"}, {"type": "pid"}, {"Type": "user", "path": "/b"}]
    assert gathered(document={"Linux": {"namespaces": entries}})["joined"] == ["net", "user"]


def test_the_caller_s_namespaces_keep_their_numbers_until_they_are_compared() -> None:
    """A rootless runtime's launcher leaves its own, and the kernel gives the number of one that is gone to the next."""

    def held() -> set[str]:
        links = [os.readlink(f"/proc/self/fd/{number}") for number in map(int, os.listdir("/proc/self/fd"))
                 if os.path.lexists(f"/proc/self/fd/{number}")]  # fmt: skip
        return {link for link in links if link in launcher.namespaces().values()}

    before = held()
    report = launcher.Report(Bundle(directory="/", document={}, text=b"", sha256=""), None)
    assert held() == set(launcher.namespaces().values())
    report.gather(os.getpid())
    assert held() == before


def test_what_the_launch_launcher_writes_can_be_read(tmp_path: Path) -> None:
    path, mounts = tmp_path / "receipt", Path("/proc/self/mountinfo")
    before = mounts.read_text().splitlines()
    launcher.write(str(path), gathered())
    found = read(path)
    assert found.keys() >= KEYS
    assert found["pid"] == os.getpid()
    assert found["status"]["Pid"] == str(os.getpid())
    assert found["namespaces"] == found["caller_namespaces"]
    assert found["namespaces"]["pid"] == os.readlink("/proc/self/ns/pid")
    assert found["mountinfo"] in (before, mounts.read_text().splitlines())  # somebody else may mount meanwhile
    assert found["oom_score_adj"] == int(Path("/proc/self/oom_score_adj").read_text())
    assert found["loginuid"] == int(Path("/proc/self/loginuid").read_text())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kernel_without_audit_has_no_loginuid(tmp_path: Path) -> None:
    assert read(written(tmp_path / "receipt", loginuid=None))["loginuid"] is None


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_receipt_that_lacks_a_part_is_none(tmp_path: Path, key: str) -> None:
    path = written(tmp_path / "receipt", **{key: ...})
    with pytest.raises(HardeningError) as caught:
        read(path)
    what = "not a receipt" if key in ("status", "mountinfo") else "a receipt of an older version"
    assert str(caught.value).startswith(f"{path}: {what}: it lacks {key}\nhint: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "\xff"])
def test_another_file_is_no_receipt(tmp_path: Path, text: str) -> None:
    path = tmp_path / "receipt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HardeningError, match="not a receipt"):
        read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pid", "1"),
        ("status", []),
        ("status", {}),
        ("uid_map", None),
        ("uid_map", "0 1"),
        ("gid_map", "\n"),
        ("gid_map", "0 0 " + "9" * 5000),
        ("limits", None),
        ("limits", "Max open files  " + "9" * 5000 + "  1 files"),
        ("namespaces", {"pid": 7}),
        ("joined", None),
        ("caller_namespaces", "pid"),
        ("mountinfo", [7]),
        ("caller_mountinfo", None),
        ("cgroup_values", None),
        ("cgroup_values", {"pids.max": 5}),
        ("environment", {"HOME": 5}),
        ("environment", ["HOME"]),
        ("descriptors", ["0"]),
        ("tty", "0"),
        ("enforce", "1"),
        ("seccomp", {"filters": ["00"], "digest": "x", "caller": "0"}),
        ("seccomp", {"filters": [7], "digest": None, "caller": 0}),
        ("observed", None),
        ("observed", {"paths": {"/etc": 7}}),
        ("observed", {"effects": {"net": "x"}}),
        ("observed", {"effects": {"net": ["x"]}}),
        ("observed", {"devices": {"/dev/null": 7}}),
        ("setgroups", 7),
        ("loginuid", "-" * 3),
        ("oom_score_adj", None),
    ],
)
def test_a_part_of_another_form_is_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(HardeningError, match=f"not a receipt: {key} has another form"):
        read(written(tmp_path / "receipt", **{key: value}))


@pytest.mark.parametrize(
    ("field", "text"), [("Uid", "0 0"), ("CapEff", "zz"), ("NoNewPrivs", ""), ("Umask", "9"), ("Groups", "a")]
)
def test_a_field_of_the_status_of_another_form_is_refused(tmp_path: Path, field: str, text: str) -> None:
    status = gathered()["status"]
    for changed in ({**status, field: text}, {key: value for key, value in status.items() if key != field}):
        with pytest.raises(HardeningError, match="not a receipt: status has another form"):
            read(written(tmp_path / "receipt", status=changed))


def test_absurd_nesting_is_no_receipt(tmp_path: Path) -> None:
    (tmp_path / "receipt").write_text("[" * 100_000)
    with pytest.raises(HardeningError, match="not a receipt"):
        read(tmp_path / "receipt")


@pytest.mark.parametrize("value", ["many", [1], {}])
def test_a_number_that_is_none_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(HardeningError, match="not a receipt"):
        read(written(tmp_path / "receipt", oom_score_adj=value))


def test_a_missing_receipt_is_named(tmp_path: Path) -> None:
    with pytest.raises(HardeningError, match="cannot read the receipt: No such file or directory"):
        read(tmp_path / "receipt")


class Counting(Quota):
    """A third party's mechanism that finds some of its leaves in a receipt."""

    def __init__(self, name: str, *seen: str) -> None:
        self.name = name  # type: ignore[misc]
        self.seen = seen

    def verify(self, settings: QuotaSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        pid = receipt["pid"]
        also = [f"{self.name}.{leaf}" for leaf in self.seen]
        yield Verification.of(f"{self.name}.files", str(settings.files), str(pid), settings.files == pid, *also)


#: All that restricts in the sample's settings, beside `files`.
OTHERS = ("strict", "beyond.mode", "place", "colours.*", "sizes.*")


def composition(*mechanisms: Quota, layer: str = "") -> Composition:
    return composed(*([layer] if layer else []), by=list(mechanisms))


def verdict(stack: Composition, pid: int = 0) -> dict[str, State]:
    return {line.leaf: line.state for line in verify(stack, Context(plain(), stack.composed), {"pid": pid})}


def test_every_mechanism_is_asked_in_its_order() -> None:
    both = composition(Counting("first", *OTHERS), Counting("second", *OTHERS))
    assert list(verdict(both).items()) == [("first.files", State.HOLDS), ("second.files", State.HOLDS)]
    assert verdict(both, 7) == dict.fromkeys(("first.files", "second.files"), State.DIFFERS)


@pytest.mark.parametrize("forgotten", OTHERS)
def test_what_a_third_party_forgets_is_not_seen(forgotten: str) -> None:
    found = verdict(composition(Counting("quota", *(name for name in OTHERS if name != forgotten))))
    assert found == {"quota.files": State.HOLDS, f"quota.{forgotten}": State.NOT_SEEN}


def test_a_mechanism_that_looks_at_nothing_holds_nothing() -> None:
    found = verdict(composition(Quota()))
    assert found == dict.fromkeys((f"quota.{name}" for name in ("files", *OTHERS)), State.NOT_SEEN)


def test_one_member_of_a_family_is_not_all_of_it() -> None:
    layer = "[quota.sizes]\ncore = 5\n"
    rest = [name for name in OTHERS if name != "sizes.*"]
    found = verdict(composition(Counting("quota", *rest, "sizes.core"), layer=layer))
    assert found["quota.sizes.*"] is State.NOT_SEEN
    assert verdict(composition(Counting("quota", *OTHERS), layer=layer)) == {"quota.files": State.HOLDS}


def test_what_restricts_nothing_need_not_be_seen() -> None:
    layer = '[quota]\nfiles = 1000000\nstrict = false\nbeyond.mode = "ignore"\nlabel = "any"\n'
    found = verdict(composition(Quota(), layer=layer))
    assert set(found) == {"quota.place", "quota.colours.*", "quota.sizes.*"}


def test_what_is_decided_before_a_launch_is_left_out() -> None:
    class Before(Quota):
        before_launch = ("files", "strict", "place")

    class All(Quota):
        before_launch = ("*",)

    assert set(verdict(composition(Before()))) == {"quota.beyond.mode", "quota.colours.*", "quota.sizes.*"}
    assert verdict(composition(All())) == {}


def test_every_leaf_of_the_shipped_mechanisms_is_looked_at() -> None:
    """By the lines for a process of the tests, which hold or not: none is left to the core, but those of SELinux where it
    is not active."""
    plugins = load()
    host = probe(plugins.mechanisms)
    strict = compose(Stack(()), plugins.mechanisms, host, date(2026, 1, 1))
    context = examine(strict, host)
    context = attrs.evolve(context, spec=assembled(plugins, strict, host, context=context).spec)
    report = gathered()
    report |= {key: report[key].splitlines() for key in ("mountinfo", "caller_mountinfo")}
    forgotten = [line.leaf for line in verify(strict, context, report) if line.kernel.endswith("does not look at it")]
    assert [leaf for leaf in forgotten if not leaf.startswith("selinux.")] == []
