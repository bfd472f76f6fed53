"""Containers as a table, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from hardening.base.units import show_span, timestamp
from hardening.report.table import Table
from hardening.runs.containers import EXITED, Container


def table(containers: Sequence[Container], now: float) -> Table:
    """The containers as people read them; ``now`` is the time in seconds since 1970."""
    rows = tuple(
        (
            item.id,
            item.name,
            shlex.join(item.command),
            item.profiles,
            item.runtime,
            f"{show_span(now - item.created)} ago",
            status(item, now),
        )
        for item in containers
    )
    columns = ("id", "name", "command", "profiles", "runtime", "started", "status")
    return Table(columns, rows, last="command", narrow=("runtime", "profiles", "started"))


def status(container: Container, now: float) -> str:
    """The status in words."""
    if container.end is None:
        return container.status
    why = f", {container.end.why}" if container.end.why else ""
    code = f" ({container.end.code}{why})" if container.status == EXITED else ""
    return f"{container.status}{code} {show_span(now - container.end.finished)} ago"


def data(containers: Sequence[Container]) -> list[dict[str, Any]]:
    """The containers as JSON data; times in RFC 3339."""
    return [
        {
            "id": item.id,
            "name": item.name,
            "command": list(item.command),
            "profiles": item.profiles,
            "runtime": item.runtime,
            "detached": item.detached,
            "started": _time(item.created),
            "status": item.status,
            "pid": item.process.pid if item.running and item.process is not None else None,
            "launcher_pid": item.launcher.pid if item.running and item.launcher is not None else None,
            "exit_code": item.end.code if item.end is not None else None,
            "reason": item.end.why or None if item.end is not None else None,
            "finished": _time(item.end.finished) if item.end is not None else None,
            "damage": item.damage or None,
            "lost_output": {"bytes": item.lost.bytes, "reason": item.lost.reason} if item.lost is not None else None,
        }
        for item in containers
    ]


def _time(seconds: float) -> str:
    return timestamp(int(seconds * 10**9), 3)
