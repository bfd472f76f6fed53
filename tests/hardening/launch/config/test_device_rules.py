"""Which devices rules permit, and where the native launcher can keep them."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.errors import HardeningError
from hardening.launch.config import config, device_rules
from tests.support import bundles

NONE = {"allow": False, "access": "rwm"}
ALL = {"allow": True, "access": "rwm"}
FUSE = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}


def document(rules: list[Any], *, mapped: bool = True, capabilities: tuple[str, ...] = ()) -> dict[str, Any]:
    found = bundles.config("true", uid_maps=bundles.id_maps(100_000, 10) if mapped else None)
    found["process"]["capabilities"]["bounding"] = list(capabilities)
    found["linux"]["resources"] = {"devices": rules}
    return found


def refused(found: dict[str, Any]) -> list[str]:
    return [pointer for pointer, _ in config.unsupported(found)]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([NONE], False),
        ([NONE, FUSE], True),
        ([FUSE, NONE], False),
        ([NONE, {**FUSE, "access": "r"}], False),
        ([NONE, {**FUSE, "access": "r"}, {**FUSE, "access": "w"}], True),
        ([NONE, {**FUSE, "minor": -1}], True),
        ([NONE, {**FUSE, "type": "b"}], False),
        ([NONE, {**FUSE, "type": "u"}], True),
        ([FUSE, {**FUSE, "allow": False, "access": "w"}], False),
        ([ALL, {"allow": False, "type": "c", "major": 10, "access": "rw"}], False),
        ([{"allow": False, "type": "b", "access": "rwm"}], False),
    ],
)
def test_the_last_rule_for_a_device_counts(rules: list[Any], expected: bool) -> None:
    found = config.read(document(rules))
    assert device_rules.permits(found.device_rules, "c", 10, 229) is expected
    assert device_rules.permits(found.device_rules, "c", 1, 3)


@pytest.mark.parametrize("rules", [[ALL], [NONE, ALL], [NONE, FUSE, ALL, FUSE], []])
def test_rules_that_forbid_nothing_are_none(rules: list[Any]) -> None:
    assert config.read(document(rules, mapped=False, capabilities=("CAP_MKNOD",))).device_rules == ()


def test_they_are_kept_in_a_user_namespace_or_without_the_right_to_make_nodes() -> None:
    assert refused(document([NONE], capabilities=("CAP_MKNOD",))) == []
    assert refused(document([NONE], mapped=False)) == []


@pytest.mark.parametrize(
    ("mapped", "capability"), [(False, "CAP_MKNOD"), (False, "CAP_SYS_ADMIN"), (True, "CAP_SYS_ADMIN")]
)
def test_capabilities_that_go_around_them(mapped: bool, capability: str) -> None:
    assert refused(document([NONE], mapped=mapped, capabilities=(capability,))) == ["/linux/resources/devices"]


def test_processes_of_the_host_go_around_them() -> None:
    for mapped in (False, True):
        found = document([NONE], mapped=mapped)
        found["linux"]["namespaces"] = [entry for entry in found["linux"]["namespaces"] if entry["type"] != "pid"]
        assert refused(found) == ([] if mapped else ["/linux/resources/devices"])


def test_a_bound_dev_has_more_than_they_permit() -> None:
    found = document([NONE])
    found["mounts"].append({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]})
    assert refused(found) == ["/linux/resources/devices"]


def test_a_device_that_they_do_not_permit() -> None:
    found = document([NONE], mapped=False)
    found["linux"]["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    assert refused(found) == ["/linux/devices/0"]
    found["linux"]["resources"]["devices"].append(FUSE)
    assert refused(found) == []


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({"allow": False, "type": "c", "major": 1, "access": "rw"}, "/linux/resources/devices/0"),
        ({"allow": True, "type": "p"}, "/linux/resources/devices/0/type"),
        ({"allow": True, "type": "a", "major": 1}, "/linux/resources/devices/0/type"),
        ({"allow": True, "type": "c", "access": "x"}, "/linux/resources/devices/0/access"),
        ({"allow": True, "type": "c", "major": "1"}, "/linux/resources/devices/0/major"),
        ({"allow": True, "type": "c", "nonsense": 1}, "/linux/resources/devices/0/nonsense"),
    ],
)
def test_rules_that_are_not_understood(rule: dict[str, Any], pointer: str) -> None:
    assert refused(document([rule])) == [pointer]
    with pytest.raises(HardeningError):
        config.read(document([rule]))
