"""Where something was said, in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hardening.profile.layers import Layer
from hardening.report.places import shortener
from tests.support import shipped


def layers() -> Sequence[Layer]:
    return shipped.composed(["web"]).stack.layers


def test_the_path_of_a_shipped_profile_is_its_name() -> None:
    in_short = shortener(layers())
    web = layers()[-1].place
    assert web.endswith("/web.toml")
    assert in_short(f"{web}:12") == "web.toml:12 (shipped)"
    assert in_short(f"for a reason ({web}:12), {web}") == "for a reason (web.toml:12, shipped), web.toml (shipped)"
    for other in (f"/elsewhere{web}:12", f"{web}.bak:1", "app.toml:5", "--set x=1", "default (hardening_rootfs)"):
        assert in_short(other) == other


def test_without_shipped_layers_nothing_is_shortened() -> None:
    own = cast("Layer", type("Own", (), {"shipped": False, "place": "/web.toml"}))
    assert shortener([own])("/web.toml:3") == "/web.toml:3"
