"""Of what is kept nothing is believed that could be wrong, or that somebody else could have written."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from hardening.base.digest import sha256
from hardening.launch import fingerprints
from tests.support.cached import LINE, WAIT, Place, rewrite, write_alike_bytes

pytestmark = pytest.mark.system


def _evil(here: Place) -> None:
    path = here.bundle() / "config.json"
    document = json.loads(path.read_text())
    document["root"]["path"] = "/"
    path.write_text(json.dumps(document))


def _evil_with_digest(here: Place) -> None:
    _evil(here)
    (entry,) = here.entries()
    data = entry.read_bytes()
    old = json.loads(data.split(b"\n", 1)[1])["config"].encode()
    entry.write_bytes(data.replace(old, sha256((here.bundle() / "config.json").read_bytes()).encode()))


def _fixed_command(here: Place) -> None:
    """What leaves the command open takes no other."""
    path = here.bundle() / "config.json"
    document = json.loads(path.read_text())
    document["process"]["args"] = ["echo", "evil"]
    path.write_text(json.dumps(document))
    rewrite(here.entries()[0], config=sha256(path.read_bytes()), tree=fingerprints.tree(str(here.bundle())))


def _other_variables(here: Place) -> None:
    rewrite(here.entries()[0], values={"HOME": []})


def _variable_of_no_word(here: Place) -> None:
    rewrite(here.entries()[0], values={"LANG": [99, 0]})


def _filter(here: Place) -> None:
    path = here.bundle() / "seccomp.bpf"
    write_alike_bytes(path, b"\x06\0\0\0\0\0\xff\x7f" * (path.stat().st_size // 8))


def _cut(here: Place) -> None:
    (entry,) = here.entries()
    entry.write_bytes(entry.read_bytes()[:-100])


def _empty_entry(here: Place) -> None:
    here.entries()[0].write_bytes(b"")


def _no_json(here: Place) -> None:
    text = b"[1, 2"
    here.entries()[0].write_bytes(sha256(text).encode() + b"\n" + text)


def _other_shape(here: Place) -> None:
    text = b'{"until": 3, "inputs": []}'
    here.entries()[0].write_bytes(sha256(text).encode() + b"\n" + text)


def _unknown_look(here: Place) -> None:
    rewrite(here.entries()[0], inputs={"stars": {"x": "y"}})


def _more_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/more").mkdir()


def _other_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/run").rmdir()
    (here.bundle() / "rootfs/run").symlink_to("/tmp")


def _filled_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/run/file").write_text("x")


def _open_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs").chmod(0o777)


def _no_bundle(here: Place) -> None:
    shutil.rmtree(here.bundle())


def _no_filter(here: Place) -> None:
    (here.bundle() / "seccomp.bpf").unlink()


def _link_for_bundle(here: Place) -> None:
    bundle = here.bundle()
    bundle.rename(here.folder / "moved")
    bundle.symlink_to(here.folder / "moved")


def _link_for_config(here: Place) -> None:
    config = here.bundle() / "config.json"
    config.rename(here.folder / "moved.json")
    config.symlink_to(here.folder / "moved.json")


def _link_for_entry(here: Place) -> None:
    (entry,) = here.entries()
    entry.rename(here.folder / "moved.entry")
    entry.symlink_to(here.folder / "moved.entry")


def _open_folder(here: Place) -> None:
    here.entries()[0].parent.chmod(0o777)


def _open_key(here: Place) -> None:
    here.entries()[0].parent.parent.chmod(0o775 if os.geteuid() == 0 else 0o777)


def _open_entry(here: Place) -> None:
    here.entries()[0].chmod(0o666)


def _open_state(here: Place) -> None:
    here.state.chmod(0o777)


TAMPERED: tuple[Callable[[Place], None], ...] = (
    _evil, _evil_with_digest, _fixed_command, _other_variables, _variable_of_no_word, _filter, _cut, _empty_entry,
    _no_json, _other_shape, _unknown_look, _more_skeleton,
    _other_skeleton, _filled_skeleton, _open_skeleton, _no_bundle, _no_filter,
    _link_for_bundle, _link_for_config, _link_for_entry, _open_folder,
    _open_key, _open_entry, _open_state,
)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED)
def test_what_is_not_as_it_was_written_is_not_believed(typed: Place, tamper: Callable[[Place], None]) -> None:
    typed.restore()
    tamper(typed)
    assert not typed.finds(*LINE)
    for path in (typed.state, *typed.state.glob("cache/*")):
        path.chmod(0o711)
    if tamper not in (_open_folder, _open_key, _open_state):
        assert not typed.entries(), "an entry that will never be valid again is taken away"


@pytest.mark.parametrize("what", ["entry", "folder", "key", "cache", "config", "state"])
def test_what_belongs_to_another_user_is_not_believed(typed: Place, what: str) -> None:
    if os.geteuid() != 0:
        # Only root can give files away. To an ordinary user everything of root's is another user's.
        assert not typed.finds(*LINE, changes={"HARDENING_STATE": "/run"})
        return
    typed.restore()
    (entry,) = typed.entries()
    paths = {
        "entry": entry,
        "folder": entry.parent,
        "key": entry.parent.parent,
        "cache": entry.parents[2],
        "state": typed.state,
        "config": entry.parent / "bundle/config.json",
    }
    os.chown(paths[what], 48000, 48000)
    assert not typed.finds(*LINE)


def test_what_was_tampered_with_is_composed_again_and_taken_away(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    before = place.entries()
    _evil(place)
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n")
    after = place.entries()
    assert len(after) == 1
    assert after != before
    assert place.type(*line).stdout == "good\n"
    assert place.entries() == after


def _rewrite(here: Place, changes: dict[str, object]) -> None:
    """Change an entry as one could who can write to the state directory, digest and all."""
    (entry,) = here.entries()
    text = json.dumps({**here.read(), **changes}).encode()
    entry.write_bytes(sha256(text).encode() + b"\n" + text)


def test_an_entry_does_not_say_where_code_is_imported_from(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    planted = place.folder / "planted"
    planted.mkdir()
    (planted / "_cffi_backend.py").write_text("import os\nos.write(1, b'planted')\nos._exit(0)\n")
    _rewrite(place, {"path": [str(planted)]})
    assert place.finds(*line)
    assert place.type(*line).stdout == "good\n"


@pytest.mark.parametrize(
    "kept",
    [
        {"runtime": "{}/planted"},
        {"runtime": "/bin/sh"},
        {"remove": True},
        {"receipt": "{}/receipt"},
        {"name": "../../other"},
        {"state": "{}"},
        {"unknown": True},
        {"stdin": 1},
        [],
    ],
)
def test_an_entry_asks_for_nothing_that_was_not_typed(place: Place, kept: Any) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    bundle = place.bundle()
    planted = place.folder / "planted"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    _rewrite(place, {"launch": json.loads(json.dumps(kept).replace("{}/", f"{place.folder}/"))})
    assert place.finds(*line)
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert bundle.exists()
    assert not (place.folder / "receipt").exists()


def test_an_entry_names_no_bundle_that_was_not_typed(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type("compose", "-p", "strict", "-o", "other", "--", "echo", "evil").returncode == 0
    assert place.type(*line).stdout == "good\n"
    config = sha256((place.folder / "other/config.json").read_bytes())
    _rewrite(place, {"bundle": str(place.folder / "other"), "config": config})
    assert place.type(*line).stdout == "good\n"


@pytest.mark.parametrize("words", [("-v", "{}:/work"), ("-v", "{}/state/cache:/work:ro"), ("--rootfs", "{}/state")])
def test_no_command_is_shown_what_is_believed_later(place: Place, words: tuple[str, ...]) -> None:
    words = tuple(word.format(place.folder) for word in words)
    assert place.type("run", "-q", "-p", "strict", "--", "true").returncode == 0
    done = place.type("run", "-p", "default", *words, "--", "ls", "/work")
    assert done.returncode == 2, done.stdout
    assert "must lie apart" in done.stderr


@pytest.mark.parametrize("again", [False, True])
def test_what_is_believed_later_is_empty_in_a_read_only_volume_and_the_hosts_root(place: Place, again: bool) -> None:
    (place.folder / "data").mkdir()
    line = ("run", "-q", "-p", "default", "-v", f"{place.folder}:/work:ro", "--")
    for _ in range(1 + again):
        done = place.type(*line, "sh", "-c", "ls /work; echo; ls /work/state")
        assert (done.returncode, done.stdout) == (0, "data\nstate\n\n"), done.stderr
    done = place.type("run", "-q", "-p", "default", "--", "ls", "-A", str(place.state))
    assert done.stdout == ""


def test_no_entry_is_valid_in_a_state_directory_that_others_can_replace(typed: Place) -> None:
    typed.restore()
    assert typed.finds(*LINE)
    mode = typed.folder.stat().st_mode
    typed.folder.chmod(0o777)
    assert not typed.finds(*LINE)
    typed.folder.chmod(mode)
    assert typed.finds(*LINE)


def test_a_secret_variable_is_nobody_elses_to_read(place: Place) -> None:
    """A stack with one is not kept; its bundle is there while it runs, without the value."""
    pipe = subprocess.PIPE
    line = ("run", "-q", "-i", "-p", "strict", "-e", "API_TOKEN=s3cret", "--", *WAIT)
    with subprocess.Popen(
        [*place.program, *line], cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (config,) = place.state.glob("launches/*/bundle/config.json")
        assert "s3cret" not in config.read_text()
        assert {stat.S_IMODE(path.stat().st_mode) for path in (config, config.parent / "seccomp.bpf")} == {0o600}
        process.communicate("go\n")
