"""What this host cannot enforce, and what is not there."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path

import attrs
import pytest

from hardening.errors import ProfileError
from hardening.mechanism.mechanism import Context
from hardening_rootfs.host import check
from hardening_rootfs.surroundings import RootfsFacts, Surroundings, require, require_apart
from tests.plugins.rootfs.stacks import composed, context_of, host, settings_of

OPEN_PROC = '[rootfs.proc]\nhidepid = "off"\nsubset = ""\n'


def leaves(folder: Path, *texts: str, kernel: tuple[int, int] = (6, 12), uid: int = 0) -> set[str]:
    on = host(kernel=kernel, uid=uid)
    composition = composed(folder, *texts, on=on)
    return {found.leaf for found in check(composition.settings["rootfs"], Context(on, composition.composed))}


def test_a_recent_kernel_enforces_everything(tmp_path: Path) -> None:
    assert leaves(tmp_path, "[rootfs]") == set()


def test_old_kernels(tmp_path: Path) -> None:
    assert leaves(tmp_path, "[rootfs]", kernel=(5, 11)) == {"rootfs.read_only"}
    proc = {"rootfs.proc.hidepid", "rootfs.proc.subset"}
    assert leaves(tmp_path, "[rootfs]", kernel=(5, 7)) == {"rootfs.read_only", *proc}
    assert leaves(tmp_path, OPEN_PROC, kernel=(5, 7)) == {"rootfs.read_only"}


def test_the_hosts_process_ids_in_a_user_namespace(tmp_path: Path) -> None:
    profile = '[namespaces]\npid = "host"\n'
    assert leaves(tmp_path, profile) == {"rootfs.proc.hidepid", "rootfs.proc.subset"}
    assert leaves(tmp_path, profile + OPEN_PROC) == set()
    assert leaves(tmp_path, profile + 'user = "host"') == set()


@pytest.mark.parametrize("where", ["host", "/proc/1/ns/mnt"])
def test_mounts_of_others_are_not_touched(tmp_path: Path, where: str) -> None:
    with pytest.raises(ProfileError, match="needs a mount namespace of its own"):
        leaves(tmp_path, f'[namespaces]\nuser = "host"\nmount = "{where}"')


def test_id_mapped_volumes_need_root_a_user_namespace_and_a_kernel(tmp_path: Path) -> None:
    profile = '[rootfs]\nvolumes = ["/usr:/data:idmap"]'
    leaf = "rootfs.volumes./data"
    assert leaf not in leaves(tmp_path, profile)
    assert leaf in leaves(tmp_path, profile, kernel=(5, 11))
    assert leaf in leaves(tmp_path, profile, uid=1000)
    assert leaf in leaves(tmp_path, profile, '[namespaces]\nuser = "host"')


def test_surroundings_follow_the_namespaces(tmp_path: Path) -> None:
    composition = composed(tmp_path, '[namespaces]\nnet = "host"\nipc = "host"')
    around = Surroundings.of(context_of(composition))
    assert (around.user, around.own_proc, around.own_sys, around.own_queues) == (True, True, False, False)
    assert Surroundings.of(Context(host(), {})) == Surroundings()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('path = "nothing"', "cannot use .*nothing: No such file"),
        ('path = "file"', "file is not a directory"),
        ('volumes = ["./nothing:/data"]', "nothing: No such file"),
    ],
)
def test_what_is_not_there_is_an_error_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProfileError, match=message) as raised:
        require(settings_of(tmp_path, f"[rootfs]\n{line}"))
    assert re.search(r"layer0\.toml:2$", str(raised.value.origin))
    assert raised.value.hint


def test_a_root_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir(mode=0)
    settings = settings_of(tmp_path, '[rootfs]\npath = "image"')
    caller = os.geteuid()
    if caller == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(ProfileError, match="Permission denied"):
            require(settings)
    finally:
        os.seteuid(caller)


def test_the_hosts_root_is_never_writable(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="only ever shown read-only"):
        require(settings_of(tmp_path, "[rootfs]\nread_only = false"))


def test_devices_must_be_devices(tmp_path: Path) -> None:
    require(settings_of(tmp_path, '[rootfs]\ndevices = ["/dev/null"]'))
    for path in ("/dev/nothing-here", "/dev/shm"):
        with pytest.raises(ProfileError, match=r"rootfs\.devices"):
            require(settings_of(tmp_path, f'[rootfs]\ndevices = ["{path}"]'))
    with pytest.raises(ProfileError, match="not below /dev"):
        settings_of(tmp_path, '[rootfs]\ndevices = ["/etc/passwd"]')


def test_a_profile_lies_apart_from_what_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "team/deep").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    for folder in ("team", "team/deep", "link", "."):
        for options, held in (("rw", False), ("ro", True)):
            composition = composed(tmp_path, f'[rootfs]\nvolumes = ["{tmp_path / folder}:/x:{options}"]')
            (tmp_path / "team/deep/profile.toml").touch()
            (tmp_path / "link/profile.toml").unlink(missing_ok=True)
            (tmp_path / "link/profile.toml").symlink_to("../team/deep/profile.toml")
            context = Context(host(), composition.composed, profiles=(f"{tmp_path}/link/profile.toml",))
            with nullcontext() if held else pytest.raises(ProfileError, match="decides the next call"):
                require_apart(composition.settings["rootfs"], context)
    (tmp_path / "data").mkdir()
    composition = composed(tmp_path, f'[rootfs]\nvolumes = ["{tmp_path}/data:/x"]')
    require_apart(
        composition.settings["rootfs"], Context(host(), composition.composed, profiles=composition.stack.files)
    )


def test_what_can_be_written_lies_apart_from_what_decides_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "config/hardening/profiles").mkdir(parents=True)
    plain = host()
    facts = attrs.evolve(plain.of(RootfsFacts), deciding=(f"{tmp_path}/config/hardening", f"{tmp_path}/new/auth.json"))
    on = attrs.evolve(plain, facts={**plain.facts, RootfsFacts: facts})
    for source in ("config", "config/hardening", "config/hardening/profiles", "."):
        path = tmp_path / source
        with pytest.raises(ProfileError, match="what lies there decides the next call"):
            context_of(composed(tmp_path, f'[rootfs]\nvolumes = ["{path}:/x"]', on=on), on)
        context_of(composed(tmp_path, f'[rootfs]\nvolumes = ["{path}:/x:ro"]', on=on), on)
    (tmp_path / "other").mkdir()
    context_of(composed(tmp_path, f'[rootfs]\nvolumes = ["{tmp_path}/other:/x"]', on=on), on)
