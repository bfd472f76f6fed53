"""The grammar and the orders of `[selinux]`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hardening.compose.composition import compose
from hardening.errors import ProfileError
from hardening.mechanism.host import plain
from hardening.profile.layers import Stack
from hardening_selinux import Selinux, SelinuxSettings
from tests.support.layers import written


def composed(folder: Path, *texts: str) -> SelinuxSettings:
    settings = compose(Stack(tuple(written(folder, *texts))), [Selinux()], plain(), date(2030, 1, 1)).settings[
        "selinux"
    ]
    assert isinstance(settings, SelinuxSettings)
    return settings


def test_the_default_is_the_policys_own_container_label(tmp_path: Path) -> None:
    settings = composed(tmp_path)
    assert settings.enabled
    assert {settings.user, settings.role, settings.type, settings.level, settings.mount_label} == {"auto"}
    assert settings.relabel == "never"


def test_levels_and_labels_are_put_in_the_kernels_form(tmp_path: Path) -> None:
    settings = composed(tmp_path, '[selinux]\nlevel = "s0:c9,c1"\nmount_label = "system_u:object_r:usr_t:s0:c3,c2,c1"')
    assert settings.level == "s0:c1,c9"
    assert settings.mount_label == "system_u:object_r:usr_t:s0:c1.c3"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('level = "s0:c1024"', "not a category"),
        ('level = "c1,c2"', "not a sensitivity"),
        ('type = "container t"', "not the name"),
        ('user = ""', "not the name"),
        ('mount_label = "container_file_t"', "not of the form"),
        ('relabel = "always"', "none of never, private, shared"),
        ('enabled = "yes"', "true or false"),
        ('typ = "x"', "unknown key"),
    ],
)
def test_bad_values(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message) as raised:
        composed(tmp_path, f"[selinux]\n{line}")
    assert str(raised.value.origin).endswith("layer0.toml:2")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('type = "my_t"', 'type = "other_t"'),
        ('type = "auto"', 'type = "spc_t"'),
        ('level = "s0:c1,c2"', 'level = "s0"'),
        ('level = "s0"', 'level = "s0:c1,c2"'),
        ('type = "my_t"', 'type = "auto"'),
        ('level = "auto"', 'level = "s0"'),
        ('level = "s0:c1,c2"', 'level = "auto"'),
        ("enabled = true", "enabled = false"),
        ('relabel = "private"', 'relabel = "shared"'),
    ],
)
def test_loosenings_and_what_cannot_be_compared(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(ProfileError, match=r"is looser than|cannot be compared"):
        composed(tmp_path, f"[selinux]\n{first}", f"[selinux]\n{second}")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('level = "s0:c1,c2"', 'level = "s0:c2,c1"'),
        ("enabled = false", "enabled = true"),
        ('relabel = "shared"', 'relabel = "private"'),
    ],
)
def test_tightenings(tmp_path: Path, first: str, second: str) -> None:
    assert composed(tmp_path, f"[selinux]\n{first}", f"[selinux]\n{second}")
