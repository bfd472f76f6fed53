"""Programs that do what one set of Landlock's rules permits and another one does not (landlock(7))."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hardening.mechanism.evidence import Witness
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_landlock.settings import ANY, MOST_PORT, PLACES, PORTS, LandlockSettings

#: Why no program shows these.
_SILENT: Mapping[str, str] = MappingProxyType(
    {"execute": "it takes a program in a place where all others are denied",
     "ioctl": "it takes a device in a place where all others are denied",
     "mounts": "it takes rights over mounts, which capabilities and the filter decide first",
     **dict.fromkeys(("abstract_sockets", "signals"), "it takes a process outside that has a part in it")}
)  # fmt: skip
#: Places that roots have, for rules that permit all of them; the first ones are no part of how a program starts.
_USUAL = ("/tmp", "/var", "/etc", "/proc", "/usr")  # noqa: S108
_CONNECTS = """\
import socket
try:
    socket.socket().connect(("127.0.0.1", {port}))
except ConnectionRefusedError:
    pass  # nobody listens there: it was tried"""


def witness(
    settings: LandlockSettings, context: Context, leaf: Leaf, value: object, floor: object
) -> Iterator[Witness]:
    """What no process outside has a part in: files and ports."""
    if leaf.setting in _SILENT:
        yield Witness(_SILENT[leaf.setting])
    if not isinstance(value, tuple) or not isinstance(floor, tuple):
        return
    if leaf.setting in ("read", "write"):
        for place in _beyond(value, floor):
            if leaf.setting == "read":
                yield Witness(f"lists {place}", f"os.listdir({place!r})")
            else:
                yield Witness(f"makes a file in {place}", f"os.open({place!r}, os.O_TMPFILE | os.O_WRONLY, 0o600)")
    elif leaf.setting in ("bind", "connect"):
        ports = range(MOST_PORT, 0, -1) if value == (ANY,) else map(int, value)
        port = next(port for port in ports if not PORTS.is_no_looser_than((str(port),), floor))
        attempt = f'import socket\nsocket.socket().bind(("127.0.0.1", {port}))'
        does = "binds" if leaf.setting == "bind" else "connects to"
        yield Witness(f"{does} port {port}", attempt if does == "binds" else _CONNECTS.format(port=port))


def _beyond(value: tuple[str, ...], floor: tuple[str, ...]) -> Iterator[str]:
    """Places that the one permits and the other does not."""
    for word in value:
        for usual in _USUAL if word == "/" else ("",):
            place = posixpath.join(word, usual)
            if not PLACES.is_no_looser_than((place,), floor):
                yield place
