"""What an image says of itself stands below every layer, and never loosens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.assemble.statements import statements
from hardening.base.places import OF_COMMANDS
from hardening.compose.composition import Composition, compose
from hardening.compose.image_defaults import ImageDefaults
from hardening.errors import HardeningError, ImageError, ProfileError
from hardening.mechanism import host
from hardening.mechanism.findings import Severity
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Family, Leaf, Scalar
from hardening.mechanism.used import DIGEST, REFERENCE, STORE, Used, of
from hardening.plugin import plugins
from hardening.profile.layers import Stack
from hardening.profile.source import Document
from tests.laws.stacks import cases
from tests.support.sample import examples
from tests.support.texts import TODAY, stack
from tests.support.thirdparty.acme_quota import Quota

INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)
USED = Used("example.com/app:v1", "sha256:" + "1" * 64, Path("/store"))


def composed(config: dict[str, Any], *texts: str) -> Composition:
    return compose(stack(*texts), INSTALLED, HOST, TODAY, ImageDefaults.of(USED, config, INSTALLED))


def value(composition: Composition, name: str) -> tuple[str, str]:
    """The value of a leaf as people read it, and where it comes from."""
    (resolved,) = (entry for leaf, entry in composition.leaves.items() if str(leaf) == name)
    return resolved.shown, resolved.origin


def told(composition: Composition) -> list[tuple[Severity, str]]:
    return [(item.severity, item.message) for item in composition.findings if item.rule == "core/not-taken-from-image"]


def test_what_no_layer_says_is_the_image_s() -> None:
    found = composed({"User": "1000:1000", "WorkingDir": "srv", "Env": ["A=b=c", "PATH=/bin", "broken", "=x"]})
    origin = "image example.com/app:v1"
    assert value(found, "process.user") == ("1000:1000", origin)
    assert value(found, "process.cwd") == ("/srv", origin)
    assert value(found, "process.set_environment.A") == ("b=c", origin)
    assert value(found, "process.set_environment.PATH") == ("/bin", origin)
    assert told(found) == []
    assert found.image == USED


def test_every_layer_goes_before_it_and_is_as_free_as_ever() -> None:
    config = {"User": "1000", "WorkingDir": "/srv", "Env": ["A=image"]}
    found = composed(config, '[process]\nuser = "0"\ncwd = "/"\n[process.set_environment]\nA = "layer"\n')
    assert value(found, "process.user") == ("0:0", "a.toml:2")
    assert value(found, "process.cwd") == ("/", "a.toml:3")
    assert value(found, "process.set_environment.A") == ("layer", "a.toml:5")


def test_a_layer_that_says_the_default_of_what_has_an_order_leaves_it_to_the_image() -> None:
    """`user = ""` is the natural user: of an image, the one that it names. A working directory is what the layer says."""
    found = composed({"User": "1000", "WorkingDir": "/srv"}, '[process]\nuser = ""\ncwd = "/"\n')
    assert value(found, "process.user") == ("1000", "image example.com/app:v1")
    assert value(found, "process.cwd") == ("/", "a.toml:3")


def test_a_limit_cuts_it() -> None:
    found = composed({"User": "1000"}, '[limits.process]\nuser = "1001"\n')
    assert value(found, "process.user")[0] == "1001"


ENVIRONMENT = '[limits.process]\nenvironment = ["TERM", "A"]\n'


def test_a_limit_of_the_environment_binds_names_wherever_their_values_come_from() -> None:
    found = composed({"Env": ["A=image", "LD_PRELOAD=/x", "PATH=/evil"]}, ENVIRONMENT)
    assert value(found, "process.set_environment.A")[0] == "image"
    assert value(found, "process.set_environment.LD_PRELOAD") == ("none", "a.toml:2")
    assert value(found, "process.set_environment.PATH")[0] == OF_COMMANDS
    assert {text.partition(":")[0] for _, text in told(found)} == {
        "process.set_environment.LD_PRELOAD",
        "process.set_environment.PATH",
    }
    document = {**found.settings["process"].set_environment.named}
    assert {name for name, said in document.items() if said is not None} == {"A", "PATH"}


@pytest.mark.parametrize("form", ['env = ["B=1"]', 'set_environment.B = "1"', 'set_environment.PATH = "/evil"'])
@pytest.mark.parametrize("first", [True, False])
def test_no_layer_sets_a_variable_beyond_a_limit_of_the_environment(form: str, first: bool) -> None:
    said = f"[process]\n{form}\n"
    texts = (ENVIRONMENT, said) if first else (said, ENVIRONMENT)
    place = "a.toml:2" if first else "b.toml:2"
    with pytest.raises(ProfileError, match=f"the limit of process.environment set at {place} does not permit it"):
        composed({}, *texts)
    assert value(composed({}, ENVIRONMENT, '[process]\nset_environment.TERM = "x"\n'), "process.set_environment.TERM")


def test_root_is_not_taken() -> None:
    for user in ("root", "0", "0:5"):
        found = composed({"User": user})
        assert value(found, "process.user")[1] == "default (hardening_process)"
        assert told(found)[0][0] is Severity.NOTE
        assert "is looser than natural, the default" in told(found)[0][1]


def test_what_is_malformed_is_a_finding_and_no_error() -> None:
    found = composed({"Env": ["1A=x"], "WorkingDir": 5, "Volumes": [], "ExposedPorts": "80"})
    assert [message for _, message in told(found)] == ['process.set_environment.1A: "1A" is not the name of a variable']


WORDS = (" 1500", "app ", "9" * 20, "9" * 5000, "4294967295", "-1", "\u0661\u0662", "a b", "1:", "1:2:3")
UNREADABLE: tuple[object, ...] = (*WORDS, 1.5, True, -1, [], {}, {"a": 1})


@pytest.mark.parametrize("user", UNREADABLE, ids=lambda user: repr(user)[:24])
def test_a_user_that_cannot_be_read_is_refused_and_never_the_natural_one(user: object) -> None:
    for text in ("", '[process]\nuser = ""\n'):
        with pytest.raises(ImageError, match="its configuration is invalid: process") as caught:
            composed({"User": user}, text)
        assert caught.value.origin == "image example.com/app:v1"
        assert "process.user" in str(caught.value.hint)
    assert value(composed({"User": user}, '[process]\nuser = "1001"\n'), "process.user") == ("1001", "a.toml:2")


def test_a_user_that_is_a_number_is_that_user() -> None:
    assert value(composed({"User": 1500}), "process.user")[0] == "1500"
    assert value(composed({"User": ""}), "process.user")[1] == "default (hardening_process)"


def test_wishes_are_findings_until_a_layer_grants_them() -> None:
    config = {
        "Volumes": {"/data": {}, "/cache/": {}},
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["CMD", "x"]},
    }
    assert sorted(told(composed(config))) == [
        (Severity.NOTE, "it has a health check, which is not run"),
        (Severity.NOTE, "it listens on 80/tcp, and its network is private"),
        (Severity.NOTE, "it wants to be stopped with SIGQUIT"),
        (Severity.WARNING, "it wants to write to /cache, which is read-only"),
        (Severity.WARNING, "it wants to write to /data, which is read-only"),
    ]
    granted = composed(config, '[rootfs]\ntmpfs.add = ["/data"]\n[namespaces]\nnet = "private"\n')
    assert [message for severity, message in told(granted) if severity is Severity.WARNING] == [
        "it wants to write to /cache, which is read-only"
    ]
    assert "network" not in str(told(granted))


def test_a_bundle_says_which_image_it_runs() -> None:
    said = statements(composed({}), (), (), HOST)
    assert (said[REFERENCE], said[DIGEST]) == (USED.reference, USED.digest)
    assert of({"annotations": said}) == USED
    assert of({"annotations": Used("a", "", Path("/")).annotations}) == Used("a", "", Path("/"))
    assert of({}) is None
    assert of({"annotations": {"org.example": REFERENCE}}) is None
    assert not {REFERENCE, DIGEST, STORE} & statements(compose(stack(), INSTALLED, HOST, TODAY), (), (), HOST).keys()


@pytest.mark.parametrize("left_out", [REFERENCE, STORE])
def test_a_bundle_that_names_an_image_in_part_is_refused(left_out: str) -> None:
    said = {name: text for name, text in USED.annotations.items() if name != left_out}
    with pytest.raises(ImageError, match=left_out):
        of({"annotations": said})
    with pytest.raises(ImageError, match="is not text"):
        of({"annotations": {**said, DIGEST: 5}})


def test_one_variable_that_is_none_takes_no_other_along() -> None:
    found = composed({"Env": ["A=1", "1A=x", "B=2"]})
    assert (value(found, "process.set_environment.A")[0], value(found, "process.set_environment.B")[0]) == ("1", "2")
    assert [message for _, message in told(found)] == ['process.set_environment.1A: "1A" is not the name of a variable']


def test_a_mechanism_of_others_reads_images_too() -> None:
    """Its settings may stand in tables of their own."""

    def of(labels: dict[str, object], *texts: str) -> Composition:
        config = {"Labels": {f"com.example.quota.{name}": value for name, value in labels.items()}}
        return compose(stack(*texts), [Quota()], HOST, TODAY, ImageDefaults.of(USED, config, [Quota()]))

    assert value(of({"label": "x"}), "quota.label")[0] == "x"
    assert told(of({"label": 5}))[0][1].startswith("quota.label: ")
    assert value(of({"beyond": "deny"}), "quota.beyond.mode") == ("deny", "image example.com/app:v1")
    assert "warn is looser than deny, the default" in told(of({"beyond": "warn"}))[0][1]
    with pytest.raises(ImageError, match=r"its configuration is invalid: quota\.beyond\.mode"):
        of({"beyond": "x"})
    assert value(of({"beyond": "x"}, '[quota]\nbeyond.mode = "warn"\n'), "quota.beyond.mode") == ("warn", "a.toml:2")


@pytest.mark.parametrize("mechanism", [*INSTALLED, Quota()], ids=lambda mechanism: mechanism.name)
def test_what_cannot_be_read_is_refused_or_told_whatever_the_setting(mechanism: Mechanism[Any]) -> None:
    others = [other for other in INSTALLED if other.name in mechanism.after]
    for name, setting in mechanism.schema.settings.items():
        table: object = [{"a": 2.5}]
        for part in reversed(name.split(".")):
            table = {part: table}
        document = Document("image", None, {mechanism.name: table}, {(mechanism.name,): "image"})
        offer = ImageDefaults(USED, document, {mechanism.name: table}, ())  # type: ignore[dict-item]
        try:
            found = compose(stack(), [mechanism, *others], HOST, TODAY, offer)
        except ImageError:
            assert isinstance(setting, Scalar), name
        else:
            assert told(found), name


def _composes(mechanism: Mechanism[Any], layers: Stack, offer: ImageDefaults | None) -> Composition | None:
    others = [other for other in INSTALLED if other.name in mechanism.after]
    try:
        return compose(layers, [mechanism, *others], HOST, TODAY, offer)
    except HardeningError:
        return None


@pytest.mark.parametrize("mechanism", INSTALLED, ids=lambda mechanism: mechanism.name)
@given(data=st.data())
@settings(max_examples=examples(30))
def test_no_image_loosens_any_stack(mechanism: Mechanism[Any], data: st.DataObject) -> None:
    """Whatever an image says, and whatever the layers say: every value is at most as loose as without the image, and what
    layers have made of it is the same unless that is the default."""
    from hardening.testing.laws import to_layer

    layers = Stack(tuple(to_layer(mechanism, data.draw(cases(mechanism)), name) for name in "ab"))
    statements = data.draw(cases(mechanism)).statements
    table = {mechanism.name: mechanism.dump(statements)} if statements else {}
    document = Document("image", None, table, dict.fromkeys([(mechanism.name,)], "image"))
    without, with_image = (
        _composes(mechanism, layers, offer) for offer in (None, ImageDefaults(USED, document, table, ()))
    )
    assert (without is None) == (with_image is None)
    if without is None or with_image is None:
        return
    for leaf, resolved in with_image.leaves.items():
        setting = mechanism.schema.settings.get(leaf.setting) if leaf.mechanism == mechanism.name else None
        if setting is None:
            continue
        before = without.leaves.get(leaf) or without.leaves[_rest(leaf, setting)]
        if not setting.kind.unordered:
            assert setting.kind.is_no_looser_than(resolved.value, before.value)
        if resolved.stated and (setting.kind.unordered or before.value != _default(setting, leaf.member)):
            assert resolved.value == before.value
            assert resolved.origin == before.origin or leaf not in without.leaves


def _default(setting: Any, member: str) -> Any:
    return setting.default.get(member, setting.rest) if isinstance(setting, Family) else setting.default


def _rest(leaf: Leaf, setting: Any) -> Leaf:
    """The leaf that a member has its value from where nobody names it."""
    assert isinstance(setting, Family)
    return Leaf(leaf.mechanism, leaf.setting, "*")
