"""Which member of a family of places answers for a path that no layer names."""

from __future__ import annotations

from errno import EACCES, EROFS
from pathlib import Path

import pytest

from hardening.mechanism.denial import Caller
from hardening.mechanism.roles import id_maps
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
        return found.denied, found.leaf

    assert told() == ("/x/hid is empty here", f"rootfs.hidden_paths.{tmp_path}/hid")
    (none,) = of_path(settings, context_of(composition), "/x/hid/none")
    assert none.denied == f"/x/hid is empty here, and {tmp_path}/hid/none is not there on the host either"
    monkeypatch.setattr(spec, "kept_in_volumes", lambda *_: {"/x/hid": "/a place under a mount"})
    assert told() == (
        "/x/hid is empty here, and /a place under a mount/in is not there on the host either",
        "rootfs.volumes./x",
    )


def test_who_may_do_nothing_with_a_file_is_told_by_its_mode_and_not_by_its_owner(tmp_path: Path) -> None:
    """An owner who is unmapped is the reason where that one may."""
    (tmp_path / "plain").touch(mode=0o644)
    (tmp_path / "own").touch(mode=0o600)
    composition = composed(tmp_path, f'[rootfs]\nvolumes.add = ["{tmp_path}:/data"]\n')

    def said(path: str) -> dict[str, str]:
        found = of_path(composition.settings["rootfs"], context_of(composition), path)
        return {item.asked: item.denied or item.how for item in found}

    tmp_path.chmod(0o755)
    plain, own = said("/data/plain"), said("/data/own")
    assert plain["readable"] == "yes, by the rights of its files"
    assert plain["executable"] == "the mode is 0644, the owner an unmapped user, and the command is user 0"
    assert own["readable"] == "its owner is unmapped"
    assert own["executable"].startswith("the mode is 0600")
    tmp_path.chmod(0o700)
    assert said("/data/plain")["readable"] == f"the owner of {tmp_path} is unmapped"


def test_a_directory_that_is_not_there_can_be_one_in_memory(tmp_path: Path) -> None:
    composition = composed(tmp_path, "[rootfs]\n")
    found = of_path(composition.settings["rootfs"], context_of(composition), "/opt/no-such-directory/new")
    (answer,) = [item for item in found if item.asked == "writable"]
    assert answer.ways[0].leaf == "rootfs.tmpfs./opt/no-such-directory"


def test_a_mode_that_keeps_root_of_its_own_out_is_the_stacks_doing_and_to_others_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "own").touch(mode=0o600)
    composition = composed(tmp_path, f'[rootfs]\nvolumes.add = ["{tmp_path}:/data:ro"]\n')
    context = context_of(composition)
    maps = id_maps(context)
    root = maps.outside(0) if maps is not None else None
    assert root is not None

    def errors(caller: Caller | None) -> list[int]:
        found = of_path(composition.settings["rootfs"], context, "/data/own", caller)
        return [error for item in found if item.asked == "writable" for error in item.errors]

    assert errors(None) == errors(Caller(1, uid=root)) == [EROFS, EACCES]
    assert errors(Caller(1, uid=root + 5)) == [EROFS]
