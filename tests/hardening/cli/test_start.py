"""What is opened for the launcher right before it starts."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from hardening.cli import start
from hardening.errors import UsageError
from hardening.launch.config.bundle import SECRETS

ROWS = [{"name": "db", "type": "mount", "target": "/run/secrets/db"}]


class Engine:
    """Of a runtime, what is asked here."""

    name = "other"

    def __init__(self, *, takes: bool) -> None:
        self.takes_secrets = takes


def opened(document: dict[str, Any], *, takes: bool = True) -> int:
    here: Any = None  # whose plugins are only asked where there is something to open
    engine: Any = Engine(takes=takes)
    return start.secrets(here, engine, json.dumps(document).encode())


def test_without_secrets_nothing_is_opened() -> None:
    assert opened({}) == -1
    assert opened({"annotations": {"x": SECRETS}}) == -1
    assert opened({"annotations": {SECRETS: "[]"}}, takes=False) == -1


def test_a_runtime_that_gives_no_secrets_is_not_started_with_any() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UsageError, match="the runtime other does not give secrets") as caught:
        opened({"annotations": {SECRETS: json.dumps(ROWS)}}, takes=False)
    assert caught.value.hint == "use --runtime native, crun or runc"
    assert os.listdir("/proc/self/fd") == before
