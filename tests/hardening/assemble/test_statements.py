from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import handover, pipeline, statements
from hardening.assemble.spec import assemble
from hardening.cli.session import Request
from hardening.compose.composition import compose
from hardening.compose.image_defaults import ImageDefaults
from hardening.launch.config import bundle
from hardening.launch.config.variables import public
from hardening.launch.record import record
from hardening.mechanism import host
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.kinds import Unordered
from hardening.mechanism.mechanism import Context, Mechanism, Unsupported, Violation
from hardening.mechanism.schema import Members, family, scalar
from hardening.mechanism.used import Used
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Node, command_line
from tests.hardening.cli.samples import profile, session
from tests.support.texts import TODAY, stack


def test_a_bundle_says_how_it_was_composed_and_the_stage_understands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = profile(tmp_path, "first", "[box]\nsize = 5\n")
    profile(
        tmp_path,
        "second",
        'extends = ["./first.toml"]\n[[exceptions]]\nsetting = "box.size"\nreason = "more things"\nticket = "T-7"\n'
        "expires = 2099-01-01\n[box]\nsize = 7\n",
    )
    here = session(tmp_path)
    composition = here.compose(Request(("./second.toml",)))
    assembly = pipeline.assembled(here.plugins, composition, here.host, ("true",))
    facts = record.Facts()
    record.read_annotations(facts, assembly.spec.document["annotations"], "")
    assert [item["name"] for item in facts.profiles] == ["first", "second"]
    assert facts.profiles[0]["sha256"] == sha256(first.read_bytes()).hexdigest()
    (exception,) = facts.exceptions
    assert (exception["setting"], exception["reason"], exception["ticket"]) == ("box.size", "more things", "T-7")
    assert exception["expires"] == "2099-01-01"
    assert str(exception["origin"]).endswith("second.toml:2")
    assert facts.mechanisms["enforced"] == ["box"]


PROFILE = """
[process]
terminal = true
environment.add = ["LANG", "LC_ALL"]
[process.set_environment]
SAID = "profile"
OVER = "profile"
SAME = "caller"
PGPASSWORD = "profile"
WHERE = "https://me:profile@example.com/"
"""


