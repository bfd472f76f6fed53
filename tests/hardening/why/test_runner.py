"""One run of a command leaves nothing on the host."""

from __future__ import annotations

import os
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from hardening.errors import UsageError
from hardening.mechanism.roles import Volume
from hardening.why import runner

LABELLED = {"process": {"selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"}}


def assembly(document: dict[str, Any], *volumes: Volume) -> Any:
    """What a run is made of, with these volumes."""
    root = SimpleNamespace(mounted_volumes=lambda: volumes)
    return SimpleNamespace(context=SimpleNamespace(of=lambda kind: root), spec=SimpleNamespace(document=document))


def test_a_volume_that_each_run_would_label_anew_is_refused() -> None:
    plain, private = Volume("/srv/a", "/a"), Volume("/srv/b", "/b", relabel="Z")
    runner.require_no_labels(assembly(LABELLED, plain))
    runner.require_no_labels(assembly({}, plain, private))  # a host without SELinux labels nothing
    with pytest.raises(UsageError, match=r"would relabel /srv/b on the host \(Z\)") as refused:
        runner.require_no_labels(assembly(LABELLED, plain, private))
    assert "--in-place" in str(refused.value.hint)


def test_what_one_run_writes_to_its_input_is_not_what_the_next_one_reads() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"hi\n")
    os.close(writer)
    with closing(os.fdopen(runner.kept_input(reader), "rb")) as kept:
        os.close(reader)
        assert not os.get_inheritable(kept.fileno())
        with pytest.raises(PermissionError), open(f"/proc/self/fd/{kept.fileno()}", "ab", buffering=0) as again:
            again.write(b"x")
        with open(f"/proc/self/fd/{kept.fileno()}", "rb") as again:
            assert again.read() == b"hi\n"


def test_too_much_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_INPUT", 1 << 20)
    with open("/dev/zero", "rb") as endless, pytest.raises(UsageError, match="standard input is more than 1M"):
        runner.kept_input(endless.fileno())
