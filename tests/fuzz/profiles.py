"""What says what a container may: profiles, filters, and configurations of other programs."""

from __future__ import annotations

import copy
import json
import operator
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hardening.assemble import pipeline
from hardening.assemble.oci_fields import unknown
from hardening.assertions import operation as operations
from hardening.assertions import testfile
from hardening.base import jsontext
from hardening.base.digest import of_filter
from hardening.base.linux.libseccomp import Libseccomp
from hardening.compare.configuration import changes
from hardening.compose.composition import Composition, compose
from hardening.errors import HardeningError, ProfileError
from hardening.launch.config import config, confinement
from hardening.launch.container import leases
from hardening.lint import fixing
from hardening.mechanism.mechanism import Context
from hardening.profile import source
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import Document, Origin
from hardening_seccomp import SeccompSettings, bpf
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.docker import DockerTarget as Machine
from hardening_seccomp.docker import parse
from hardening_seccomp.oci import read as read_filter
from hardening_seccomp.spans import kernel_token
from hardening_seccomp.spec import filter_of
from tests.fuzz.harness import ROOT, target
from tests.fuzz.mutate import of_json, of_lines, of_toml
from tests.hardening.assemble.test_foreign import FULL
from tests.hardening.compose.test_rules import RULES, linter
from tests.plugins.seccomp import files, stacks
from tests.support import bundles, shipped, texts

KINDS = ("ALLOW", "LOG", "TRACE", "ERRNO", "TRAP", "KILL_THREAD", "KILL_PROCESS")  # by strictness
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")  # in the order of `_capabilities`


def _profiles() -> Iterator[bytes]:
    for path in shipped.FILES:
        yield path.read_bytes()


@cache
def _base() -> tuple[Layer, Composition]:
    plugins, host = shipped.here()
    base = parse_layer(
        Document("base", Path("base.toml"), {"complete": True, "selinux": {"requirement": "best-effort"}}, {})
    )
    return base, compose(Stack((base,)), plugins.mechanisms, host, texts.TODAY)


@target(
    of_toml, "hardening.profile.source hardening.profile.toml_lines hardening.profile.layers hardening.compose.fold "
    "hardening.mechanism.schema hardening.mechanism.kinds"
    " hardening_process.kinds hardening_rootfs.volumes hardening_rootfs.tmpfs hardening_seccomp.settings",
    seeds=_profiles, short=25,
)  # fmt: skip
def profile(data: bytes, place: Path) -> None:
    """No layer without an exception is looser, in any leaf, than the complete one before it."""
    path = place / "x.toml"
    path.write_bytes(data)
    path.chmod(0o644)
    layer = parse_layer(source.read(path, "x"))
    plugins, host = shipped.here()
    base, before = _base()
    found = compose(Stack((base, layer)), plugins.mechanisms, host, texts.TODAY)
    for leaf, now in found.leaves.items():
        str(now.shown).encode()
        mechanism = plugins.mechanism(leaf.mechanism)
        assert mechanism is not None
        closed = before.at(mechanism, leaf.setting, leaf.member)
        if not (layer.exceptions or now.kind.unordered or now.kind.identity or leaf.setting == "requirement"):
            assert now.kind.is_no_looser_than(now.value, closed.value), (leaf, now.shown, closed.shown)


def _test_files() -> Iterator[bytes]:
    yield _fenced("docs/reference/tests.md", "toml fragment")


def _fenced(page: str, language: str) -> bytes:
    """The first block of a language of a page."""
    return (ROOT / page).read_text().partition(f"```{language}\n")[2].partition("```")[0].encode()


@target(of_toml, "hardening.assertions.testfile", seeds=_test_files, short=25)
def assertions(data: bytes, place: Path) -> None:
    """Each test has a name of its own, and asserts something at a line of the file."""
    path = place / "x.test.toml"
    path.write_bytes(data)
    path.chmod(0o644)
    found = testfile.read(str(path))
    assert len({case.name for case in found.cases}) == len(found.cases) > 0
    for case in found.cases:
        origins = [*(item.origin for item in case.assertions), *(item.origin for item in case.commands)]
        assert all(str(origin).startswith(f"{path}:") for origin in origins)
        assert case.assertions or case.commands


