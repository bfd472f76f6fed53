"""Checks of what a runtime, a scanner, a secret driver and the hooks that judge are held to. Each gives what it found
broken, as `hardening.testing.laws` does."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hardening.compose.composition import Composition
from hardening.errors import HardeningError, UsageError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.runtime import Runtime
from hardening.mechanism.scanner import Detection, RootEntry, Scanner
from hardening.mechanism.secret_driver import LONGEST, SecretDriver, SecretError
from hardening.plugin import pluginfaces
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.plugincalls import Plugin
from hardening.plugin.plugins import Plugins
from hardening.testing.kinds import Broken
from hardening.testing.mechanisms import OpenWatch, undeclared
from hardening.testing.stacks import of_test

#: What no text of an error may have in it.
_VALUE = b"planted-value-of-a-test"
#: A member that no specification has: a runtime that does not know it would ignore it.
_STRANGE = "com.example.strange"


def check_driver(driver: SecretDriver, options: Mapping[str, str] | None = None) -> list[Broken]:
    """What is stored is read back, of every size and kind; what was deleted is gone, and may be deleted again; a key says
    nothing of another one; an option that it does not know is refused; no error has a value in it. It writes where the
    ``options`` of a new secret say: those of a place for tests."""
    face: SecretDriver = pluginfaces.secret_driver(of_test(driver), driver)
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        broken: list[Broken] = []
        try:
            broken += check_options(driver)
            broken.extend(_driver(face, Path(folder), face.options(options or {})))
        except HardeningError as error:
            broken.append(Broken("it answers", str(error).replace(_VALUE.decode(), "…")))
        return broken


def check_options(driver: SecretDriver) -> list[Broken]:
    """The one of these that keeps nothing: an option that the driver does not know is refused."""
    face: SecretDriver = pluginfaces.secret_driver(of_test(driver), driver)
    try:
        face.options({_STRANGE: "x"})
    except UsageError:
        return []
    except HardeningError as error:
        return [Broken("it answers", str(error))]
    return [Broken("an unknown option is refused", f"{driver.name} takes {_STRANGE}")]


def _driver(driver: SecretDriver, folder: Path, options: Mapping[str, Any]) -> Iterator[Broken]:
    values = {"first": _VALUE, "second": b"\0\xff\n", "third": b"x" * LONGEST}
    for key, value in values.items():
        driver.store(folder, key, value, options)
    for key, value in values.items():
        if driver.read(folder, key, options) != value:
            yield Broken("what is stored is read", f"{driver.name} reads something else of {len(value)} bytes")
    for key in ("first", "first"):
        driver.delete(folder, key, options)
    for key in ("first", "never"):
        try:
            driver.read(folder, key, options)
            yield Broken("what is gone is not read", f"{driver.name} reads the key {key}, which is not there")
        except SecretError as error:
            if _VALUE.decode() in str(error):
                yield Broken("no error has a value in it", str(error).replace(_VALUE.decode(), "…"))
    if driver.read(folder, "second", options) != values["second"]:
        yield Broken("a key says nothing of another one", f"{driver.name} lost the second with the first")


def check_scanner(scanner: Scanner, files: Mapping[str, bytes] | None = None) -> list[Broken]:
    """It says of files, a few awkward ones and those given by their paths, what is of its kinds and of these files, without
    their content; it opens nothing but what its inputs name and what it is handed."""
    face: Scanner = pluginfaces.scanner(of_test(scanner), scanner)
    made = {"/empty": b"", "/bin/zero": b"\0" * 4096, "/etc/text": _VALUE + b"\n" * 3, "/\udcff": b"x", **(files or {})}
    opened, declared = OpenWatch(), list(face.inputs())
    broken: list[Broken] = []
    for path, content in made.items():
        with _entry(path, content) as entry:
            found: list[Any] = []
            paths = opened.by(partial(_ask, scanner, entry, found))
        broken += _detected(scanner, path, found)
        for name in undeclared(paths, declared):
            broken.append(Broken("inputs name what is looked at", f"{scanner.name} opens {name}"))
    return list(dict.fromkeys(broken))


def scanned(scanner: Scanner, files: Mapping[str, bytes]) -> list[Detection]:
    """What a scanner says of files, by their paths in a root."""
    found: list[Detection] = []
    for path, content in files.items():
        with _entry(path, content) as entry:
            found += scanner.entry(entry)
    return found


def _ask(scanner: Scanner, entry: RootEntry, found: list[Any]) -> None:
    found.extend(scanner.entry(entry))


def _detected(scanner: Scanner, path: str, found: list[Any]) -> Iterator[Broken]:
    for item in found:
        if not isinstance(item, Detection):
            yield Broken("entry gives detections", f"{scanner.name} gives {type(item).__name__} of {path!r}")
        elif item.kind not in (*scanner.kinds, "unread"):
            yield Broken("what is found is of its kinds", f"{scanner.name} finds {item.kind}, which it does not name")
        elif item.path != path:
            yield Broken("what is found is of the file", f"{scanner.name} speaks of {item.path!r}, asked of {path!r}")
        elif _VALUE.decode() in item.detail:
            yield Broken("no content of a file is told", f"{scanner.name} of {path!r}")


@contextmanager
def _entry(path: str, content: bytes) -> Iterator[RootEntry]:
    """A regular file as a scanner is handed it."""
    descriptor = os.memfd_create("entry")
    try:
        os.write(descriptor, content)

        def pieces(size: int) -> Iterator[bytes]:
            return (content[at : at + size] for at in range(0, len(content), size))

        yield RootEntry(path, os.fstat(descriptor), descriptor, lambda most: content[:most], pieces)
    finally:
        os.close(descriptor)


def check_runtime(runtime: Runtime, host: Host, document: Mapping[str, Any]) -> list[Broken]:
    """It says a version or that it is not there, takes ``document`` (of `hardening.testing.contributed`, or a whole one),
    and refuses one with a member that nobody knows; its command is a program by its whole path. It opens what its inputs
    name."""
    face: Runtime = pluginfaces.runtime(of_test(runtime), runtime)
    opened, broken = OpenWatch(), list[Broken]()
    declared = list(face.inputs(host))
    strange = {**document, _STRANGE: {"x": True}}

    def ask(law: str, question: Callable[[], object]) -> object:
        try:
            answer: list[object] = []
            paths = opened.by(lambda: answer.append(question()))
        except HardeningError as error:
            broken.append(Broken(law, str(error)))
            return None
        for name in undeclared(paths, declared):
            broken.append(Broken("inputs name what is looked at", f"{runtime.name} opens {name}"))
        return answer[0]

    ask("version answers", face.version)
    if ask("check answers", partial(face.check, document, host)):
        broken.append(Broken("check accepts what there is", f"{runtime.name} refuses the configuration of the test"))
    if not ask("check answers", partial(face.check, strange, host)):
        broken.append(Broken("check refuses what it does not know", f"{runtime.name} would ignore /{_STRANGE}"))
    if face.version() is not None:
        ask("command answers", partial(face.command, Path("/bundle"), LaunchRequest()))
    return list(dict.fromkeys(broken))


def check_policy(
    module: ModuleType, host: Host, composition: Composition, document: Mapping[str, Any] | None = None
) -> list[Broken]:
    """What the hooks of a module say of a composition (`hardening.testing.composed`) and of ``document``, what that composes
    to or a whole one, is the same when they are asked again; `hardening_admit` raises nothing, whatever a configuration
    leaves out; they open nothing but what `hardening_inputs` and the verdicts name."""
    asked, opened, broken = Plugins([Plugin("policy", module, "", "")]), OpenWatch(), list[Broken]()

    def ask(law: str, question: Callable[[], Any]) -> Any:
        answers: list[Any] = []
        try:
            paths = opened.by(lambda: answers.extend((question(), question())))
        except HardeningError as error:
            broken.append(Broken(law, str(error)))
            return None
        if answers[0] != answers[1]:
            broken.append(Broken("who is asked again says the same", f"{answers[0]}, and then {answers[1]}"))
        looked = [item for verdict in answers[0] if isinstance(verdict, Verdict) for item in verdict.looked]
        for name in undeclared(paths, [*declared, *looked]):
            broken.append(Broken("inputs name what is looked at", f"{name} is opened"))
        return answers[0]

    declared: list[Input | Unknown] = []
    declared += ask("hardening_inputs answers", lambda: asked.inputs(composition, host)) or ()
    ask("hardening_inspect answers", lambda: asked.inspect(composition, host))
    for given, of in itertools.product(_strange(document or {}), (composition, None)):
        candidate = Candidate(json.dumps(given).encode(), host, of)
        ask("hardening_admit raises nothing", partial(asked.admit, candidate))
    return list(dict.fromkeys(broken))


def _strange(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A configuration, what is known of an image before it is fetched, and the first without each part, or with nothing in
    it. That its values are of the specification's types the core has seen to."""
    yield document
    yield {"ociVersion": "1.2.0"}
    for part in ("annotations", "hooks", "linux", "mounts", "process", "root"):
        yield {name: value for name, value in document.items() if name != part}
        yield {**document, part: [] if part == "mounts" else {}}
