"""A new plugin: the files of a distribution that installs, passes its tests and registers (`hardening plugin new`)."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

from hardening.mechanism.schema import REQUIREMENT
from hardening.profile.layers import HEADER

#: Each kind of plugin, with what it is.
KINDS = {
    "mechanism": "a table of profiles, and what enforces it",
    "policy": "findings and verdicts of a site, and a profile with its limits",
    "runtime": "a program that runs containers",
    "scanner": "what looks for something in roots",
    "secret-driver": "what keeps the values of secrets",
}

#: Words of profiles, which no table may be called.
RESERVED = (*HEADER, REQUIREMENT.name)

_PROJECT = """\
[build-system]
requires = ["hatchling>=1.24"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "0.1.0"
description = "$what, for hardening"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["hardening>=$version"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points.hardening]
$name = "$module"
$profiles
[tool.hatch.build.targets.wheel]
packages = [$packages]
"""

_README = """\
# $distribution

$What, for [hardening](https://pypi.org/project/hardening/).

    pip install .                   # into the environment that has hardening
    hardening plugin show $name     # what it brings
    hardening plugin check $name    # the laws that it has to keep
    pip install '.[test]' && pytest

`hardening --without $name doctor` looks at all else where it fails.
"""

_MECHANISM = '''\
import attrs

from hardening.api import Ceiling, Mechanism, annotation, hookimpl, scalar

hardening_api = "1"

MOST = annotation("com.example.$name.most", int)


@attrs.frozen
class ${Class}Settings:
    """Composed `[$name]`."""

    most: int = scalar(Ceiling(0, 1000), 0, "How many there may be.", field=MOST)


class $Class(Mechanism[${Class}Settings]):
    """How many there may be."""

    name = "$name"
    before_launch = ("*",)


@hookimpl
def hardening_mechanisms() -> list[$Class]:
    """Register the mechanism."""
    return [$Class()]
'''

_MECHANISM_TEST = """\
from $module import $Class

from hardening.testing import check_all, contributed, plain, tightened

NAME = "com.example.$name.most"


def test_it_keeps_the_laws() -> None:
    assert check_all($Class(), plain()) == []


def test_a_layer_decides_what_it_contributes() -> None:
    assert contributed($Class(), "[$name]\\nmost = 5").document["annotations"] == {NAME: "5"}


def test_what_others_configured_is_cut() -> None:
    document, (violation,) = tightened($Class(), {"annotations": {NAME: "7"}}, "[$name]\\nmost = 5")
    assert (document["annotations"], violation.asked) == ({NAME: "5"}, "7")
"""

_POLICY = '''\
import json
from collections.abc import Iterator

from hardening.api import Candidate, Composition, Finding, Refusal, Severity, Verdict, hookimpl

hardening_api = "1"

RULE = "$name/owner"
#: An annotation that somebody who runs containers here says who answers for them by.
OWNER = "com.example.$name.owner"


@hookimpl
def hardening_inspect(composition: Composition) -> Iterator[Finding]:
    """What is worth saying of a stack: it stops nothing."""
    for layer in composition.stack.layers:
        if not layer.description:
            what = f"{layer.name} does not say what it is for"
            yield Finding(RULE, Severity.WARNING, what, origin=layer.place, hint="description = …")


@hookimpl
def hardening_admit(candidate: Candidate) -> Verdict | None:
    """A rejection of what may not run here; None where this plugin has no opinion."""
    process = candidate.composed.get("process") or {}
    if "CAP_SYS_ADMIN" not in json.dumps(process.get("capabilities") or {}):
        return None
    return Verdict("$name", (Refusal("/process/capabilities", "CAP_SYS_ADMIN is not given here", "drop it"),))


@hookimpl
def hardening_inputs() -> tuple[()]:
    """Nothing but the stack decides."""
    return ()
'''

_POLICY_TEST = """\
import json

import $module

from hardening.api import Candidate
from hardening.testing import check_policy, composed, plain


def judged(*capabilities: str) -> object:
    document = {"process": {"capabilities": {"bounding": list(capabilities)}}}
    return $module.hardening_admit(Candidate(json.dumps(document).encode(), plain()))


def test_it_keeps_to_what_judges_are_held_to() -> None:
    assert check_policy($module, plain(), composed("", by=[]), {"process": {"capabilities": {}}}) == []


def test_a_profile_says_what_it_is_for() -> None:
    (finding,) = $module.hardening_inspect(composed("", by=[]))
    assert finding.rule == $module.RULE
    assert not list($module.hardening_inspect(composed("description = 'x'", by=[])))


def test_one_capability_is_refused() -> None:
    assert judged("CAP_CHOWN") is None
    verdict = judged("CAP_CHOWN", "CAP_SYS_ADMIN")
    assert verdict is not None and not verdict.accepts
"""

_POLICY_PROFILE = """\
description = "What everybody here keeps to"
extends = ["default"]

[limits.process]
umask = "022"
"""

_RUNTIME = '''\
from hardening.api import ProgramRuntime, hookimpl

hardening_api = "1"


class $Class(ProgramRuntime):
    """The program $name, with the command line of runc."""

    name = "$name"
    #: Each field of a configuration that it does not read belongs here, with the version that first does, if any.
    ignores = {"/linux/intelRdt": ""}


@hookimpl
def hardening_runtimes() -> list[$Class]:
    """Register the runtime."""
    return [$Class()]
'''

_RUNTIME_TEST = """\
from $module import $Class

from hardening.testing import check_runtime, plain


def test_it_keeps_to_what_a_runtime_is_held_to() -> None:
    document = {"ociVersion": "1.2.0", "process": {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}}
    assert check_runtime($Class(), plain(), document) == []
"""

_SCANNER = '''\
from collections.abc import Iterator

from hardening.api import Detection, RootEntry, Scanner, hookimpl

hardening_api = "1"


class $Class(Scanner):
    """Files that are called core."""

    name = "$name"
    kinds = ("external",)

    def inputs(self) -> tuple[()]:
        """Nothing outside of the root decides what is found."""
        return ()

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        """What is to be said of one file. It may be made to deceive: read by `entry.read`, never by its path."""
        if entry.path.rpartition("/")[2] == "core" and entry.read(4) == b"\\x7fELF":
            yield Detection("external", entry.path, "a core dump")


@hookimpl
def hardening_scanners() -> list[$Class]:
    """Register the scanner."""
    return [$Class()]
'''

_SCANNER_TEST = """\
from $module import $Class

from hardening.testing import check_scanner, scanned

FILES = {"/srv/core": b"\\x7fELF....", "/srv/core.c": b"\\x7fELF", "/etc/core": b"text"}


def test_it_keeps_to_what_a_scanner_is_held_to() -> None:
    assert check_scanner($Class(), FILES) == []


def test_it_finds_core_dumps_and_nothing_else() -> None:
    assert [found.path for found in scanned($Class(), FILES)] == ["/srv/core"]
"""

_DRIVER = '''\
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardening.api import SecretDriver, SecretError, hookimpl

hardening_api = "1"


class $Class(SecretDriver):
    """Files in a folder of the caller's own, as they are: put what keeps secrets in their place."""

    name = "$name"
    known = {"shelf": "the beginning of the files' names"}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        """Keep a value under a new key."""
        place = _place(folder, key, options)
        place.touch(mode=0o600)
        place.write_bytes(value)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        """The value of a key."""
        try:
            return _place(folder, key, options).read_bytes()
        except OSError as error:
            # No message holds a value.
            raise SecretError(f"$name cannot read it: {error.strerror}", hint="create the secret anew") from None

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        """Remove a value; nothing where it is gone."""
        _place(folder, key, options).unlink(missing_ok=True)


def _place(folder: Path, key: str, options: Mapping[str, Any]) -> Path:
    return folder / f"{options.get('shelf', 'value')}-{key}"


@hookimpl
def hardening_secret_drivers() -> list[$Class]:
    """Register the driver."""
    return [$Class()]
'''

_DRIVER_TEST = """\
from $module import $Class

from hardening.testing import check_driver


def test_it_keeps_to_what_a_driver_is_held_to() -> None:
    assert check_driver($Class()) == []
    assert check_driver($Class(), {"shelf": "top"}) == []
"""

_CODE = {
    "mechanism": (_MECHANISM, _MECHANISM_TEST),
    "policy": (_POLICY, _POLICY_TEST),
    "runtime": (_RUNTIME, _RUNTIME_TEST),
    "scanner": (_SCANNER, _SCANNER_TEST),
    "secret-driver": (_DRIVER, _DRIVER_TEST),
}


def files(name: str, kind: str, version: str) -> Mapping[str, str]:
    """The texts of a new distribution by their relative paths. ``name`` is that of the entry point, of letters, digits and
    ``-``; ``kind`` is one of `KINDS`, ``version`` the release of hardening that it is made for."""
    word = name.replace("-", "_")
    what = KINDS[kind]
    packages = [f"hardening_{word}", *([f"hardening_{word}_profiles"] if kind == "policy" else [])]
    words = {
        "name": name,
        "module": packages[0],
        "distribution": f"hardening-{name}",
        "Class": "".join(part.capitalize() for part in word.split("_")),
        "what": what,
        "What": what[:1].upper() + what[1:],
        "version": version,
        "packages": ", ".join(f'"{package}"' for package in packages),
        "profiles": f'\n[project.entry-points."hardening.profiles"]\n{name} = "{packages[-1]}"\n'
        if packages[1:]
        else "",
    }
    code, test = _CODE[kind]
    texts = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{packages[0]}/__init__.py": '"""$What."""\n\n' + code,
        f"{packages[0]}/py.typed": "",
        f"tests/test_{word}.py": test,
    }
    if packages[1:]:
        texts |= {f"{packages[1]}/__init__.py": "", f"{packages[1]}/{name}.toml": _POLICY_PROFILE}
    return {path: Template(text).substitute(words) for path, text in texts.items()}
