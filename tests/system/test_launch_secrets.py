"""The launcher puts the secrets that a bundle names where they belong, under every runtime, and refuses all else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import handover
from hardening.launch.config.bundle import SECRETS
from tests.support import bundles
from tests.support.bundles import Stance
from tests.support.features import require

pytestmark = pytest.mark.system

EMPTY = {
    "destination": "/run/secrets",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["ro", "nosuid", "nodev", "noexec"],
}
VALUE = b"s3cret \x00\xff\n"


def naming(document: dict[str, Any], *rows: Mapping[str, Any]) -> dict[str, Any]:
    document["annotations"] = {SECRETS: json.dumps(rows)}
    document["mounts"].append(EMPTY)
    for row in rows:
        if row["type"] == "mount" and not row["target"].startswith("/run/secrets/"):
            document["mounts"].append(
                {"destination": row["target"], "type": "bind", "source": "/dev/null", "options": ["bind", "ro"]}
            )
    return document


def run(
    folder: Path, stance: Stance, runtime: str, document: dict[str, Any], values: Mapping[str, bytes]
) -> tuple[int, str, str]:
    (bundles.make_root(folder / "bundle/rootfs") / "run/secrets").mkdir(exist_ok=True)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    options: dict[str, Any] = {"secrets": handover.seal(values)} if values else {}
    try:
        done = bundles.launch(bundle, runtime, stance.user, **options)
    finally:
        for secrets in options.values():
            os.close(secrets)
    return done.returncode, done.stdout, done.stderr


def test_files_have_their_content_owner_and_mode(folder: Path, stance: Stance, runtime: str) -> None:
    script = "cd /run/secrets; stat -c '%n %a %u %g' a sub/b /etc/c; wc -c < a; cat sub/b /etc/c; touch new; rm a"
    document = naming(
        stance.config("sh", "-c", f"{{ {script}; }} 2>&1; grep -c 'tmpfs ro,nosuid,nodev,noexec' /proc/mounts"),
        {"name": "a", "type": "mount", "target": "/run/secrets/a"},
        {"name": "b", "type": "mount", "target": "/run/secrets/sub/b", "mode": 0o440},
        {"name": "c", "type": "mount", "target": "/etc/c", "uid": 0, "gid": 0, "mode": 0o644},
    )
    (bundles.make_root(folder / "bundle/rootfs") / "etc/c").touch()
    code, out, err = run(folder, stance, runtime, document, {"a": VALUE, "b": b"bee\n", "c": b"sea\n"})
    assert (code, err) == (0, ""), out
    lines = out.splitlines()
    assert lines[:3] == ["a 400 0 0", "sub/b 440 0 0", "/etc/c 644 0 0"]
    assert lines[3:6] == [str(len(VALUE)), "bee", "sea"]
    assert [line.rpartition(": ")[2] for line in lines[6:8]] == ["Read-only file system"] * 2
    assert int(lines[8]) >= 3  # the empty one, that of the directory, and that of the file


def test_a_file_belongs_to_the_user_of_the_command(folder: Path, stance: Stance, runtime: str) -> None:
    if stance.name == "user-one-id":
        expected, ids = "400 0 0", {"uid": 0, "gid": 0}
    else:
        expected, ids = "400 1000 1001", {"uid": 1000, "gid": 1001}
    document = naming(
        stance.config("sh", "-c", "stat -c '%a %u %g' /run/secrets/a; cat /run/secrets/a"),
        {"name": "a", "type": "mount", "target": "/run/secrets/a"},
    )
    document["process"]["user"] = ids
    code, out, err = run(folder, stance, runtime, document, {"a": b"mine"})
    assert (code, out, err) == (0, f"{expected}\nmine", "")


def test_a_variable_is_in_the_environment_of_the_command_alone(folder: Path, stance: Stance, runtime: str) -> None:
    document = naming(
        stance.config("sh", "-c", 'echo "$API_KEY"; ls /run/secrets'), {"name": "a", "type": "env", "target": "API_KEY"}
    )
    code, out, err = run(folder, stance, runtime, document, {"a": b"k-17"})
    if runtime == "native":
        assert (code, out, err) == (0, "k-17\n", "")
    else:
        assert (code, out) == (125, "")
        assert "cannot be a variable under another runtime" in err


@pytest.mark.parametrize("stance", ["root"], indirect=True)
def test_what_is_not_as_named_starts_nothing(folder: Path, stance: Stance, runtime: str) -> None:
    row = {"name": "a", "type": "mount", "target": "/run/secrets/a"}
    document = naming(stance.config("echo", "it ran"), row)
    for values, reason in (({}, "were not passed: a"), ({"b": b"x"}, "was not passed: a")):
        code, out, err = run(folder, stance, runtime, document, values)
        assert (code, out) == (125, "")
        assert reason in err
    document["mounts"].remove(EMPTY)
    code, out, err = run(folder, stance, runtime, document, {"a": b"x"})
    assert (code, out) == (125, "")
    assert "cannot mount the secrets: /run/secrets" in err
    del document["annotations"]
    code, out, err = run(folder, stance, runtime, document, {"a": b"x"})
    assert (code, out) == (125, "")
    assert "the configuration does not name" in err


@pytest.mark.parametrize("stance", ["root"], indirect=True)
@pytest.mark.parametrize("masked", ["/run", "/run/secrets", "/run/secrets/a", "/run/secrets/a/b", "/run/secrets/a/"])
def test_a_secret_at_a_masked_place_starts_nothing(folder: Path, stance: Stance, runtime: str, masked: str) -> None:
    row = {"name": "a", "type": "mount", "target": "/run/secrets/a/b"}
    document = naming(stance.config("echo", "it ran"), row)
    document["linux"]["maskedPaths"] = [masked]
    code, out, err = run(folder, stance, runtime, document, {"a": b"hidden-value"})
    assert (code, out) == (125, "")
    assert f"the secret a cannot lie at /run/secrets/a/b, for {masked} is masked" in err


@pytest.mark.parametrize("stance", ["root-mapped", "user-range"], indirect=True)
def test_an_owner_that_is_not_mapped_is_refused(folder: Path, stance: Stance, runtime: str) -> None:
    row = {"name": "a", "type": "mount", "target": "/run/secrets/a", "uid": 3_000_000}
    code, out, err = run(folder, stance, runtime, naming(stance.config("echo"), row), {"a": b"hidden-value"})
    assert (code, out) == (125, "")
    assert "cannot give the secret a to 3000000:0" in err
    assert "hidden-value" not in err


@pytest.mark.parametrize("stance", ["root"], indirect=True)
@pytest.mark.parametrize("runtime", ["native"], indirect=True)
def test_what_is_not_sealed_is_refused(folder: Path, stance: Stance, runtime: str) -> None:
    row = {"name": "a", "type": "mount", "target": "/run/secrets/a"}
    bundle = bundles.write(folder / "bundle", naming(stance.config("echo", "it ran"), row))
    fd = os.memfd_create("open", 0)
    done = bundles.launch(bundle, runtime, secrets=fd)
    os.close(fd)
    assert (done.returncode, done.stdout) == (125, "")
    assert "are not sealed" in done.stderr


@pytest.mark.parametrize("stance", ["root", "user-range"], indirect=True)
@pytest.mark.parametrize("runtime", ["native"], indirect=True)
def test_where_it_takes_two_processes_to_start_the_command(folder: Path, stance: Stance, runtime: str) -> None:
    """A time namespace takes who enters it after the process that made it (time_namespaces(7))."""
    require("timens")
    document = naming(
        stance.config("sh", "-c", 'cat /run/secrets/a; echo " $B"'),
        {"name": "a", "type": "mount", "target": "/run/secrets/a"},
        {"name": "b", "type": "env", "target": "B"},
    )
    document["linux"]["namespaces"].append({"type": "time"})
    code, out, err = run(folder, stance, runtime, document, {"a": b"file", "b": b"variable"})
    assert (code, out, err) == (0, "file variable\n", "")
