"""The receipt: what the kernel reports of a started process, held against its composition.

The launcher writes it as JSON when the command has been executed and before it runs (`hardening.launch.record.receipt`);
docs/reference/receipts.md names its parts. What a process shows of no leaf is not seen, and then a receipt does not hold: a
mechanism has to say of each of its leaves what the kernel said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.base import jsontext, wholefile
from hardening.base.linux import mountinfo
from hardening.base.values import freeze
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError, LaunchError
from hardening.mechanism.mechanism import Context, Mechanism, Verification
from hardening.mechanism.schema import REQUIREMENT, WILDCARD, Family, Leaf

#: What a leaf is named by in a line, itself or its family, and its value.
_Stated = tuple[str, Resolved]
_HINT = "`hardening run --receipt FILE` writes one"
_NUMBERS = ("loginuid", "oom_score_adj")
_ID = r"\d{1,10}"
#: Fields of /proc/PID/status that must be there, and how the kernel writes them.
_STATUS = MappingProxyType(
    {
        **dict.fromkeys(("Uid", "Gid"), rf"{_ID}(\s+{_ID}){{3}}"),
        "Groups": rf"({_ID})?(\s+{_ID})*",
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "[0-9a-f]{16}"),
        "NoNewPrivs": "[01]",
        "Umask": "[0-7]{4}",
    }
)


def _text(form: str = ".*", *, there: bool = True) -> Callable[[object], bool]:
    """Text of one form; None where a kernel may lack it."""
    return lambda value: (
        isinstance(value, str) and re.fullmatch(form, value, re.DOTALL) is not None if value is not None else not there
    )


def _number(*, there: bool = True) -> Callable[[object], bool]:
    fits = _text(r"-?\d{1,10}", there=there)
    return lambda value: fits(str(value) if isinstance(value, int) else value)


def _mapping(*kinds: type | None) -> Callable[[object], bool]:
    """An object whose values are of these types."""
    wanted = tuple(type(None) if kind is None else kind for kind in kinds)
    return lambda value: isinstance(value, dict) and all(isinstance(item, wanted) for item in value.values())


def _list(kind: type, *, there: bool = True) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, list) and all(isinstance(item, kind) for item in value) if value is not None else not there
    )


def _status(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) and re.fullmatch(form, value[name]) for name, form in _STATUS.items()
    )


def _observed(value: object) -> bool:
    names = ("sysctls", "new_sysctls", "uts", "paths", "devices", "nodes", "tree")
    if not isinstance(value, dict) or not all(value.get(key) is None or _mapping(str)(value[key]) for key in names):
        return False
    effects = value.get("effects")
    return effects is None or (isinstance(effects, dict) and all(map(_mapping(str), effects.values())))


def _is_helper(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("exe"), str) or not isinstance(value.get("calls"), list):
        return False
    return all(
        isinstance(call, dict)
        and all(isinstance(call.get(key), int) for key in ("number", "result"))
        and _list(int)(call.get("arguments"))
        and _mapping(str)(call.get("memory"))
        and all(re.fullmatch("([0-9a-f]{2})*", text) for text in call["memory"].values())
        and _mapping(str)(call.get("descriptors"))
        for call in value["calls"]
    )


#: The parts of a receipt, and whether one has the form in which the launcher writes it. What a kernel may lack, or
#: what could not be looked at, is None.
FORMS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "pid": lambda value: isinstance(value, int),
        "status": _status,
        **dict.fromkeys(("uid_map", "gid_map"), _text(rf"( *{_ID} +{_ID} +{_ID}(\n|$))*")),
        **dict.fromkeys(("setgroups", "label", "apparmor", "cwd"), _text(there=False)),
        **dict.fromkeys(("namespaces", "caller_namespaces"), _mapping(str, None)),
        "joined": _list(str),
        **dict.fromkeys(("mountinfo", "caller_mountinfo"), lambda value: _text()(value) or _list(str)(value)),
        "loginuid": _number(there=False),
        "oom_score_adj": _number(),
        "limits": _text(r"(?!.*\d{21}).*"),
        "personality": _text("[0-9a-f]{1,16}", there=False),
        "timens_offsets": _text(r"(\w+ +-?\d+ +\d+(\n|$))*", there=False),
        **dict.fromkeys(("cgroup", "caller_cgroup"), _text(r"(\d+:[^:\n]*:[^\n]*(\n|$))*", there=False)),
        "cgroup_values": _mapping(str),
        "helpers": lambda value: value is None or (isinstance(value, list) and all(map(_is_helper, value))),
        **dict.fromkeys(("tty", "enforce"), lambda value: value is None or isinstance(value, int)),
        "descriptors": _list(int, there=False),
        "environment": lambda value: value is None or _mapping(str, None)(value),
        "seccomp": lambda value: (
            isinstance(value, dict)
            and {"filters", "digest", "caller"} <= value.keys()
            and _list(str, there=False)(value.get("filters"))
            and _text(there=False)(value.get("digest"))
            and isinstance(value.get("caller"), int | None)
        ),
        "observed": _observed,
    }
)
KEYS = frozenset(FORMS)


def read(path: Path) -> dict[str, Any]:
    """Read a receipt, ``mountinfo`` as lines and the two numbers as such; raises `HardeningError` for a file that is
    none."""
    try:
        receipt: Any = jsontext.parse(wholefile.read(path, jsontext.MAX_BYTES), str(path))
    except OSError as error:
        raise HardeningError(f"cannot read the receipt: {error.strerror}", origin=path, hint=_HINT) from None
    except LaunchError as error:
        raise HardeningError(f"not a receipt: {error.message}", origin=error.origin, hint=_HINT) from None
    missing = KEYS - receipt.keys() if isinstance(receipt, dict) else KEYS
    if missing:
        known = isinstance(receipt, dict) and "status" in receipt and "mountinfo" in receipt
        what = "a receipt of an older version" if known else "not a receipt"
        raise HardeningError(f"{what}: it lacks {', '.join(sorted(missing))}", origin=path, hint=_HINT)
    for key in sorted(KEYS):
        if not FORMS[key](receipt[key]):
            raise HardeningError(f"not a receipt: {key} has another form", origin=path, hint=_HINT)
    return parsed(receipt)


def parsed(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """What the launcher has of a process, ``mountinfo`` as lines and the two numbers as such."""
    numbers = {key: int(receipt[key]) for key in _NUMBERS if receipt[key] is not None}
    tables = {key: _lines(receipt[key] or "") for key in ("mountinfo", "caller_mountinfo")}
    return {**receipt, **numbers, **tables}


def _lines(text: str | list[str]) -> list[str]:
    return mountinfo.lines(text) if isinstance(text, str) else text


def verify(composition: Composition, context: Context, receipt: Mapping[str, Any]) -> list[Verification]:
    """Every mechanism's comparison of what was composed (``context.spec``) with what the kernel reports, and a line for each
    leaf that none of them names."""
    receipt = freeze(receipt)
    found: list[Verification] = []
    restricting = context.once(_restricting, composition)
    for mechanism in composition.mechanisms:
        own = list(mechanism.verify(composition.settings[mechanism.name], context, receipt))
        found += own + list(_unseen(mechanism.name, restricting[mechanism.name], own))
    return found


def _unseen(mechanism: str, leaves: Mapping[str, _Stated], lines: Iterable[Verification]) -> Iterator[Verification]:
    """The leaves of a mechanism that restrict something, and that no line names; of a family one line."""
    seen = {name for line in lines for name in (line.leaf, *line.also)}
    lacking: dict[str, str] = {}
    for leaf, (family, resolved) in leaves.items():
        if seen.isdisjoint((leaf, family)):
            lacking.setdefault(family, resolved.shown)
    for name, shown in lacking.items():
        yield Verification.unseen(name, shown, f"{mechanism} does not look at it")


def _restricting(composition: Composition, _: Context) -> dict[str, dict[str, _Stated]]:
    """By mechanism, the leaves that restrict something once the command runs."""
    mechanisms = {mechanism.name: mechanism for mechanism in composition.mechanisms}
    found: dict[str, dict[str, _Stated]] = {name: {} for name in mechanisms}
    for leaf, resolved in composition.leaves.items():
        mechanism = mechanisms[leaf.mechanism]
        if is_before_launch(mechanism, leaf):
            continue
        setting = mechanism.schema.settings[leaf.setting]
        if not setting.kind.is_loosest(resolved.value):
            family = mechanism.leaf(leaf.setting, WILDCARD) if isinstance(setting, Family) else leaf
            found[leaf.mechanism][str(leaf)] = str(family), resolved
    return found


def is_before_launch(mechanism: Mechanism[Any], leaf: Leaf) -> bool:
    """Whether a process shows nothing of a leaf: the core's own setting, and what `Mechanism.before_launch` names."""
    return leaf.setting == REQUIREMENT.name or not {WILDCARD, leaf.setting}.isdisjoint(mechanism.before_launch)
