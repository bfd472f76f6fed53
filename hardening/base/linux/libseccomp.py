"""What libseccomp 2.5 or newer knows of system calls and architectures; it is opened when `Libseccomp.load` is called."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.errors import HostError

LIBRARY = "libseccomp.so.2"
OLDEST = (2, 5, 0)  # SCMP_FLTATR_CTL_OPTIMIZE, and the 64-bit comparisons repaired in 2.4 (CVE-2019-9893)
INSTALL = "install libseccomp 2.5 or newer (Debian, Ubuntu: libseccomp2; Fedora, SUSE: libseccomp)"
NO_SYSCALL = -1
MOST = (1 << 31) - 1  # the library's numbers are of type int

#: Where the numbers of an architecture begin (asm/unistd.h).
_FIRST_NUMBERS = MappingProxyType(
    {
        "x32": 0x40000000,
        **dict.fromkeys(("mips", "mipsel"), 4000),
        **dict.fromkeys(("mips64", "mipsel64"), 5000),
        **dict.fromkeys(("mips64n32", "mipsel64n32"), 6000),
    }
)
#: The calls that libseccomp 2.5 may be too young to know, by the kernel's number (scripts/syscall.tbl): from 424 on a call
#: has one number on every architecture, counted from where its numbers begin.
YOUNG = MappingProxyType(
    {
        name: 424 + place
        for place, name in enumerate(
            (
                *(
                    "pidfd_send_signal",
                    "io_uring_setup",
                    "io_uring_enter",
                    "io_uring_register",
                    "open_tree",
                    "move_mount",
                ),
                *("fsopen", "fsconfig", "fsmount", "fspick", "pidfd_open", "clone3", "close_range", "openat2"),
                *("pidfd_getfd", "faccessat2", "process_madvise", "epoll_pwait2", "mount_setattr", "quotactl_fd"),
                *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "memfd_secret"),
                *("process_mrelease", "futex_waitv", "set_mempolicy_home_node", "cachestat", "fchmodat2"),
                *("map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "statmount", "listmount"),
                *("lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat", "getxattrat"),
                *("listxattrat", "removexattrat", "open_tree_attr", "file_getattr", "file_setattr"),
            )
        )
    }
)
_YOUNG_NAMES = MappingProxyType({number: name for name, number in YOUNG.items()})


@frozen
class Libseccomp:
    """An opened library, ``lib`` as cffi has it; two of one version are equal."""

    ffi: Any = attrs.field(eq=False)
    lib: Any = attrs.field(eq=False)
    version: tuple[int, int, int]

    @classmethod
    def load(cls, name: str = LIBRARY) -> Libseccomp:
        """Open the library; `HostError` where it is missing or older than 2.5."""
        from hardening.base.linux._libseccomp import ffi

        try:
            lib = ffi.dlopen(name)
            found = lib.seccomp_version()
        except (OSError, ffi.error) as error:
            raise HostError(f"{name} cannot be opened: {error}", hint=INSTALL) from error
        version = (int(found.major), int(found.minor), int(found.micro))
        if version < OLDEST:
            text = ".".join(map(str, version))
            raise HostError(f"{name} is version {text}, which builds some filters wrongly", hint=INSTALL)
        # Filters are only built here, so what this kernel supports must not decide what they can hold.
        level = next(level for level in range(16, 0, -1) if lib.seccomp_api_set(level) == 0 or level == 1)
        if level < 3:
            raise HostError(f"{name} knows no LOG and KILL_PROCESS actions", hint=INSTALL)
        return cls(ffi, lib, version)

    def native(self) -> int:
        """The architecture token (AUDIT_ARCH_*) of this process."""
        return int(self.lib.seccomp_arch_native())

    def architecture(self, name: str) -> int | None:
        """The token of ``x86_64``, ``aarch64``, ``x86`` …; None where the library does not know it."""
        token = int(self.lib.seccomp_arch_resolve_name(name.encode()))
        return token or None

    def resolved(self, token: int, name: str) -> int | None:
        """The number of a system call as the library knows it, and with it crun and runc: negative for one that only other
        architectures have, None if unknown to all."""
        number = int(self.lib.seccomp_syscall_resolve_name_arch(token, name.encode()))
        return None if number == NO_SYSCALL else number

    def number(self, token: int, name: str) -> int | None:
        """The same, also of a call that is younger than the library (`YOUNG`)."""
        number = self.resolved(token, name)
        return self._first(token) + YOUNG[name] if number is None and name in YOUNG else number

    def _first(self, token: int) -> int:
        return next((base for name, base in _FIRST_NUMBERS.items() if self.architecture(name) == token), 0)

    def has(self, token: int, name: str) -> bool:
        """Whether an architecture has a system call, by itself or behind another."""
        number = self.number(token, name)
        return number is not None and number >= 0

    def name(self, token: int, number: int) -> str | None:
        """The name of a number, or None."""
        own = self._resolved_name(token, number)
        young = _YOUNG_NAMES.get(number - self._first(token)) if own is None else None
        return young if young is not None and self.resolved(token, young) is None else own

    def names(self, token: int) -> dict[str, int]:
        """All system calls of an architecture, by name."""
        start = self._first(token)
        numbers = ((self._resolved_name(token, number), number) for number in range(start, start + 1024))
        young = {name: start + number for name, number in YOUNG.items() if self.resolved(token, name) is None}
        return {name: number for name, number in numbers if name is not None} | young

    def _resolved_name(self, token: int, number: int) -> str | None:
        if number > MOST:
            return None
        text = self.lib.seccomp_syscall_resolve_num_arch(token, number)
        if text == self.ffi.NULL:
            return None
        try:
            return bytes(self.ffi.string(text)).decode()
        finally:
            self.lib.free(text)
