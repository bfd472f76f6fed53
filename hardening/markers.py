"""Environment markers: the conditions that stand after a ``;`` in what a distribution requires (packaging.python.org,
"Dependency specifiers"). They are read as what they are in Python's own syntax, which is all of them but ``~=``."""

from __future__ import annotations

import ast
import os
import platform
import sys
from collections.abc import Mapping
from types import MappingProxyType

from hardening.pluginchecks import holds

_OPERATORS: Mapping[type[ast.cmpop], str] = MappingProxyType(
    {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
)
#: The variables that are versions.
_VERSIONS = ("implementation_version", "python_full_version", "python_version")


def applies(marker: str) -> bool:
    """Whether a condition is true of this interpreter and system. Nobody has asked for an extra. One that cannot be read is
    true, so that what it goes with is looked at."""
    try:
        return _truth(ast.parse(marker, mode="eval").body, _environment())
    except (SyntaxError, KeyError, ValueError):
        return True


def _environment() -> Mapping[str, str]:
    system, full = os.uname(), platform.python_version()
    return {
        "extra": "",
        "implementation_name": sys.implementation.name,
        "implementation_version": full,
        "os_name": os.name,
        "platform_machine": system.machine,
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": system.release,
        "platform_system": system.sysname,
        "platform_version": system.version,
        "python_full_version": full,
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _truth(node: ast.expr, environment: Mapping[str, str]) -> bool:
    """Raises `KeyError` or `ValueError` for what is no marker."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, environment) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, environment) for part in parts)
        case ast.Compare(left=one, ops=[operator], comparators=[other]):
            left, right = _text(one, environment), _text(other, environment)
        case _:
            raise ValueError(node)
    if isinstance(operator, ast.In | ast.NotIn):
        return (left in right) is isinstance(operator, ast.In)
    word = _OPERATORS[type(operator)]
    if any(isinstance(side, ast.Name) and side.id in _VERSIONS for side in (one, other)):
        return holds(left, word, right)
    if word not in ("==", "!="):
        raise ValueError(node)  # texts have no order
    return (left == right) is (word == "==")


def _text(node: ast.expr, environment: Mapping[str, str]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return environment[name]
    raise ValueError(node)
