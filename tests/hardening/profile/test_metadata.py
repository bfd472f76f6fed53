"""What profiles say of themselves: read, told, and true of the shipped ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import ProfileError
from hardening.launch.config.bundle import PROFILES
from hardening.launch.record import record
from hardening.profile.metadata import Controls, Metadata
from hardening.report import data, settings
from tests.support import shipped
from tests.support.texts import layer as layer_of

TEXT = """
[profile]
title = "Orders"
owner = "Payments"
contact = "payments@example.com"
version = "3.1"
[[profile.controls]]
framework = "NIST SP 800-53"
version = "5.1.1"
ids = ["AC-6", "SC-39"]
mapping = "2"
"""
_USUAL = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
#: What each control of CIS' benchmark that a shipped profile names asks of its composition.
ASKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "5.3": lambda s: not s["capabilities"].added - _USUAL,
    "5.4": lambda s: s["seccomp"].syscalls.named["init_module"].leaves[0] != "allow",
    "5.9": lambda s: s["namespaces"].net == "private",
    "5.12": lambda s: s["rootfs"].read_only,
    "5.15": lambda s: s["namespaces"].pid == "private",
    "5.16": lambda s: s["namespaces"].ipc == "private",
    "5.17": lambda s: not s["rootfs"].devices.having(True),
    "5.19": lambda s: s["rootfs"].propagation != "shared",
    "5.20": lambda s: s["namespaces"].uts == "private",
    "5.21": lambda s: s["seccomp"].syscalls.rest.leaves[0] != "allow",
    "5.25": lambda s: s["capabilities"].no_new_privileges,
    "5.30": lambda s: s["namespaces"].user == "private",
}


def test_a_layer_says_whose_it_is_and_what_it_serves() -> None:
    layer = layer_of(TEXT)
    controls = Controls("NIST SP 800-53", "5.1.1", ("AC-6", "SC-39"), "2")
    assert layer.metadata == Metadata("Orders", "Payments", "payments@example.com", "3.1", (controls,))
    assert data.layer(layer)["profile"]["controls"][0]["ids"] == ["AC-6", "SC-39"]
    assert settings.metadata([layer]).rows == ((layer.name, "Orders 3.1", "Payments, payments@example.com", ""),)
    assert str(controls) == "NIST SP 800-53 5.1.1: AC-6, SC-39 (mapping 2)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[profile]\nownr = "x"', ':2: profile.ownr: unknown key\nhint: did you mean "owner"?'),
        ("[profile]\nversion = 1.0", ":2: profile.version: a float where a string is expected"),
        ('[profile]\ntitle = "a\\nb"', ":2: profile.title: must be a line of text"),
        ('[profile.controls]\nframework = "x"', "a table where an array is expected\nhint: write [[profile.c"),
        ('[[profile.controls]]\nframework = "x"\nids = ["1"]', ":1: profile.controls[0]: version is missing"),
        ('[[profile.controls]]\nframework = "x"\nversion = "1"\nids = []', ":4: profile.controls[0].ids: names no control"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_an_error_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        layer_of(text)
    assert says in str(caught.value)


def test_a_record_has_version_and_owner(tmp_path: Path) -> None:
    with chdir(tmp_path):
        assembly = shipped.assembled(
            [shipped.layer(tmp_path, "mine", 'extends = "default"\n' + TEXT)], ["true"], tmp_path
        )
    facts = record.Facts()
    record.read_annotations(facts, dict(assembly.spec.document["annotations"]), "/annotations")
    said = {row["name"]: row for row in facts.profiles}
    assert (said["mine"]["version"], said["mine"]["owner"]) == ("3.1", "Payments")
    assert PROFILES in assembly.spec.document["annotations"]


SHIPPED = [path.stem for path in shipped.FILES]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_shipped_profile_says_that_it_serves_it_does(name: str, tmp_path: Path) -> None:
    with chdir(tmp_path):
        composition = shipped.composed([name])
    metadata = composition.stack.layers[-1].metadata
    assert metadata is not None
    cis = next(item for item in metadata.controls if item.framework.startswith("CIS"))
    assert [one for one in cis.ids if not ASKS[one](dict(composition.settings))] == []
    assert all(item.mapping for item in metadata.controls)
