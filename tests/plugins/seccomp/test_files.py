"""`docs/reference/seccomp.md`, "Profiles of docker and podman": files that others wrote mean here what they mean to the
engines."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.errors import HardeningError
from tests.plugins.seccomp import files
from tests.support.features import require

PAGE = (Path(__file__).parents[3] / "docs/reference/seccomp.md").read_text()
#: What is in a file, what docker and podman do with it, what is done here: a row of the page.
ROWS = re.findall(r"^\| `(\{.*\})` \| (taken|refused)[^|]* \| (taken|refused)", PAGE, re.MULTILINE)
GO = Path("/usr/share/gocode/src/github.com")
#: Where Debian's packages have such files.
SHIPPED = (
    Path("/usr/share/containers/seccomp.json"),
    Path("/usr/share/doc/flatpak/examples/flatpak-docker-seccomp.json"),
    *(GO / "docker/docker/profiles/seccomp").glob("**/*.json"),
    *(GO / "containers/common/pkg/seccomp").glob("**/*.json"),
)
CONDITIONAL: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X32"]}],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["uselib"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}},
        {"names": ["modify_ldt"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["iopl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["prctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_GT"}]},
        {
            "name": "clone",
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        },
    ],
}


def written(folder: Path, document: object) -> Path:
    """A file with this text, or with what this is as JSON."""
    folder.mkdir()
    file = folder / "docker.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


@pytest.mark.parametrize("file", [file for file in SHIPPED if file.exists() and file.name != "example.json"])
def test_debians_files_mean_what_they_say(file: Path, tmp_path: Path) -> None:
    require("x86_64")
    for outcome in files.judged(file, tmp_path).values():
        assert isinstance(outcome, files.Held), outcome
        assert (outcome.looser, outcome.stricter) == (frozenset(), frozenset())
        assert outcome.points > 1000


def test_every_condition_of_an_entry_counts(tmp_path: Path) -> None:
    require("x86_64")
    file = written(tmp_path / "docker", CONDITIONAL)
    for capabilities in ((), files.SOME):
        found = files.taken([files.layer(tmp_path, file, capabilities)])
        assert set(found.capabilities) == set(capabilities)
        meaning = files.resolve(files.read(file), capabilities, (6, 1))
        assert files.held(found, meaning) == files.Held(files.held(found, meaning).points)
        assert found.runs("x86_64", "bpf", (0,) * 6) is bool(capabilities)
        assert [found.runs("x86_64", name, (0,) * 6) for name in ("ptrace", "uselib", "modify_ldt", "iopl")] == [
            True, False, True, False,
        ]  # fmt: skip


def test_what_is_looser_or_stricter_is_seen(tmp_path: Path) -> None:
    require("x86_64")
    file = written(tmp_path / "docker", CONDITIONAL)
    found = files.taken([files.layer(tmp_path, file)])
    meaning = files.resolve(files.read(file), (), (6, 1))
    less = {**meaning, "syscalls": [entry for entry in meaning["syscalls"] if "prctl" not in entry["names"]]}
    assert {place.split("(")[0] for place in files.held(found, less).looser} == {"x86_64 prctl", "x32 prctl"}
    narrow = files.held(found, {**meaning, "architectures": []})
    assert narrow.looser
    assert all(place.startswith("x32 ") for place in narrow.looser)
    more = {**meaning, "syscalls": [*meaning["syscalls"], {"names": ["iopl"], "action": "SCMP_ACT_ALLOW", "args": []}]}
    assert files.held(found, more).stricter == {f"{machine} iopl{(0,) * 6}" for machine in ("x86_64", "x32")}
    told = files.held(attrs.evolve(found, told={"iopl": "seccomp/overlap"}), more)
    assert told.told == {"seccomp/overlap iopl"}
    assert not told.stricter


def test_a_name_that_nobody_knows_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    rule = {"names": ["posix_fallocate"], "action": "SCMP_ACT_ERRNO"}
    file = written(tmp_path / "docker", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    with pytest.raises(HardeningError, match="libseccomp knows no system call posix_fallocate") as caught:
        files.taken([files.layer(tmp_path, file)])
    assert caught.value.hint is not None
    assert 'remove the name in the file of the profile (did you mean "fallocate"?), or update' in caught.value.hint


def test_the_page_says_what_is_taken(tmp_path: Path) -> None:
    assert len(ROWS) > 8
    assert {here for _, _, here in ROWS} == {"taken", "refused"}
    for number, (text, _, here) in enumerate(ROWS):
        file = written(tmp_path / str(number), text)
        try:
            files.taken([files.layer(tmp_path, file)])
            found = "taken"
        except HardeningError:
            found = "refused"
        assert found == here, text


@pytest.mark.complete
@pytest.mark.system
def test_the_page_says_what_podman_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    require("root")
    folder = Path("/var/tmp") / tmp_path_factory.mktemp("files").name
    folder.mkdir(mode=0o700)
    try:
        given = [written(folder / str(number), text) for number, (text, _, _) in enumerate(ROWS)]
        asked = [("refused" if refused else "taken") for _, refused, _ in files.podmans(given, folder)]
        assert asked == [there for _, there, _ in ROWS]
    finally:
        shutil.rmtree(folder)
