"""`docs/reference/configuration.md`: its table says what the readers do with every member of the OCI runtime configuration,
by the specification's own schema, and no shape of any member gets past them in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import pipeline
from hardening.assemble.foreign import require_shape
from hardening.assemble.oci_fields import CONFIG, Each, without_unknown
from hardening.base import jsontext
from hardening.base.pointer import lookup
from hardening.errors import HardeningError, LaunchError, SpecError
from hardening.launch.config import config
from hardening.launch.config.model import Configuration
from hardening.mechanism.host import Host
from tests.docs.examples import ROOT
from tests.hardening.assemble.test_oci_fields import variants
from tests.support import members, ocischema, shipped

PAGE = ROOT / "docs/reference/configuration.md"
ALL = dict(ocischema.members())
LEAVES = [member for member in ALL if not any(other.startswith(f"{member}/") for other in ALL)]
WINDOWS = ("/process/commandLine", "/process/user/username")
REFUSED = "/linux/seccomp/listener"
#: What the table leaves to the launcher's digest of the filter: none of it is read by the native launcher.
BOUND = tuple(f"/linux/seccomp/{name}" for name in ("defaultAction", "defaultErrnoRet", "architectures", "syscalls"))


@attrs.frozen
class Row:
    """What the page says of one member."""

    native: str
    crun: str
    runc: str
    apply: str


@cache
def table() -> Mapping[str, Row]:
    """The rows of the page, one for each member that a row stands for."""
    found: dict[str, Row] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `/"):
            for pattern in cells[0].split(" "):
                for member in members.expanded(pattern.strip("`")):
                    assert member not in found, f"{member} is given twice"
                    found[member] = Row(*cells[1:5])
    return found


def test_the_table_has_each_member_of_the_schema_once_and_no_other() -> None:
    assert sorted(table()) == sorted(LEAVES)


def test_the_names_and_types_that_are_looked_for_are_those_of_the_schema() -> None:
    types = {str: "string", int: "integer", bool: "boolean"}

    def flat(shape: Any, place: str) -> Iterator[tuple[str, str]]:
        if isinstance(shape, type):
            yield place, types[shape]
        elif isinstance(shape, list):
            yield place, "array"
            if not isinstance(shape[0], type):
                yield from flat_items(shape[0], f"{place}/*")
        elif isinstance(shape, Each):
            yield place, "object"
            if not isinstance(shape.shape, type):
                yield from flat_items(shape.shape, f"{place}/*")
        else:
            yield place, "object"
            yield from flat_items(shape, place)

    def flat_items(shape: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
        for key, inner in shape.items():
            yield from flat(inner, f"{place}/{key}")

    expected = {member: kind for member, kind in ALL.items() if member not in {*ocischema.ELSEWHERE, *WINDOWS}}
    assert dict(flat_items(CONFIG, "")) == expected


def read(document: object) -> tuple[Configuration | None, list[str]]:
    found, problems = config.examine(document)
    return found, [pointer for pointer, _ in problems]


def touches(pointer: str, others: list[str]) -> bool:
    """Whether one of the pointers is the member's, or that of a part of it or around it."""
    return any(f"{pointer}/".startswith(f"{other}/") or other.startswith(f"{pointer}/") for other in others if other)


def native(member: str) -> str:
    """What the native launcher does with a member that asks for something."""
    found = [read(members.containing(member, value)[0]) for value in members.values(member, ALL[member])]
    pointer = members.containing(member, None)[1]
    (one, refused), (two, _) = found
    if one is None:
        assert touches(pointer, refused), refused
        return "refused"
    assert two is not None, found
    if attrs_of(one) != attrs_of(two):
        return "enforced"
    wrong, complaints = read(members.containing(member, members.WRONG[ALL[member]])[0])
    assert one != two or (wrong is None and touches(pointer, complaints))
    return "checked"


def attrs_of(found: Configuration) -> dict[str, Any]:
    """What a launch does; not what it merely holds against something."""
    values = {name: getattr(found, name) for name in Configuration.__annotations__}
    filtered = values["seccomp"]
    return {**values, "annotations": (), "seccomp": filtered and (filtered.flags, filtered.sha256)}


def runtime(name: str, member: str) -> str:
    """Whether a launch under another runtime is refused for a member: what that would ignore."""
    document, pointer = members.containing(member, members.values(member, ALL[member])[0])
    found = {item.pointer for item in members.ignored(name, document, host())}
    return "refused" if touches(pointer, [*found - {"/linux/mountLabel"}]) else ""  # by the host


def host() -> Host:
    return attrs.evolve(shipped.here()[1], uid=0)


@cache
def stack() -> tuple[Any, ...]:
    plugins, host = shipped.here()
    return plugins, shipped.composed(["default"]), host


def tightened(document: dict[str, Any]) -> pipeline.Assembly:
    plugins, composition, host = stack()
    return pipeline.tighten(plugins, composition, host, document, origin=Path("/srv"))


