"""The module `os` without its preparations, which take 1.5 ms at every start: what the interpreter's own `posix` has.

It lacks what `os` writes in Python (`os.path`, `os.fsencode`, `os.environ` as text …): `hardening.base.files` has what
the launcher needs of that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
else:
    import posix as os

__all__ = ["os"]
