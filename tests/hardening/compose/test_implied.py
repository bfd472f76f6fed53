"""What a value amounts to for another leaf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.implied import compose_here
from hardening.errors import ProfileError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host, plain
from hardening.mechanism.kinds import Ceiling, Flag
from hardening.mechanism.mechanism import Context, Implied, Mechanism, Unsupported, Violation
from hardening.mechanism.schema import scalar
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import read


@frozen
class DoorSettings:
    locked: bool = scalar(Flag(strict=True), True, "Whether the door is locked.")
    keys: int = scalar(Ceiling(), 0, "How many keys lie under the mat.")


class Door(Mechanism[DoorSettings]):
    """A key under the mat amounts to an open door; more than three, where a limit looks at it."""

    name = "door"
    summary = "a door"
    settings_type = DoorSettings

    def implies(self, settings: DoorSettings, limits: Mapping[tuple[str, str], Any], host: Host) -> Iterable[Implied]:
        if settings.keys:
            leaves = self.leaf("keys"), self.leaf("locked")
            yield Implied(*leaves, False, "a key lies there", settings.keys == 1, "keep the key in a safe")

    def check(self, settings: DoorSettings, context: Context) -> Iterable[Unsupported]:
        return ()

    def contribute(self, settings: DoorSettings, context: Context, fragment: Fragment) -> None:
        return

    def tighten(
        self, settings: DoorSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        return ()


@frozen
class PostSettings:
    copies: int = scalar(Ceiling(), 0, "How many keys are sent by post.")


class Post(Door):
    """A key by post amounts to an open door, if there is one."""

    name = "post"
    settings_type = PostSettings  # type: ignore[assignment]

    def implies(self, settings: Any, limits: Mapping[tuple[str, str], Any], host: Host) -> Iterable[Implied]:
        if settings.copies:
            yield Implied(self.leaf("copies"), Door().leaf("locked"), False, "a key is sent", settings.copies == 1)


def composed(folder: Path, *texts: str, shipped: bool = False, by: Sequence[Mechanism[Any]] = (Door(),)) -> Composition:
    layers = []
    for index, text in enumerate(texts):
        path = folder / f"layer{index}.toml"
        path.write_text(text)
        path.chmod(0o644)
        layers.append(attrs.evolve(parse_layer(read(path, f"layer{index}")), shipped=shipped and index == 0))
    return compose_here(Stack(tuple(layers)), by, plain(), date(2030, 1, 1))


KEYS = "[door]\nkeys = 2\n"
EXCEPTION = '[[exceptions]]\nsetting = "door.locked"\nreason = "a party"\n'


def test_a_limit_forbids_it_whatever_else_is_said(tmp_path: Path) -> None:
    limit = "[limits.door]\nlocked = true\n"
    for stack in ((limit, KEYS), (KEYS, limit), (limit, KEYS + EXCEPTION), (limit, KEYS.replace("2", "1"))):
        with pytest.raises(
            ProfileError, match=r"a key lies there: door.locked is limited to true at .*layer[01].toml:2"
        ):
            composed(tmp_path, *stack)


@pytest.mark.parametrize("shipped", [True, False])
def test_who_cannot_change_a_limit_is_told_what_to_do_instead(tmp_path: Path, shipped: bool) -> None:
    limit = "[limits.door]\nlocked = true\n"
    with pytest.raises(ProfileError) as caught:
        composed(tmp_path, limit, KEYS, shipped=shipped)
    assert (caught.value.hint == "keep the key in a safe") is shipped
    assert ("have it changed where it is set" in (caught.value.hint or "")) is not shipped


def test_an_exception_of_the_layer_that_says_it_permits_it(tmp_path: Path) -> None:
    with pytest.raises(
        ProfileError, match=r"door.keys: a key lies there: door.locked is true, set at default"
    ) as caught:
        composed(tmp_path, KEYS)
    assert caught.value.hint is not None
    assert 'setting = "door.locked"' in caught.value.hint
    assert str(caught.value.origin).endswith("layer0.toml:2")
    with pytest.raises(ProfileError):
        composed(tmp_path, EXCEPTION, KEYS)
    found = composed(tmp_path, KEYS + EXCEPTION)
    assert [exception.reason for _, exception in found.used_exceptions()] == ["a party"]
    assert [entry.exception.reason for entry in found.leaves.values() if entry.exception is not None] == ["a party"]
    assert not [finding for finding in found.findings if finding.rule == "core/unused-exception"]
    # What it amounts to changes nothing of the other leaf, but is no loosening where that is as loose already.
    assert found.settings["door"].locked
    assert composed(tmp_path, "[door]\nlocked = false\nkeys = 2\n").settings["door"].keys == 2


def test_what_is_free_needs_none(tmp_path: Path) -> None:
    found = composed(tmp_path, KEYS.replace("2", "1"))
    assert not found.used_exceptions()


def test_an_exception_that_nothing_needs_is_still_told(tmp_path: Path) -> None:
    found = composed(tmp_path, EXCEPTION)
    assert [finding.rule for finding in found.findings] == ["core/unused-exception"]


def test_a_value_of_another_mechanism_is_held_against_the_limit_alike(tmp_path: Path) -> None:
    both, limit, post = (Post(), Door()), "[limits.door]\nlocked = true\n", "[post]\ncopies = {}\n"
    for stack in ((limit, post), (post, limit), (limit, post + EXCEPTION)):
        for copies in (1, 2):
            texts = [text.replace("{}", str(copies)) for text in stack]
            with pytest.raises(ProfileError, match=r"post.copies: a key is sent: door.locked is limited to true at"):
                composed(tmp_path, *texts, by=both)
    with pytest.raises(ProfileError, match=r"door.locked is true, set at default"):
        composed(tmp_path, post.format(2), by=both)
    found = composed(tmp_path, post.format(2) + EXCEPTION, by=both)
    assert [exception.reason for _, exception in found.used_exceptions()] == ["a party"]
    assert composed(tmp_path, post.format(2), by=(Post(),)).settings["post"].copies == 2, "where there is no door"
