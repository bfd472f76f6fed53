"""The JSON Schema of config.json that the OCI runtime specification comes with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT7

from hardening.base.pointer import lookup

#: Of Debian's package golang-github-opencontainers-specs-dev.
FOLDER = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
TOP = "config-schema.json"
#: Parts that are for other systems, with all below them.
ELSEWHERE = ("/solaris", "/windows", "/vm", "/zos")


@cache
def _files() -> Mapping[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}


@cache
def validator() -> jsonschema.Draft7Validator:
    """The JSON Schema of config.json, with those that it refers to."""
    resources = [(f"file:///{name}", DRAFT7.create_resource(document)) for name, document in _files().items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return jsonschema.Draft7Validator({"$ref": f"file:///{TOP}"}, registry=registry)


def members() -> Iterator[tuple[str, str]]:
    """The way to each member of the configuration of a Linux container, and its type; `*` stands for the index of an item
    and for a name of one's own. Items that are no objects are told with their list."""
    yield from _members(_files()[TOP], TOP, "")


def _members(schema: Mapping[str, Any], file: str, place: str) -> Iterator[tuple[str, str]]:
    for part, home in _parts(schema, file):
        for key, inner in part.get("properties", {}).items():
            kind = next(found["type"] for found, _ in _parts(inner, home) if "type" in found)
            yield f"{place}/{key}", kind
            if f"{place}/{key}" not in ELSEWHERE:
                yield from _members(inner, home, f"{place}/{key}")
        for key in ("items", "additionalProperties"):
            if isinstance(part.get(key), dict):
                yield from _members(part[key], home, f"{place}/*")


def _parts(schema: Mapping[str, Any], file: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """A schema without its references, each part with the file that it stands in."""
    yield schema, file
    for each in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        yield from _parts(each, file)
    if "$ref" in schema:
        name, _, pointer = schema["$ref"].partition("#")
        yield from _parts(lookup(_files()[name or file], pointer), name or file)