def stated(name: str, typed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a command whose values its bundle lets into a receipt, with these."""
    for variable in ("LANG", "SAME", "PASSED", "HOME", "TERM"):
        monkeypatch.setenv(variable, "caller")
    for absent in ("LC_ALL", "TERM") if "environment" not in typed else ():
        monkeypatch.delenv(absent, raising=False)
    mechanisms = plugins.load().mechanisms
    here = host.probe(mechanisms)
    layers = stack(PROFILE).layers
    if typed:
        layers += (parse_layer(command_line({"process": typed}, {("process",): "--set"})),)
    image = Used("example.com/app:v1", "sha256:" + "1" * 64, Path("/store"))
    offer = ImageDefaults.of(image, {"Env": ["OF_IMAGE=image", "SAID=image", "OF_IMAGE_TOKEN=image"]}, mechanisms)
    composition = compose(Stack(layers), mechanisms, here, TODAY, offer)
    fragments = []
    for mechanism in mechanisms:
        if mechanism.name == "process":
            fragments.append(Fragment("process"))
            mechanism.contribute(composition.settings["process"], pipeline.examine(composition, here), fragments[0])
    spec = assemble(fragments, None, statements.statements(composition, (), fragments, here))
    entries = dict(entry.partition("=")[::2] for entry in spec.document["process"]["env"])
    assert name in entries
    found = public(spec.document)
    assert not found.keys() & handover.typed_variables(spec, composition).keys()
    return found


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("SAID", {}, "profile"),
        ("OF_IMAGE", {}, "image"),
        ("TERM", {}, "xterm"),
        ("HOME", {}, pwd.getpwuid(os.getuid()).pw_dir),
        ("HOME", {"user": "0:0"}, "/root"),
        ("LANG", {}, None),
        ("SAME", {}, "caller"),
        ("SAME", {"set_environment": {"SAME": "caller"}}, None),
        ("OVER", {"set_environment": {"OVER": "typed"}}, None),
        ("OF_IMAGE", {"set_environment": {"OF_IMAGE": "image"}}, None),
        ("NEW", {"set_environment": {"NEW": "typed"}}, None),
        ("PASSED", {"environment": {"add": ["PASSED"]}}, None),
        ("HOME", {"environment": {"add": ["HOME"]}}, None),
        ("TERM", {"environment": {"add": ["TERM"]}}, None),
        ("TERM", {"set_environment": {"TERM": "xterm"}}, None),
        ("SAID", {"set_environment": {"OVER": "typed"}}, "profile"),
        ("PGPASSWORD", {}, None),
        ("OF_IMAGE_TOKEN", {}, None),
        ("WHERE", {}, None),
    ],
    ids=str,
)
def test_a_value_is_public_where_a_profile_or_the_image_says_it(
    name: str, typed: dict[str, Any], value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stated(name, typed, monkeypatch).get(name) == value


@attrs.frozen
class RegionSettings:
    """Composed `[region]`."""

    name: str = scalar(Unordered(Node.string, "any text", ("", "a")), "", "A name.")
    home: str = scalar(Unordered(Node.string, "any text", ("", "a")), "", "Another.", name="place.home")
    labels: Members[str] = family(
        Unordered(Node.string, "any text", ("", "a")), rest="", absent="", read_member=Node.string, help="Names.",
        examples=("a", "b"),
    )  # fmt: skip


class Region(Mechanism[RegionSettings]):
    """A third party's, which makes variables of all kinds of settings, under names of its own."""

    name = "region"
    summary = "where things lie"
    settings_type = RegionSettings

    def inputs(self, settings: RegionSettings, context: Context) -> Inputs:
        return ()

    def check(self, settings: RegionSettings, context: Context) -> Iterable[Unsupported]:
        return ()

    def tighten(
        self, settings: RegionSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        return ()

    def contribute(self, settings: RegionSettings, context: Context, fragment: Fragment) -> None:
        said = {"REGION": ("region.name", settings.name), "LABEL": ("region.labels.a", settings.labels["a"])}
        said["HOME_REGION"] = ("region.place.home", f"eu-{settings.home}-1")
        said["PLACES"] = ("region.place", settings.home)
        said["LABELS"] = ("region.labels", " ".join(settings.labels.named.values()))
        said["ALL"] = ("region.labels.*", settings.labels["a"])
        for name, (leaf, value) in said.items():
            fragment.item("/process/env", name, f"{name}={value}", leaf, public=True)
            fragment.item("/process/env", f"{name}_", f"{name}_={value}", leaf)
        fragment.item("/process/env", "KIND", "KIND=ours", "region.name", derived=True)


SAYINGS = {
    "name": ({"name": "canary"}, {"REGION"}),
    "below another": ({"place": {"home": "canary"}}, {"HOME_REGION", "PLACES"}),
    "member": ({"labels": {"a": "canary"}}, {"LABEL", "LABELS", "ALL"}),
}


@pytest.mark.parametrize("said", SAYINGS)
def test_a_value_that_was_typed_is_in_nothing_that_is_kept_whatever_mechanism_makes_a_variable_of_it(said: str) -> None:
    """Of a scalar setting as of a member, and however the mechanism calls the leaf, whole or in part, and the variable."""
    table, names = SAYINGS[said]
    region = Region()
    here = host.probe((region,))
    typed = (parse_layer(command_line({"region": table}, {("region",): "--set"})),)
    for layers in (
        typed,
        stack('[region]\nname = "x"\nplace.home = "x"\nlabels.a = "x"').layers + typed,
        stack("").layers,
    ):
        composition = compose(Stack(layers), (region,), here, TODAY)
        fragment = Fragment("region")
        region.contribute(composition.settings["region"], pipeline.examine(composition, here), fragment)
        spec = assemble([fragment], None, statements.statements(composition, (), [fragment], here))
        assert (b"canary" in spec.config) == (layers is typed or len(layers) > 1)
        found = handover.typed_variables(spec, composition)
        kept = public(handover.left_open(spec, found, whole=True).document)
        if typed[0] not in layers:
            assert not found
            assert len(kept) == 7
            continue
        assert found.keys() == {*names, *(f"{name}_" for name in names)}
        assert b"canary" not in handover.left_open(spec, found, whole=True).config
        assert "KIND" in kept
        assert not kept.keys() & names


@pytest.mark.parametrize(
    "typed",
    [{"name": "canary"}, {"place": {"home": "canary"}}, {"labels": {"b": "canary"}}, {"labels": {"b": "A=canary"}}],
)
def test_a_value_that_was_typed_is_kept_nowhere_also_where_a_wrong_leaf_is_named_for_it(
    typed: dict[str, object],
) -> None:
    region = Region()
    here = host.probe((region,))
    layers = (*stack('[region]\nlabels.a = "x"').layers, parse_layer(command_line({"region": typed}, {})))
    composition = compose(Stack(layers), (region,), here, TODAY)
    fragment = Fragment("region")
    for name, value in (("TOKEN", "canary"), ("OTHER", "canaries")):
        fragment.item("/process/env", name, f"{name}={value}", "region.labels.a", public=True)
    spec = assemble([fragment], None, statements.statements(composition, (), [fragment], here))
    found = handover.typed_variables(spec, composition)
    assert found == {"TOKEN": "canary"}
    assert public(handover.left_open(spec, found, whole=True).document) == {"OTHER": "canaries"}


def test_statements_are_left_out_of_a_comparison() -> None:
    said = {bundle.PROFILES: "[]", bundle.MECHANISMS: "{}"}
    ours = {"annotations": {"x": "y", **said}}
    assert statements.with_statements_of(ours, {"annotations": {"x": "y"}}) == ours
    assert statements.with_statements_of({"annotations": said}, {"root": {}}) == {"root": {}, "annotations": said}
    assert statements.with_statements_of({}, ours) == {"annotations": {"x": "y"}}
    assert statements.with_statements_of({}, {}) == {}
    assert json.loads(said[bundle.PROFILES]) == []
