from __future__ import annotations

import os
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.mechanism import host
from hardening.mechanism.host import Host
from tests.support.thirdparty.acme_quota import Quota


@attrs.frozen
class Disks:
    """Facts that a mechanism adds."""

    count: int


class Probing(Quota):
    def probe(self, host: Host) -> Disks:
        return Disks(host.kernel[0])


def test_the_plain_facts_are_those_of_uname_and_the_caller() -> None:
    facts = host.plain()
    assert os.uname().release.startswith(f"{facts.kernel[0]}.{facts.kernel[1]}")
    assert (facts.release, facts.machine) == (os.uname().release, os.uname().machine)
    assert (facts.uid, facts.gid, facts.root) == (os.geteuid(), os.getegid(), os.geteuid() == 0)


@pytest.mark.parametrize(
    ("release", "kernel"), [("6.18.44-fc", (6, 18)), ("5.10", (5, 10)), ("10.2-rc1", (10, 2)), ("odd", (0, 0))]
)
def test_the_kernel_s_version_is_read_from_its_release(
    release: str, kernel: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    name: Any = os.uname()
    monkeypatch.setattr(os, "uname", lambda: type(name)((name[0], name[1], release, name[3], name[4])))
    assert host.plain().kernel == kernel


def test_what_mechanisms_probe_is_filed_by_its_type() -> None:
    facts = host.probe([Probing(), Quota()])
    assert facts.of(Disks) == Disks(facts.kernel[0])
    with pytest.raises(KeyError):
        host.plain().of(Disks)


def test_a_fact_is_found_by_what_it_derives_from() -> None:
    class Many(Disks):
        pass

    known = attrs.evolve(host.plain(), facts=MappingProxyType({Many: Many(2)}))
    assert known.find(Disks) is known.of(Many)
    assert host.plain().find(Disks) is None
    with pytest.raises(KeyError):
        host.plain().of(Disks)
