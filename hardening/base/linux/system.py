"""The modules `os` and `signal` without their preparations, which take 1.5 ms and 4 ms at every start: what the
interpreter's own `posix` and `_signal` have.

`posix` lacks what `os` writes in Python (`os.path`, `os.fsencode`, `os.environ` as text …): `hardening.base.files` has what
the launcher needs of that. `_signal` lacks the enumerations: its signals are numbers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    import signal
else:
    import _signal as signal
    import posix as os

__all__ = ["os", "signal"]
