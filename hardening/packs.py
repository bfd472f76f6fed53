"""Packs: the modules of the launch stage that are needed together, compiled into one file (`hardening.launch.compiled`).

They lie with the files that the interpreter compiles itself, and are made under the same conditions: by whoever may write
there, and not where others may, too.
"""

from __future__ import annotations
import __future__

import ast
import fcntl
import marshal
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hardening
from hardening import caches
from hardening.launch import compiled

if TYPE_CHECKING:
    from types import CodeType


def make() -> None:
    """Make each pack that is missing or old. Where that cannot be, the stage starts without."""
    if sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return
    finder = compiled.finder(os.path.dirname(os.path.abspath(hardening.__file__)))
    try:
        for table in compiled.TABLES:
            if finder.packed(table) is None and _counts(Path(finder.pack(table)).parent):
                _write(Path(finder.pack(table)), packed(finder, table))
    except (OSError, SyntaxError, ValueError):
        return


def packed(finder: compiled.Compiled, table: str) -> bytes:
    """The content of a table's pack. Raises `OSError`, and `SyntaxError` or `ValueError` for a source that is being
    written."""
    before = finder.stamps(table)
    codes = [_compiled(finder.source(compiled.full_name(name))) for name in compiled.TABLES[table]]
    if finder.stamps(table) != before:
        raise ValueError("a source is being written")
    content = marshal.dumps((before, marshal.dumps(codes)))
    return compiled.check_value(content) + content


def _compiled(path: str) -> CodeType:
    """A module's code without docstrings, and with its one statement about the future as a flag: to import `__future__`
    takes as long as a module of ours."""
    tree = ast.parse(Path(path).read_bytes(), path)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    code: CodeType = compile(
        tree, path, "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True, optimize=2
    )
    return code


def _counts(folder: Path) -> bool:
    """Whether a pack can be written there, and counts then."""
    return caches.are_believed(str(folder.parent)) and os.access(folder, os.W_OK)


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole. Of one that somebody else is writing nothing is done."""
    # Always the same name, so that the next who writes takes the one over that was killed.
    part = path.with_name(f"{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(part, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if not os.path.samestat(status, os.lstat(part)) or status.st_nlink > 1:
            return  # it had its own name by then, or is another file, too (`hardening.launch.files.open_own`)
        try:
            file.truncate()
            file.write(data)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)  # else a crash of the host could leave the name without the content
            os.replace(part, path)
        except OSError:
            os.unlink(part)
            raise
