"""Programs that use a capability which one stack gives and another one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hardening.mechanism.evidence import Witness, unless
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_capabilities.table import BY_NAME

_FILE = "import tempfile\nwith tempfile.NamedTemporaryFile() as file:\n    "
#: What it takes a capability for, where a few lines do it and a filter usually lets them (capabilities(7)).
_DEEDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "CHOWN": ("gives a file of its own to another user", f"{_FILE}os.chown(file.name, os.geteuid() + 1, -1)"),
        "NET_BIND_SERVICE": ("binds a port below 1024", 'import socket\nsocket.socket().bind(("127.0.0.1", 1))'),
        "NET_RAW": ("opens a raw socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
        "SETGID": ("takes another group", "os.setresgid(-1, os.getegid() + 1, -1)"),
        "SETUID": ("takes another user", "os.setresuid(-1, os.geteuid() + 1, -1)"),
        "SYS_ADMIN": ("sets the host name", 'import socket\nsocket.sethostname("witness")'),
        "SYS_CHROOT": ("takes another root", 'os.chroot("/")'),
        "SYS_NICE": ("goes before others", "os.setpriority(os.PRIO_PROCESS, 0, -1)"),
    }
)
_STATUS = 'status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))'


def witness(
    settings: CapabilitiesSettings, context: Context, leaf: Leaf, value: object, floor: object
) -> Iterator[Witness]:
    """What a capability is for, and that the kernel has it in the effective set: a filter may refuse the first."""
    if leaf.setting == "no_new_privileges":
        attempt = unless('int(status["NoNewPrivs"]) == 0', "no_new_privs is set", _STATUS)
        yield Witness("may gain privileges by execve(2)", attempt)
    elif leaf.member in BY_NAME:
        if leaf.member in _DEEDS:
            yield Witness(*_DEEDS[leaf.member])
        held = f'int(status["CapEff"], 16) >> {BY_NAME[leaf.member].number} & 1'
        yield Witness(f"has CAP_{leaf.member} in its effective set", unless(held, f"no CAP_{leaf.member}", _STATUS))
    else:
        yield Witness("it is for capabilities that have no name yet")
