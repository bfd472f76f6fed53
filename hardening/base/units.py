"""Sizes, spans and points of time, as people write them and as they are shown."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

#: letter -> bytes
FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE_HINT = 'write bytes, or a number with K, M, G or T: "64M"'
TIME_HINT = "write 2026-03-01, 2026-03-01T08:30, 08:30, yesterday, or 10m for ten minutes ago"
_SIZE = r"([0-9]{1,19})\s*([kmgt]?)(?:i?b)?"
_KERNELS = r"([0-9]{1,19})([kmgt]?)"
_SPAN = r"([0-9]{1,9})([smhdw])"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHOWN = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def size(text: str) -> int:
    """Bytes of ``64M``, ``64m``, ``64MB``, ``64 MiB`` or ``67108864``: multiples are binary, as for podman and docker.
    Raises `ValueError`."""
    return _bytes(_SIZE, text.strip())


def kernel_size(text: str) -> int:
    """Bytes of a number as the kernel takes and shows one, with one letter at most (memparse). Raises `ValueError`."""
    return _bytes(_KERNELS, text)


def _bytes(pattern: str, text: str) -> int:
    import re

    found = re.fullmatch(pattern, text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise ValueError(f"invalid size {text!r}")
    return int(found[1]) * FACTORS[found[2].lower()]


def show_size(value: int) -> str:
    """Bytes as the largest binary unit that divides them: 67108864 -> ``64M``."""
    for letter in ("t", "g", "m", "k"):
        if value and value % FACTORS[letter] == 0:
            return f"{value // FACTORS[letter]}{letter.upper()}"
    return str(value)


def span(text: str) -> int:
    """Seconds of ``90s``, ``10m``, ``1h30m``, ``7d`` or ``2w``. Raises `ValueError`."""
    import re

    if not re.fullmatch(f"(?:{_SPAN})+", text):
        raise ValueError(f"invalid duration {text!r}")
    return sum(int(count) * _SECONDS[unit] for count, unit in re.findall(_SPAN, text))


def show_span(seconds: float) -> str:
    """A span in its largest unit: ``3 minutes``."""
    for length, unit in _SHOWN:
        count = int(seconds // length)
        if count > 0:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"


def moment(text: str, now: datetime) -> datetime:
    """A point in time, aware of its offset: a date, a date and time (local, or with an offset), a time of today, ``today``,
    ``yesterday``, or how long before ``now`` (`span`). Raises `ValueError`."""
    from datetime import datetime, time, timedelta

    try:
        before = timedelta(seconds=span(text))
    except ValueError:
        before = None
    try:
        if before is not None:
            return now.astimezone() - before
        midnight = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        if text in ("today", "yesterday"):
            return (midnight - timedelta(days=text == "yesterday")).astimezone()
        if text[2:3] == ":":
            return datetime.combine(midnight.date(), time.fromisoformat(text)).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"invalid time {text!r}") from None


def timestamp(nanoseconds: int, digits: int = 0) -> str:
    """A time since 1970 in RFC 3339, in UTC, with some digits of the second: ``2026-03-01T08:30:00.125Z``."""
    import time

    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"
