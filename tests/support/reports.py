"""What the launcher would write of a process that runs, and one mechanism's verdict on it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble import pipeline
from hardening.assemble.pipeline import examine
from hardening.mechanism.mechanism import Verification
from hardening.runs import receipt
from hardening.testing.mechanisms import gathered
from tests.support import runs
from tests.support.users import User


def report(found: runs.Running) -> dict[str, Any]:
    """A receipt of a command that runs, as it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "receipt")
        path.write_text(json.dumps(gathered(found.pid, found.document, str(found.bundle))))
        return receipt.read(path)


def verdict(
    found: runs.Running, name: str, mechanisms: Sequence[str], *profiles: str, user: User | None = None
) -> list[Verification]:
    """What one of these mechanisms says of a command that runs, held against a stack of TOML texts."""
    with runs.workplace() as folder:
        plugins = runs.installed(mechanisms)
        host = runs.host_of(user, plugins)
        composition = runs.composed(profiles, plugins, host, folder)
        context = examine(composition, host)
        context = attrs.evolve(context, spec=pipeline.assembled(plugins, composition, host, context=context).spec)
        mechanism = plugins.mechanism(name)
        assert mechanism is not None
        return list(mechanism.verify(composition.settings[name], context, report(found)))
