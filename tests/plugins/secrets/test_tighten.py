"""What is kept of the secrets that a foreign configuration names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import SpecError
from hardening.launch.config.bundle import SECRETS
from hardening.launch.secret import secrets
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening_secrets import spec, tighten
from hardening_secrets.settings import SecretsSettings
from tests.plugins.rootfs.stacks import composed, host
from tests.plugins.secrets.test_spec import given


def tightened(
    settings: SecretsSettings, document: dict[str, Any], context: Context | None = None
) -> tuple[Fragment, list[Violation]]:
    fragment = Fragment("secrets")
    return fragment, list(tighten.tighten(settings, document, context or Context(host(), {}), fragment))


def naming(*items: str) -> dict[str, Any]:
    rows = [use.row() for use in given(*items).uses()]
    places = [dict(point.mount) for point in spec.mount_points(given(*items).uses())]
    return {"annotations": {SECRETS: json.dumps(rows)}, "mounts": places}


def test_a_configuration_keeps_the_secrets_that_the_settings_give_with_no_more_rights() -> None:
    document = naming("a", "b,mode=0444", "c", "d,type=env,target=D")
    fragment, violations = tightened(given("a,mode=0440", "b,mode=0440", "d"), document)
    assert json.loads(fragment.values[secrets.POINTER].value) == [
        {"name": "a", "type": "mount", "target": "/run/secrets/a", "mode": 0o400},
        {"name": "b", "type": "mount", "target": "/run/secrets/b", "mode": 0o440},
        {"name": "d", "type": "mount", "target": "/run/secrets/d", "mode": 0o400},
    ]
    assert [(violation.leaf, violation.allowed) for violation in violations] == [
        ("secrets.given.b", "b,type=mount,mode=0440"),
        ("secrets.given.c", "none"),
        ("secrets.given.d", "d,type=mount"),
    ]
    assert [key for _, key in fragment.items] == ["/run/secrets"]


def test_a_configuration_gets_no_secret_that_it_does_not_name() -> None:
    fragment, violations = tightened(given("a"), {"mounts": []})
    assert (fragment.values, fragment.items, violations) == ({}, {}, [])
    fragment, violations = tightened(given(), naming("a"))
    assert fragment.values[secrets.POINTER].value is None
    assert [violation.allowed for violation in violations] == ["none"]


def test_no_secret_is_led_elsewhere_by_a_link_of_the_root(tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "alias").symlink_to("etc")
    document = naming("a", "b,target=/etc/key", "c,target=/alias/key", "d,type=env,target=D")
    document["root"] = {"path": str(image), "readonly": True}
    settings = given("a", "b,target=/etc/key", "c,target=/alias/key", "d,type=env,target=D")
    context = Context(host(), composed(tmp_path, '[rootfs]\ntmpfs = ["/run"]').composed)

    def left() -> tuple[list[str], list[str]]:
        fragment, violations = tightened(settings, document, context)
        named = json.loads(fragment.values[secrets.POINTER].value or "[]")
        assert bool(fragment.items) == bool(named)
        return [row["name"] for row in named], [item.allowed for item in violations if item.pointer == secrets.POINTER]

    assert left() == (["a", "b", "d"], ["none at /alias/key: it is /etc/key in the root"])
    # Where the usual directory is led elsewhere, every one is: it is there for all.
    (image / "run").symlink_to("etc")
    assert left() == ([], ["none at /run/secrets: it is /etc/secrets in the root"] * 4)
    # A place in memory is no link's any more, but for one that lies by a link itself.
    (image / "run").unlink()
    document["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"]})
    assert left()[0] == ["a", "b", "d"]


def test_what_lies_where_secrets_would_be_goes_and_is_told() -> None:
    mount = {"destination": "/run/secrets", "type": "bind", "source": "/srv/s"}
    _, violations = tightened(given("a"), {"mounts": [mount]})
    assert [(violation.pointer, violation.asked) for violation in violations] == [
        ("/mounts/0", "bind of /srv/s on /run/secrets")
    ]


def test_an_annotation_that_is_malformed_is_refused() -> None:
    with pytest.raises(SpecError, match="not JSON"):
        tightened(given("a"), {"annotations": {SECRETS: "{"}})
