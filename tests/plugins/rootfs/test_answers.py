"""Which member of a family of places answers for a path that no layer names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.report.explain import find
from hardening_rootfs import spec
from hardening_rootfs.answers import of_path
from tests.plugins.rootfs.stacks import composed, context_of, host


@pytest.mark.parametrize(
    ("question", "leaf", "value"),
    [
        ("hidden_paths./root/.ssh/id_rsa", "hidden_paths./root", "true"),
        ("masked_paths./sys/firmware/efi/vars", "masked_paths./sys/firmware", "true"),
        ("read_only_paths./proc/sys/kernel/core_pattern", "read_only_paths./proc/sys", "true"),
        ("tmpfs./tmp/x", "tmpfs./tmp", None),
        ("volumes./app/data/x", "volumes./app/data", None),
        ("volumes./app/data/deep/x", "volumes./app/data/deep", None),
        ("hidden_paths./rooted", "hidden_paths./rooted", "false"),
        ("volumes./app/database", "volumes./app/database", "none"),
        ("hidden_paths./root", "hidden_paths./root", "true"),
    ],
)
def test_what_a_path_lies_in_answers_for_it(question: str, leaf: str, value: str | None, tmp_path: Path) -> None:
    volumes = f'volumes.add = ["{tmp_path}:/app/data", "{tmp_path}:/app/data/deep"]'
    answer = find(composed(tmp_path, f"[rootfs]\n{volumes}\n"), f"rootfs.{question}", host())
    (found,) = answer.leaves
    assert str(found.leaf) == f"rootfs.{leaf}"
    assert value is None or found.shown == value
    assert answer.inside == (f"rootfs.{question}" if question != leaf else "")


def test_what_is_hidden_in_a_volume_is_told_by_what_hides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the volume leaves out, by the volume."""
    (tmp_path / "hid/in").mkdir(parents=True)
    said = f'[rootfs]\nvolumes.add = ["{tmp_path}:/x:ro"]\nhidden_paths.add = ["{tmp_path}/hid"]\n'
    composition = composed(tmp_path, said)
    settings = composition.settings["rootfs"]

    def told() -> tuple[str, str]:
        (found,) = of_path(settings, context_of(composition), "/x/hid/in")
        return found.answer, found.leaf

    assert told() == ("no: /x/hid is empty here", f"rootfs.hidden_paths.{tmp_path}/hid")
    monkeypatch.setattr(spec, "kept_in_volumes", lambda *_: {"/x/hid": "/a place under a mount"})
    assert told() == ("no: /x/hid is empty here", "rootfs.volumes./x")