def _operations() -> Iterator[bytes]:
    yield b"see /etc\nread /etc/hosts\nwrite /run/web\nexecute /usr/bin/env\n"
    yield b"bind :8080\nbind 127.0.0.1:53/udp\nconnect [::1]:443\nconnect example.org:80/tcp\n"
    yield b"CAP_NET_RAW\nmount\nsocket(AF_INET)\nunshare(CLONE_NEWUSER|CLONE_NEWNET)\nioctl(0, 0x5412, -1)\n"


@cache
def _strict() -> tuple[Composition, Context]:
    _, host = shipped.here()
    found = shipped.composed(["strict"])
    return found, pipeline.examine(found, host)


@target(
    of_lines, "hardening.assertions.operation hardening.why.question", seeds=_operations, refusals=(UnicodeDecodeError,),
    short=60,
)  # fmt: skip
def operation(data: bytes, place: Path) -> None:
    """What is no operation is told at its line, with a hint; of any other a program compiles, and settings deny it."""
    composition, context = _strict()
    for number, line in enumerate(data.decode().replace("\0", "").split("\n"), 1):
        origin = Origin("x", f"x.test.toml:{number}")
        refusal: ProfileError | None = None
        try:
            found = operations.read(line, composition, context, origin)
        except ProfileError as error:
            refusal = error
        if refusal is not None:
            assert refusal.origin == origin, line
            assert refusal.hint, line
            continue
        if found.attempt:
            compile(found.witness.program, "operation", "exec")
        for denial in found.denials(composition, context):
            assert not denial.leaf or composition.meant(denial.leaf), (line, denial)


def _linted() -> Iterator[bytes]:
    return (rule.bad.encode() for rule in RULES.values() if rule.bad)


@target(
    of_toml, "hardening.lint.linter hardening.lint.document hardening.compose.crossing hardening.lint.suppression"
    " hardening.lint.fixing hardening.profile.toml_lines", seeds=_linted, short=40,
)  # fmt: skip
def lint(data: bytes, place: Path) -> None:
    """Each result has a rule and a line of the file; what is mended says no more than before, and is mended once."""
    path = place / "x.toml"
    path.write_bytes(data)
    path.chmod(0o644)
    linter().forget(str(path))
    results = linter().lint(str(path))
    for result in results:
        assert result.ident in RULES, result
        assert result.line == 1 or result.line <= len(data.splitlines()), result
        str(result.finding.message).encode()
    done = list(fixing.fix(linter(), str(path)))
    assert list(fixing.fix(linter(), str(path))) == []
    assert (path.read_bytes() == data) == (done == [])


_TESTS = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "GE": operator.ge,
    "GT": operator.gt,
}


def _holds(test: Mapping[str, Any], arguments: tuple[int, ...]) -> bool:
    value, wanted, name = arguments[test["index"]], test.get("value", 0), test["op"].removeprefix("SCMP_CMP_")
    if name == "MASKED_EQ":
        # Of both what the mask leaves (seccomp_rule_add(3)).
        return bool((value ^ (test.get("valueTwo") or 0)) & wanted == 0)
    return bool(_TESTS[name](value, wanted))


def _answers(document: Mapping[str, Any], name: str, arguments: tuple[int, ...]) -> str:
    """What a docker profile says to a call on x86_64 without capabilities: the strictest of the rules that match."""
    found = []
    for rule in document.get("syscalls") or ():
        include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
        kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
        newer = {
            key: tuple(map(int, side["minKernel"].split(".")[:2])) <= kernel
            for key, side in (("in", include), ("out", exclude)) if side.get("minKernel")
        }  # fmt: skip
        applies = (
            not include.get("caps") and newer.get("in", True) and not newer.get("out", False)
            and "amd64" not in (exclude.get("arches") or ()) and "amd64" in (include.get("arches") or ("amd64",))
        )  # fmt: skip
        if not applies or name not in (rule.get("names") or [rule.get("name")]):
            continue
        tests = rule.get("args") or []
        alike = len({test["index"] for test in tests}) < len(tests)  # two of one argument are two rules, for docker
        if not tests or (any if alike else all)(_holds(test, arguments) for test in tests):
            found.append(_kind(rule["action"]))
    return max(found, key=KINDS.index) if found else _kind(document["defaultAction"])


