"""What secrets put into a configuration, what is in their way, and what is left of a foreign one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import ProfileError
from hardening.launch.config.bundle import SECRETS
from hardening.mechanism.inputs import Unknown
from hardening.mechanism.schema import Members
from hardening.profile.source import Document, Node
from hardening_secrets import Secrets
from hardening_secrets.settings import SecretsSettings, read_item
from tests.support import runs

MECHANISMS = ("namespaces", "process", "rootfs", "secrets")
READ_ONLY = {"ro", "nosuid", "nodev", "noexec", "rprivate"}


def given(*items: str) -> SecretsSettings:
    named = dict(read_item(Node(item, (), Document("p", None, {}, {}))) for item in items)
    return SecretsSettings(given=Members(named, None))


def assembled(tmp_path: Path, *items: str, more: str = "") -> dict[str, Any]:
    profile = f"[secrets]\ngiven = {json.dumps(items)}\n{more}"
    return dict(runs.assembled([profile], ["true"], folder=tmp_path, mechanisms=MECHANISMS).spec.document)


def mounts(document: dict[str, Any]) -> dict[str, Any]:
    return {mount["destination"]: mount for mount in document["mounts"]}


def test_names_stand_in_the_annotation_and_empty_mounts_in_their_places(tmp_path: Path) -> None:
    document = assembled(tmp_path, "db", "key,target=/etc/app.key,mode=0440,uid=0", "api,type=env,target=API")
    assert json.loads(document["annotations"][SECRETS]) == [
        {"name": "api", "type": "env", "target": "API"},
        {"name": "db", "type": "mount", "target": "/run/secrets/db", "mode": 0o400},
        {"name": "key", "type": "mount", "target": "/etc/app.key", "mode": 0o440, "uid": 0},
    ]
    found = mounts(document)
    assert found["/run/secrets"]["type"] == "tmpfs"
    assert (found["/etc/app.key"]["type"], found["/etc/app.key"]["source"]) == ("bind", "/dev/null")
    for place in ("/run/secrets", "/etc/app.key"):
        assert set(found[place]["options"]) >= READ_ONLY
    assert "API" not in json.dumps(document["process"]["env"])


def test_without_secrets_nothing_is_said_of_them(tmp_path: Path) -> None:
    document = assembled(tmp_path)
    assert SECRETS not in document["annotations"]
    assert "/run/secrets" not in mounts(document)


def test_a_file_lies_where_its_target_says_and_no_link_leads_it_elsewhere(tmp_path: Path) -> None:
    """What is said of the place, by a limit or a volume, would not meet it."""
    root = tmp_path / "image"
    for name in ("etc", "var/run", "data"):
        (root / name).mkdir(parents=True)
    for name, target in {"alias": "etc", "run": "var/run"}.items():
        (root / name).symlink_to(target)
    own = f'[rootfs]\npath = "{root}"\n'
    for volume in ("", 'volumes = ["/media:/etc:ro"]'):
        with pytest.raises(ProfileError, match=r"secrets.given.key: /alias/key is /etc/key in the root") as raised:
            assembled(tmp_path, "key,target=/alias/key", more=own + volume)
        assert raised.value.hint == "name its target: /etc/key"
    # Nobody names the usual directory, and it goes with a /run that is a link.
    assert mounts(assembled(tmp_path, "key", more=own))["/var/run/secrets"]["type"] == "tmpfs"
    (root / "var/run/secrets").symlink_to("/etc")
    with pytest.raises(ProfileError, match="/run/secrets is /etc in the root"):
        assembled(tmp_path, "key", more=own)


def test_the_mount_points_are_made_with_the_root(tmp_path: Path) -> None:
    profile = '[secrets]\ngiven = ["key,target=/etc/app.key"]\n'
    files = runs.assembled([profile], ["true"], folder=tmp_path, mechanisms=MECHANISMS).spec.files
    assert files["rootfs/etc/app.key"] == b""


@pytest.mark.parametrize(
    ("items", "more", "reason"),
    [
        (("a,target=x", "b,target=x"), "", "/run/secrets/x is where the secret a is"),
        (("a,type=env,target=X", "b,type=env,target=X"), "", "X is where the secret a is"),
        (("a,target=x", "b,target=x/y"), "", "/run/secrets/x/y lies below /run/secrets/x"),
        (("a",), 'rootfs.volumes = ["/media:/run/secrets"]', "/run/secrets is mounted there by rootfs.volumes"),
        (("a",), 'rootfs.tmpfs."/run/secrets/x" = "1M"', "/run/secrets/x is mounted there by rootfs.tmpfs"),
        (("a,target=/data/x",), 'rootfs.volumes = ["/media:/data/x"]', "/data/x is mounted there by rootfs.volumes"),
        (("a,target=/data/bin/env",), 'rootfs.volumes = ["/usr:/data:ro"]', "it would lie in the volume /data"),
        (("a",), 'rootfs.masked_paths.add = ["/run/secrets"]', "/run/secrets is masked by rootfs.masked_paths"),
        (("a",), 'rootfs.masked_paths.add = ["/run/*/a"]', "/run/*/a is masked by rootfs.masked_paths"),
        (("a,target=/x/y/z",), 'rootfs.masked_paths.add = ["/x/y"]', "/x/y is masked by rootfs.masked_paths"),
        (
            ("a,type=env,target=X",),
            'process.set_environment.X = "1"',
            "the variable X is set by process.set_environment",
        ),
        (
            ("a,type=env,target=LANG",),
            'process.environment = ["LANG"]',
            "the variable LANG is set by process.environment",
        ),
        (("a,type=env,target=HOME",), "", "the variable HOME is set by the launcher"),
    ],
)
def test_two_things_in_one_place_are_an_error(tmp_path: Path, items: tuple[str, ...], more: str, reason: str) -> None:
    tables = {}
    for line in filter(None, [more]):
        head, _, rest = line.partition(".")
        tables[head] = rest
    text = "".join(f"[{head}]\n{rest}\n" for head, rest in tables.items())
    with pytest.raises(ProfileError) as caught:
        assembled(tmp_path, *items, more=text)
    assert reason in str(caught.value)
    assert caught.value.hint == "give the secret another target"


def test_what_has_secrets_is_not_stored() -> None:
    context: Any = None
    mechanism = Secrets()
    assert [type(item) for item in mechanism.inputs(given("db"), context)] == [Unknown]
    assert list(mechanism.inputs(given(), context)) == []


# --- foreign configurations -------------------------------------------------------------------------------------------
