"""What this program has written itself, and others may have damaged or made: state, receipts, records, cache entries, what
was learnt; and the words of a command line."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hardening.base import jsontext
from hardening.base.digest import sha256
from hardening.base.linux import mountinfo
from hardening.errors import HardeningError
from hardening.launch import cache
from hardening.launch.config import variables
from hardening.launch.config.bundle import EXCEPTIONS, IMAGE, LEASES, MECHANISMS, PROFILES, SECRETS, VARIABLES
from hardening.launch.container import leases
from hardening.launch.container.container_state import DESCRIPTION, LOST
from hardening.launch.container.directory import EXIT
from hardening.launch.record import record
from hardening.launch.secret import secrets
from hardening.learn import layer, recording
from hardening.learn.learning import with_needed
from hardening.mechanism.evidence import LearntStatement
from hardening.profile import fingerprint
from hardening.profile.source import command_line
from hardening.report import containers as report
from hardening.runs import containers, logs, receipt, records
from hardening.testing.mechanisms import gathered
from hardening_trust import annotation as requirements
from tests.fuzz.harness import target
from tests.fuzz.mutate import VALUES, of_json, of_lines


@target(of_json, "hardening.runs.containers hardening.report.containers", short=80)
def container(data: bytes, place: Path) -> None:
    """Three files of a container: it is shown, whatever is wrong with it."""
    try:
        parts = json.loads(data)
        texts = [json.dumps(part).encode() for part in parts][:3]
    except (ValueError, RecursionError, TypeError):
        texts = [data, data, data]
    folder = place / "one"
    folder.mkdir(mode=0o700, exist_ok=True)
    for file, text in zip((DESCRIPTION, EXIT, LOST), (*texts, b"{}", b"{}", b""), strict=False):
        (folder / file).write_bytes(text + b"\n")
    found = containers.read(folder)
    assert found is not None
    report.status(found, 1e9)
    json.dumps(report.data([found])).encode()
    report.table([found], 1e9)


def _receipts() -> list[bytes]:
    return [json.dumps(gathered()).encode()]


@target(of_json, "hardening.runs.receipt", seeds=_receipts, short=100)
def receipt_(data: bytes, place: Path) -> None:
    path = place / "receipt"
    path.write_bytes(data)
    found = receipt.read(path)
    assert found.keys() >= receipt.KEYS


@target(of_lines, "hardening.runs.records hardening.runs.logs")
def record_(data: bytes, _: Path) -> None:
    """A line is a record, one of somebody else's, or counted as wrong; a log's line is one or none."""
    text = data.decode("utf-8", "backslashreplace")
    for source in ("audit", "journald", "file"):
        found, _problems = records.parse(source, text)
        for item in records._merged(found):
            json.dumps(item).encode()
            assert item["event"] in records.EVENTS
    for line in data.split(b"\n"):
        logs.parse(line)


NAMES = (PROFILES, EXCEPTIONS, MECHANISMS, IMAGE, SECRETS, VARIABLES, LEASES, requirements.ANNOTATION)


@target(of_json, "hardening.launch.secret.secrets hardening.launch.container.leases hardening.base.jsontext")
def annotation(data: bytes, _: Path) -> None:
    """What a bundle says of itself, as JSON in annotations: each is read by its reader, or refused."""
    parsed = jsontext.parse(data, "here")
    if not isinstance(parsed, dict):
        parsed = dict.fromkeys(NAMES, parsed)
    said = {name: value if value in VALUES[:9] else json.dumps(value) for name, value in parsed.items()}
    document: dict[str, Any] = {"annotations": said, "process": {"env": ["A=1"]}}
    readers: tuple[Callable[[Any], object], ...] = (
        *(secrets.named, variables.public, requirements.read, lambda item: leases.paths(item, "here")),
        lambda item: record.read_annotations(record.Facts(), item["annotations"], "/annotations"),
    )
    for read in readers:
        try:
            read(document)
        except HardeningError as error:
            str(error).encode()


@target(
    of_lines, "hardening.base.linux.mountinfo hardening.base.jsontext", short=150,
    refusals=(HardeningError, ValueError, IndexError),
)  # fmt: skip
def plan(data: bytes, place: Path) -> None:
    """A cache entry whose sum is right is JSON of one meaning: what is written of it reads back."""
    slot = os.open(place, os.O_RDONLY)
    try:
        (place / cache.FILE).write_bytes(sha256(data).encode() + b"\n" + data)
        found: object = cache.read(slot, str(place))
        assert repr(jsontext.parse(jsontext.dump(found).encode(), "here")) == repr(found)
    finally:
        os.close(slot)
    mountinfo.parse(data.decode("utf-8", "surrogateescape").split("\n"))


def _seen() -> list[bytes]:
    call = {"name": "ioctl", "number": 16, "architecture": 0xC000003E, "arguments": [0, 21505, 0, 0, 0, 0], "often": 3}
    made = {"path": "/tmp/a", "access": ["create", "write"], "error": 13, "text": "open", "programs": ["sh"]}
    needed = {"seccomp.ioctl": jsontext.dump({"seccomp": {"allow": ["ioctl"]}, "exceptions": [{"setting": "x"}]})}
    run = {"id": "a", "day": "2026-11-29", "program": "sh", "kernel": "6.1.0 x86_64", "needed": needed}
    run |= {"peaks": {"files": 4}, "packages": ["dash 0.5"], "files": {"/opt/a": f"sha256:{'0' * 64}"}}
    uses = [{**call, "programs": ["make"]}, {**call, **made}]
    return [json.dumps({"version": recording.VERSION, "runs": [{**run, "uses": uses}]}).encode()]


@target(of_json, "hardening.learn.recording hardening.learn.layer", seeds=_seen, short=200)
def learnt(data: bytes, place: Path) -> None:
    """What runs asked for: it reads back, and the layer of it has what is needed of it, and nothing more."""
    path = place / "seen.json"
    path.write_bytes(data)
    found = recording.read(path)
    recording.write(path, found)
    assert recording.read(path) == found
    if not found.runs:
        return
    comment = "; ".join(f"{use.call.name} {use.call.path}: {use.seen}" for use in found.evidence().uses)
    barred = [layer.Barred(leaf, comment, comment) for leaf in found.needed()]
    statements = with_needed({"seccomp": [LearntStatement(("default",), "deny", comment)]}, found.needed().values())
    wanted = layer.tables(statements, layer.reason(found))
    written = tomllib.loads(layer.text(("strict",), found, statements, barred))
    assert written.pop("description")
    said = command_line(written, {}).root.child("learnt", written["learnt"])
    assert fingerprint.read(said).table() == written.pop("learnt")
    assert written == {"extends": ["strict"], **wanted}


@target(
    of_lines, "hardening.cli.options.says hardening.cli.options.stack", short=60,
    refusals=(HardeningError, click.ClickException, click.exceptions.Exit, click.Abort),
)  # fmt: skip
def words(data: bytes, _: Path) -> None:
    """Words of a command line, to where a command would begin."""
    from hardening.cli.options import says
    from hardening.cli.root import root
    from hardening.cli.session import Session

    arguments = [word for word in data.decode("utf-8", "replace").split("\n") if "\0" not in word]
    parsed = []
    for word in arguments:
        for read in (says.parse_set, says.parse_exception):
            try:
                parsed.append(read(word))
            except HardeningError as error:
                str(error).encode()
    try:
        says.document(parsed)
    except HardeningError as error:
        str(error).encode()
    context: Any = root.make_context("hardening", list(arguments), obj=Session())
    rest = [*context._protected_args, *context.args]
    while rest and isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, rest)
        if command is None:
            return
        context = command.make_context(name, list(rest), parent=context)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