def _kind(action: str) -> str:
    word = action.removeprefix("SCMP_ACT_")
    return "KILL_THREAD" if word == "KILL" else word


@cache
def _machine() -> tuple[Any, Libseccomp]:
    return stacks.this_host(), Libseccomp.load()


@target(
    of_json, "hardening_seccomp.docker hardening_seccomp.oci hardening_seccomp.conditions hardening_seccomp.compile"
    " hardening_seccomp.diagrams", short=60,
)  # fmt: skip
def seccomp(data: bytes, place: Path) -> None:
    """Of a docker profile: the program answers as its rules do, and stricter only where that is told."""
    for machine in (
        Machine("aarch64", frozenset({"CAP_SYS_PTRACE", "CAP_BPF"}), (4, 7)),
        Machine("x86_64", frozenset(), (6, 18)),
    ):
        parse(data, machine)
    document = json.loads(data)
    with suppress(HardeningError):
        read_filter(document, native="x86_64")
    if sum(data) % 4 and data not in seccomp.pool:
        return  # a program takes long
    document = json.loads(data, object_hook=files.spelled)
    host, library = _machine()
    path = place / "docker.json"
    path.write_bytes(data)
    path.chmod(0o644)
    found = stacks.settings(place, f'[seccomp]\nrestrict_suid_sgid = false\nprofile = "{path}"\n', on=host)
    assert isinstance(found, SeccompSettings)
    compiled = compile_filter(filter_of(found, stacks.context(host)), library)
    program = bpf.decode(compiled.program)
    token = library.architecture("x86_64")
    assert token is not None
    known = library.names(token)
    rules = document.get("syscalls") or ()
    names = dict.fromkeys(name for rule in rules for name in (rule.get("names") or [rule.get("name")]) if name in known)
    values = {
        0,
        3,
        8,
        *(test.get("value", 0) + more for rule in rules for test in rule.get("args") or () for more in (-1, 0, 1)),
    }
    for name in [*list(names)[:8], "uname"]:
        for value in sorted(values)[:8]:
            vector = tuple(max(0, min(item, 2**64 - 1)) for item in (value, 8, value, 0, 0, 0))
            answer = bpf.evaluate(program, kernel_token(library, "x86_64"), known[name], vector).action.kind.name
            wanted = _answers(document, name, vector)
            place_of = (name, vector, wanted, answer)
            assert KINDS.index(answer) >= KINDS.index(wanted), ("looser", place_of)
            assert answer == wanted or name in compiled.written, ("stricter", place_of)


@cache
def _bundles() -> list[bytes]:
    maps = bundles.id_maps(524288, 10)
    return [json.dumps(item).encode() for item in (FULL, bundles.config("true"), bundles.config("id", uid_maps=maps))]


