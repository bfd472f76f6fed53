"""The forms of what plugins declare and answer: what is taken, and what is refused with what was wanted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from hardening.errors import PluginError
from hardening.mechanism.denial import Cause, PathAccess, PathAnswer, Way
from hardening.mechanism.evidence import LearntStatement
from hardening.mechanism.exposure import Exposure
from hardening.mechanism.findings import Finding
from hardening.mechanism.mechanism import MountPoint, State, Unsupported, Verification
from hardening.plugin import pluginanswers
from hardening.plugin.admission import Verdict
from hardening.plugin.plugincalls import Wrong

#: A mechanism, as far as an answer is held against it.
ACME: Any = SimpleNamespace(name="acme", schema=SimpleNamespace(find=lambda name: name if name == "on" else None))
#: What only a plugin without types answers.
TEXT: Any = "text"
NUMBER: Any = 1
MOUNT = MountPoint("/acme", True, {"destination": "/acme"}, ("acme.on",))


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("pointers", ["/linux/seccomp", "/process"]),
        ("known", {"rule": "what it finds"}),
        ("verifications", [Verification("acme.on", "true", "1", State.HOLDS)]),
        ("exposures", [Exposure("on", "do it", 100, 0.5), Exposure("off", "do it", 0, 1)]),
        ("own_unsupported", [Unsupported("acme.on", "no kernel", "another one", also=("acme",))]),
        ("causes", [Cause("acme.on", "acme is off", (Way("acme.on", True),))]),
        *(("of_path", [PathAnswer(asked, "acme.on")]) for asked in PathAccess),
        ("recording", ({"on": True}, ["on"])),
        ("spare", ["acme.on"]),
        ("learnt_statements", [LearntStatement(("on",), True, "seen", loosens=frozenset({"acme.on"}))]),
        ("learnt_statements", [LearntStatement(("on",), True, "seen")]),
        ("mount_points", [MOUNT]),
        ("argv", ["/usr/bin/acme", "--quiet"]),
        ("verdict", None),
        ("fact", None),
    ],
)
def test_what_fits_is_taken(form: str, answer: object) -> None:
    getattr(pluginanswers, form)(answer, ACME)


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("pointers", ["linux"]),
        ("pointers", "/linux"),
        ("settings_type", dict),
        ("known", {"rule": 1}),
        ("findings", [Finding("acme/x", TEXT, "x")]),
        ("verifications", [Verification("acme.on", "", "", TEXT)]),
        ("exposures", [Exposure("on", "do it", -1, 0)]),
        ("exposures", [Exposure("on", "do it", 100, 1.5)]),
        ("exposures", [Exposure("on", "do it", TEXT, 0)]),
        ("exposures", [Exposure("on", "do it", 100, 1), Exposure("on", "do it", 100, 0)]),
        ("causes", [Cause("acme.on", "acme is off", (TEXT,))]),
        ("causes", [Cause("acme.on", NUMBER)]),
        ("of_path", [PathAnswer(TEXT, "acme.on")]),
        ("recording", {"on": True}),
        ("learnt_statements", [LearntStatement(TEXT, True, "seen")]),
        ("learnt_statements", [LearntStatement(("on",), True, "seen", loosens=TEXT)]),
        ("mount_points", [attrs.evolve(MOUNT, path="/acme/")]),
        ("mount_points", [attrs.evolve(MOUNT, path="acme", mount={"destination": "acme"})]),
        ("argv", []),
        ("argv", ["acme"]),
        ("verdict", True),
        ("verdict", Verdict(NUMBER)),
        ("fact", "text"),
    ],
)
def test_any_other_form_is_refused(form: str, answer: object) -> None:
    with pytest.raises(Wrong):
        getattr(pluginanswers, form)(answer, ACME)


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("own_unsupported", [Unsupported("other.on", "no kernel", "another one")]),
        ("recording", ({}, ["off"])),
        ("spare", ["other.on"]),
        ("learnt_statements", [LearntStatement(("on",), True, "seen", loosens=frozenset({"other.on"}))]),
        ("mount_points", [attrs.evolve(MOUNT, leaves=())]),
        ("mount_points", [attrs.evolve(MOUNT, leaves=("acme.off",))]),
    ],
)
def test_nobody_answers_for_the_settings_of_another_or_for_none(form: str, answer: object) -> None:
    with pytest.raises(PluginError, match="acme"):
        getattr(pluginanswers, form)(answer, ACME)
