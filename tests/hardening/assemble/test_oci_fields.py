"""The fields of the specification, and keys that only another parser takes for one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hardening.assemble.foreign import require_shape
from hardening.assemble.oci_fields import CONFIG, Each, taken_for, unknown, without_unknown
from tests.support import bundles

VALUES = {int: 1, str: "x", bool: True}


def whole(shape: Any) -> Any:
    """A value with every field that a shape has."""
    if isinstance(shape, type):
        return VALUES[shape]
    if isinstance(shape, list):
        return [whole(shape[0]), whole(shape[0])]
    if isinstance(shape, Each):
        return {"Any.Name": whole(shape.shape)}
    return {key: whole(inner) for key, inner in shape.items()}


def variants(key: str) -> Iterator[str]:
    """Keys that Go's encoding/json takes for a key."""
    spelt = [key.upper(), key.lower(), key.swapcase(), key[0].upper() + key[1:]]
    spelt += [key.replace("s", "ſ"), key.replace("k", "\N{KELVIN SIGN}")]
    yield from (word for word in dict.fromkeys(spelt) if word != key)


def with_variants(value: Any, shape: Any, loosened: Any = "x") -> tuple[Any, int]:
    """A value with every variant of every key of every object beside or before the key itself, and how many these are."""
    if isinstance(shape, list):
        found = [with_variants(item, shape[0], loosened) for item in value]
        return [item for item, _ in found], sum(count for _, count in found)
    if isinstance(shape, Each):
        found_by = {key: with_variants(item, shape.shape, loosened) for key, item in value.items()}
        return {key: item for key, (item, _) in found_by.items()}, sum(count for _, count in found_by.values())
    if not isinstance(shape, Mapping):
        return value, 0
    result: dict[str, Any] = {}
    total = 0
    for key, inner in shape.items():
        added = [word for word in variants(key) if word not in shape]
        result |= dict.fromkeys(added[::2], loosened)
        if key in value:
            result[key], count = with_variants(value[key], inner, loosened)
            total += count
        result |= dict.fromkeys(added[1::2], loosened)
        total += len(added)
    return result, total


def test_every_field_stays_and_has_its_type() -> None:
    document = whole(CONFIG)
    require_shape(document)
    assert without_unknown(document) == (document, [])


def test_no_other_spelling_of_a_field_stays_at_any_depth() -> None:
    document = whole(CONFIG)
    hostile, count = with_variants(document, CONFIG)
    kept, found = without_unknown(hostile)
    assert kept == document
    assert len(found) == len({item.pointer for item in found}) == count > 500
    # The long s and the Kelvin sign, too, are letters that Go folds.
    assert all(item.taken_for and item.taken_for in str(item) for item in found)


@pytest.mark.parametrize(("key", "field"), [("Uid", ""), ("PROCESS", "process"), ("hooKs", "hooks"), ("proceß", "")])
def test_a_key_is_taken_for_a_field_as_go_folds_it(key: str, field: str) -> None:
    assert taken_for(key) == field


def test_a_key_that_no_parser_knows_goes_too() -> None:
    document = {"process": {"user": {"uid": 1, "new": 2}}, "mounts": [{"destination": "/", "new": 1}], "vm": {"a": 1}}
    kept, found = without_unknown(document, ["/vm"])
    assert kept == {"process": {"user": {"uid": 1}}, "mounts": [{"destination": "/"}], "vm": {"a": 1}}
    assert [(item.pointer, item.taken_for) for item in found] == [("/process/user/new", ""), ("/mounts/0/new", "")]


def test_names_of_ones_own_keep_their_case() -> None:
    document = {
        "annotations": {"Process": "x"},
        "linux": {"sysctl": {"Kernel.X": "1"}, "resources": {"unified": {"Limit": "1"}}},
    }
    assert list(unknown(document)) == []


def test_our_own_configurations_have_known_fields_only() -> None:
    assert list(unknown(json.loads(json.dumps(bundles.config("true"))))) == []