@target(
    of_json, "hardening.assemble.foreign hardening.assemble.pipeline hardening.assemble.oci_fields "
    "hardening.assemble.bundle hardening_capabilities.spec"
    " hardening_namespaces.tighten hardening_process.tighten hardening_process.foreign_resources hardening_rootfs.tighten"
    " hardening_rootfs.foreign_binds hardening_rootfs.rights hardening_seccomp.spec", seeds=_bundles, short=30,
)  # fmt: skip
def apply_(data: bytes, _: Path) -> None:
    """A configuration of another program is refused in words, or nowhere looser than the profile; twice is once."""
    from hardening.assemble.bundle import parse_config

    given = parse_config(data, "config.json")
    assembly = _tightened(given)
    document = assembly.spec.document
    assert bool(changes(given, document, assembly.spec.leaves)) == (document != given)
    assert list(unknown(document)) == []
    assert ".." not in str(document["linux"].get("cgroupsPath")).split("/")
    process, linux = document["process"], document["linux"]
    limit = _planned()
    for name, most in _capabilities(process["user"]["uid"]).items():
        assert set(process["capabilities"].get(name, ())) <= most, name
    assert process["noNewPrivileges"] is True
    assert document["root"]["readonly"] is True
    assert "hooks" not in document
    assert linux["seccomp"]["defaultAction"] != "SCMP_ACT_ALLOW"
    assert {item["type"] for item in linux["namespaces"]} >= {item["type"] for item in limit["linux"]["namespaces"]} - {
        "user"
    }
    for name in ("maskedPaths", "readonlyPaths"):
        kernel = {path for path in limit["linux"].get(name, ()) if path.startswith(("/proc", "/sys"))}
        assert set(linux.get("maskedPaths", ())) | set(linux.get(name, ())) >= kernel or _gone(document, kernel), name
    again = _tightened(copy.deepcopy(document))
    assert again.spec.document == document
    assert again.violations == ()


def _capabilities(uid: int) -> dict[str, set[str]]:
    """What the profile lets a user have at most, capabilities(7): root's come with a program, others' are passed on."""
    settings: Any = _default().settings["capabilities"]
    most = {f"CAP_{name}" for name in settings.added}
    own, passed = (most & {f"CAP_{name}" for name in settings.kept},) * 2 if uid else (most, set())
    return dict(zip(SETS, (most, own, passed, own, passed), strict=True))


def _gone(document: Mapping[str, Any], paths: set[str]) -> bool:
    """Whether nothing is mounted where paths lie."""
    there = {os.path.normpath(item["destination"]) for item in document["mounts"]}
    return all(f"/{path.split('/')[1]}" not in there for path in paths)


def _tightened(document: dict[str, Any]) -> pipeline.Assembly:
    plugins, host = shipped.here()
    return pipeline.tighten(plugins, _default(), host, document, origin=Path("/srv"))


@cache
def _default() -> Composition:
    return shipped.composed(["default"])


@cache
def _planned() -> dict[str, Any]:
    plugins, host = shipped.here()
    document: dict[str, Any] = pipeline.assembled(plugins, _default(), host, ["id"]).spec.document
    return document


@cache
def _own() -> list[bytes]:
    planned = copy.deepcopy(_planned())
    del planned["linux"]["seccomp"]["syscalls"][5:]  # the launcher reads no more of a filter than its digest
    return [json.dumps(planned).encode(), json.dumps(bundles.config("true")).encode()]


@target(
    of_json, "hardening.launch.config.config hardening.launch.config.config_linux "
    "hardening.launch.config.config_mounts hardening.base.jsontext"
    " hardening.launch.config.config_process"
    " hardening.launch.config.device_rules hardening.launch.config.reader",
    seeds=_own, short=100,
)  # fmt: skip
def launch(data: bytes, _: Path) -> None:
    """As the launcher reads a configuration: refused with a place, or as it says, and nothing else."""
    try:
        document = jsontext.parse(data, "f")
        leases.paths(document, "f")
        found = config.read(document, "f")
    except HardeningError as error:
        for refusal in getattr(error, "problems", (error,)):
            assert str(refusal.origin).partition(":")[0] == "f", refusal
            assert refusal.exit_code in (2, 125), refusal
        raise
    assert isinstance(document, dict)
    passed_over = ("/annotations/", "/linux/seccomp/")  # of a filter the program is what counts
    assert [item for item in unknown(document) if not item.pointer.startswith(passed_over)] == []
    process = document.get("process")
    assert found.process is None or process is not None
    if found.process is not None:
        assert found.process.no_new_privileges is bool(process.get("noNewPrivileges"))
        command = found.process.command
        assert confinement.joined(command.helpers, command.args) == process["args"]
    assert (found.seccomp is None) == (not (document.get("linux") or {}).get("seccomp"))
    if found.seccomp is not None:
        of_filter(found.seccomp.source, b"")
