"""What the kernel says of a process, as people read it: one process, or a line each of many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hardening.base.pointer import items, lookup
from hardening.base.units import show_size
from hardening.mechanism import idmaps
from hardening.report import verification
from hardening.report.table import Table, in_one
from hardening.report.verification import ReceiptLine
from hardening.runs.inspection import OWN, RunningProcess

_SETS, _LOCKED = "/process/capabilities", "/process/noNewPrivileges"
_UNSET = 2**32 - 1  # of a login uid (audit(8))
_MODES = {"0": "none", "1": "strict", "2": "filter"}


def data(receipt: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, str]:
    """Each fact in words, by its name; ``document`` is the report in the words of an OCI configuration."""
    status = receipt["status"]
    own, caller = receipt["namespaces"], receipt["caller_namespaces"]
    mounts = items(document, "/mounts")
    writable = [item["destination"] for item in mounts if "ro" not in item["options"]]
    shown = [item["destination"] for item in mounts if item["type"] == "bind"]
    login = receipt["loginuid"]
    rlimits = [item for item in items(document, "/process/rlimits") if item["hard"] < 2**63]
    return {
        "pid": str(receipt["pid"]),
        "program": str(receipt["exe"] or "unknown"),
        "user": f"{_user(receipt)}, groups {status['Groups'] or 'none'}",
        "login uid": "none" if login in (None, _UNSET, -1) else str(login),
        "capabilities": _names(items(document, f"{_SETS}/effective")),
        "bounding set": _names(items(document, f"{_SETS}/bounding")),
        "no new privileges": _yes(lookup(document, _LOCKED)),
        "seccomp": _filter(status, document),
        "label": str(receipt["label"] or receipt["apparmor"] or "none"),
        "namespaces": " ".join(name for name in own if own[name] != caller.get(name)) or "none of its own",
        "shared with you": " ".join(name for name in own if own[name] == caller.get(name)) or "none",
        "uid map": _map(receipt["uid_map"]),
        "gid map": _map(receipt["gid_map"]),
        "root": "read-only" if lookup(document, "/root/readonly") else "writable",
        "writable": " ".join(writable) or "nothing",
        "of the host": " ".join(shown) or "nothing",
        "hidden": " ".join(filter(os.path.lexists, items(document, "/linux/maskedPaths"))) or "nothing",
        "limits": " ".join(f"{item['type'][7:].lower()}={item['hard']}" for item in rlimits) or "none",
        "control group": _group(receipt, document),
        "OOM score": str(receipt["oom_score_adj"]),
    }


def table(facts: Mapping[str, str]) -> Table:
    """The facts of one process."""
    return Table(("process", "the kernel says"), tuple(facts.items()), last="the kernel says", folded=True)


def lines(found: Iterable[tuple[RunningProcess, Mapping[str, Any], Mapping[str, Any]]]) -> Table:
    """A line a container: with its report, and that in the words of an OCI configuration."""
    rows = tuple(
        (
            item.name, _other(item), str(item.pid), _user(receipt), str(len(items(document, f"{_SETS}/effective"))),
            _yes(lookup(document, _LOCKED)), _MODES.get(receipt["status"].get("Seccomp", ""), "?"),
            "ro" if lookup(document, "/root/readonly") else "rw",
            " ".join(name for name, link in receipt["namespaces"].items() if link == receipt["caller_namespaces"].get(name)),
        )
        for item, receipt, document in found
    )  # fmt: skip
    columns = ("name", "engine", "pid", "user", "caps", "nnp", "seccomp", "root", "shared with you")
    return Table(columns, rows, last="shared with you", folded=True)


def _other(item: RunningProcess) -> str:
    """The engine, unless that is this one: where it is alone, its column goes."""
    return "" if item.engine == OWN else item.engine


def verdict(lines: Sequence[ReceiptLine]) -> dict[str, Any]:
    """What a process is, held against a stack: ``drift`` are the leaves of which the kernel says something else."""
    drift, hidden = verification.differing(lines), verification.unseen(lines)
    return {"result": "drift" if drift else "not seen" if hidden else "holds", "drift": drift, "not_seen": hidden}


def verdicts(found: Iterable[tuple[RunningProcess, Mapping[str, Any]]]) -> Table:
    """A line a container, with the leaves in which it is not what the stack composes to, or was not seen to be."""
    rows = tuple(
        (item.name, _other(item), str(item.pid), answer["result"], in_one(answer["drift"] or answer["not_seen"]))
        for item, answer in found
    )
    return Table(("name", "engine", "pid", "result", "in"), rows, last="in", folded=True)


def _user(receipt: Mapping[str, Any]) -> str:
    outside = int(receipt["status"]["Uid"].split()[1])
    inside = idmaps.inside(idmaps.parse(receipt["uid_map"]), outside)
    return str(outside) if inside == outside else f"{'unmapped' if inside is None else inside} ({outside})"


def _yes(found: object) -> str:
    return "yes" if found else "no"


def _names(capabilities: list[str]) -> str:
    return " ".join(name.removeprefix("CAP_") for name in capabilities) or "none"


def _filter(status: Mapping[str, str], document: Mapping[str, Any]) -> str:
    mode = _MODES.get(status.get("Seccomp", ""), "unknown")
    count = status.get("Seccomp_filters", "")
    return f"{count} filters" if mode == "filter" and count not in ("", "1") else mode


def _map(text: str) -> str:
    rows = idmaps.parse(text)
    return "that of the host" if [(row.inside, row.outside) for row in rows] == [(0, 0)] else " ".join(map(str, rows))


def _group(receipt: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    limits = {
        name: lookup(document, f"/linux/resources/{name}") for name in ("pids/limit", "memory/limit", "cpu/quota")
    }
    values = [f"{name.partition('/')[0]}={_value(value)}" for name, value in limits.items() if value]
    place = next((line.split(":", 2)[2] for line in (receipt["cgroup"] or "").splitlines()), "unknown")
    return " ".join([place, *values])


def _value(number: int) -> str:
    return show_size(number) if number >= 1 << 20 else str(number)
