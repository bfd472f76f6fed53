"""What a receipt must show of capabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.mechanism.mechanism import Context
from hardening_capabilities import CapabilitiesSettings
from hardening_capabilities.verify import verify
from tests.plugins.capabilities.stacks import host
from tests.plugins.capabilities.test_spec import settings

NOWHERE = Context(host(), {})


def receipt(sets: Mapping[str, int], *, uid: int = 0, own: bool = True, flag: str = "1") -> dict[str, Any]:
    status = {field: f"{sets.get(field, 0):016x}" for field in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")}
    status |= {"NoNewPrivs": flag, "Uid": "\t".join([str(100000 + uid)] * 4)}
    return {
        "status": status,
        "uid_map": "         0     100000      65536\n",
        "namespaces": {"user": "user:[2]" if own else "user:[1]"},
        "caller_namespaces": {"user": "user:[1]"},
    }


KILL, CHOWN = 1 << 5, 1 << 0
THREE = {"CapBnd": KILL, "CapPrm": KILL, "CapEff": KILL}
FIVE = THREE | {"CapInh": KILL, "CapAmb": KILL}


def wrong(chosen: CapabilitiesSettings, report: dict[str, Any]) -> list[str]:
    return [check.kernel.partition(": ")[0] for check in verify(chosen, NOWHERE, report) if not check.holds]


def test_a_kernel_that_agrees() -> None:
    assert wrong(settings("KILL"), receipt(THREE)) == []
    assert wrong(settings("KILL"), receipt(FIVE, uid=1000)) == []
    assert wrong(settings(), receipt({})) == []


def test_every_set_is_held_against_the_settings() -> None:
    for field in FIVE:
        assert wrong(settings("KILL"), receipt(THREE | {field: KILL | CHOWN})) == [field]
    assert wrong(settings("KILL"), receipt(THREE, flag="0")) == ["NoNewPrivs"]
    assert wrong(settings("KILL", no_new_privileges=False), receipt(THREE, flag="1")) != []


def test_root_with_ambient_and_others_without_are_wrong() -> None:
    assert wrong(settings("KILL"), receipt(FIVE)) == ["CapInh", "CapAmb"]
    assert wrong(settings("KILL"), receipt(THREE, uid=1000)) == ["CapInh", "CapAmb"]


def test_the_cut_of_the_host_holds_only_in_its_own_user_namespace() -> None:
    assert wrong(settings("KILL", "CHOWN"), receipt(THREE, own=False)) == []
    (missing,) = [check for check in verify(settings("KILL", "CHOWN"), NOWHERE, receipt(THREE)) if not check.holds]
    assert (missing.leaf, missing.kernel) == ("capabilities.CHOWN", "missing")
    assert wrong(settings("KILL"), receipt(THREE | {"CapBnd": KILL | CHOWN}, own=False)) != []


def test_bits_without_a_name_are_wrong_and_shown() -> None:
    checks = list(verify(settings("KILL"), NOWHERE, receipt(THREE | {"CapBnd": KILL | 1 << 50})))
    assert (checks[0].kernel, checks[0].holds) == ("CapBnd: KILL 50", False)