def applied(member: str) -> str:
    """What `hardening apply` does with a member that asks for something."""
    document, pointer = members.containing(member, members.values(member, ALL[member])[0])
    if pointer.startswith(REFUSED):
        with pytest.raises(SpecError, match=pointer):
            tightened(document)
        return "refused"
    assembly = tightened(document)
    stays = lookup(assembly.spec.document, pointer) is not None
    violations = [item for item in assembly.violations if touches(pointer, [item.pointer])]
    if not stays:
        assert violations, f"{pointer} goes without a word"
    if member in WINDOWS:
        return "removed" if not stays else "kept"
    owned = [each for mechanism in assembly.composition.mechanisms for each in mechanism.owns]
    if any(f"{pointer}/".startswith(f"{each}/") for each in owned) or touches(pointer, [*assembly.spec.leaves]):
        return "held"
    return "held" if any(item.leaf for item in violations) else "kept" if stays else "removed"


def _kinds(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What the schema and the page say of a member."""
    return ALL[row["member"]], table().get(row["member"])


sampled = pytest.mark.sampled(kinds=_kinds)


@sampled
@pytest.mark.parametrize("member", LEAVES)
def test_the_table_says_what_the_readers_do(member: str) -> None:
    found = Row(native(member), runtime("crun", member), runtime("runc", member), applied(member))
    assert table()[member] == found


@sampled
@pytest.mark.parametrize("member", [member for member in ALL if not member.startswith(BOUND)])
def test_null_nul_and_another_type_are_refused_with_the_pointer(member: str) -> None:
    nul = ["a\0b"] if ALL[member] == "string" else []
    for value in (None, *nul, members.WRONG[ALL[member]]):
        document, pointer = members.containing(member, value)
        found, refused = read(document)
        assert found is None
        assert touches(pointer, refused), refused
        if member in {*ocischema.ELSEWHERE, *WINDOWS}:
            continue  # refused, or removed, as a whole
        with pytest.raises(HardeningError, match="is expected") as caught:
            require_shape(document)
        assert pointer in str(caught.value)
        for name in ("crun", "runc"):
            assert pointer in {item.pointer for item in members.ignored(name, document, host())}


@sampled
@pytest.mark.parametrize("member", [member for member in ALL if not member.startswith(BOUND)])
def test_what_is_empty_is_refused_or_as_if_it_were_not_there_unless_it_is_enforced(member: str) -> None:
    document, pointer = members.containing(member, members.EMPTY[ALL[member]])
    found, refused = read(document)
    above, _, key = pointer.rpartition("/")
    if found is None:
        assert touches(above, refused), refused
        return
    del lookup(document, above)[key]
    without, _ = read(document)
    enforced = [
        other for other in LEAVES if f"{other}/".startswith(f"{member}/") and table()[other].native != "refused"
    ]
    assert enforced or (without is not None and attrs_of(found) == attrs_of(without))


@sampled
@pytest.mark.parametrize("member", LEAVES)
def test_apply_takes_what_is_empty_or_refuses_it_with_its_pointer(member: str) -> None:
    document, pointer = members.containing(member, members.EMPTY[ALL[member]])
    refused = ""
    try:
        tightened(document)
    except HardeningError as error:
        refused = str(error)
    assert not refused or pointer.rpartition("/")[0] in refused


@sampled
@pytest.mark.parametrize("member", ALL)
def test_a_member_in_another_case_is_none(member: str) -> None:
    value = members.values(member, ALL[member])[0]
    _, _, key = member.rpartition("/")
    for word in variants(key):
        document, pointer = members.containing(member, value, word)
        if not member.startswith("/linux/seccomp/syscalls/"):  # bound by the digest, whatever is in it
            found, refused = read(document)
            assert found is None
            assert touches(pointer, refused), refused
        if any(member.startswith(f"{part}/") for part in ocischema.ELSEWHERE):
            continue
        kept, unknown = without_unknown(document)
        assert lookup(kept, pointer) is None
        assert pointer in {item.pointer for item in unknown}
        for name in ("crun", "runc"):
            assert pointer in {item.pointer for item in members.ignored(name, document, host())}


@sampled
@pytest.mark.parametrize("member", ALL)
def test_a_member_that_stands_twice_is_refused_with_its_pointer(member: str) -> None:
    document, pointer = members.containing(member, "MEMBER")
    key = json.dumps(pointer.rpartition("/")[2])
    text = json.dumps(document).replace(f'{key}: "MEMBER"', f"{key}: null, {key}: null")
    for parse in (jsontext.parse, from_apply):
        with pytest.raises(HardeningError, match="is given twice") as caught:
            parse(text.encode(), "config.json")
        assert str(caught.value).startswith(f"config.json:{pointer}: ")


def from_apply(text: bytes, origin: str) -> object:
    from hardening.assemble.bundle import parse_config

    try:
        return parse_config(text, origin)
    except LaunchError:
        pytest.fail("apply is not a launch")
