"""What runs of an image: its entrypoint, and what was typed in place of its own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hardening.cli.options.entrypoint import ImageCommand
from hardening.errors import HardeningError, ImageError, UsageError

CONFIG: dict[str, Any] = {"Entrypoint": ["/run.sh"], "Cmd": ["serve", "-v"]}


def runs(config: dict[str, Any], entrypoint: str | None = None, typed: Sequence[str] = ()) -> tuple[str, ...]:
    return ImageCommand.of(config, "x", entrypoint, typed).command(tuple(typed))


def test_words_stand_in_for_the_image_s_own_and_an_entrypoint_before_them() -> None:
    assert runs(CONFIG) == ("/run.sh", "serve", "-v")
    assert runs(CONFIG, typed=["help"]) == ("/run.sh", "help")
    assert runs({"Cmd": ["sh"]}) == ("sh",)
    assert runs({}) == ()


@pytest.mark.parametrize(("given", "words"), [("", ()), ("sh", ("sh",)), ('["sh", "-c"]', ("sh", "-c")), ("[]", ())])
def test_another_entrypoint_leaves_nothing_of_the_image_s_command(given: str, words: tuple[str, ...]) -> None:
    assert runs(CONFIG, given) == words
    assert runs({"Entrypoint": 7}, given, ["x"]) == (*words, "x")


def test_what_is_malformed_is_refused_where_it_would_run() -> None:
    assert runs({"Cmd": "sh"}, typed=["true"]) == ("true",)
    refused: list[tuple[dict[str, Any], str | None, type[HardeningError]]] = [
        ({"Cmd": "sh"}, None, ImageError),
        ({"Entrypoint": ["a\0b"]}, None, ImageError),
        (CONFIG, "[1]", UsageError),
        (CONFIG, "[", UsageError),
    ]
    for config, given, kind in refused:
        with pytest.raises(kind):
            runs(config, given)
