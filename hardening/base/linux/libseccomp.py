"""A small typed surface over libseccomp 2.5 or newer; the library is opened when `Libseccomp.load` is called."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.errors import HardeningError, HostError, SpecError

LIBRARY = "libseccomp.so.2"
OLDEST = (2, 5, 0)  # SCMP_FLTATR_CTL_OPTIMIZE, and the 64-bit comparisons repaired in 2.4 (CVE-2019-9893)
INSTALL = "install libseccomp 2.5 or newer (Debian, Ubuntu: libseccomp2; Fedora, SUSE: libseccomp)"
BINARY_TREE = 2
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
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


@frozen
class Condition:
    """One comparison as libseccomp takes it: for MASKED_EQ ``first`` is the mask and ``second`` the value."""

    argument: int
    operator: str
    first: int
    second: int = 0


@frozen
class Libseccomp:
    """An opened library; two of one version are equal. Methods raise `HardeningError` for what the library refuses."""

    _ffi: Any = attrs.field(eq=False)
    _lib: Any = attrs.field(eq=False)
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
        return int(self._lib.seccomp_arch_native())

    def architecture(self, name: str) -> int | None:
        """The token of ``x86_64``, ``aarch64``, ``x86`` …; None where the library does not know it."""
        token = int(self._lib.seccomp_arch_resolve_name(name.encode()))
        return token or None

    def resolved(self, token: int, name: str) -> int | None:
        """The number of a system call as the library knows it, and with it crun and runc: negative for one that only other
        architectures have, None if unknown to all."""
        number = int(self._lib.seccomp_syscall_resolve_name_arch(token, name.encode()))
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
        text = self._lib.seccomp_syscall_resolve_num_arch(token, number)
        if text == self._ffi.NULL:
            return None
        try:
            return bytes(self._ffi.string(text)).decode()
        finally:
            self._lib.free(text)

    @contextmanager
    def build(
        self, default: int, bad_architecture: int, tokens: Sequence[int], *, tree: bool
    ) -> Iterator[FilterBuilder]:
        """A filter under construction, freed at the end; ``default`` and ``bad_architecture`` are SCMP_ACT_* values.

        A syscall of an architecture outside ``tokens`` gets ``bad_architecture``.
        """
        context = self._lib.seccomp_init(default)
        if context == self._ffi.NULL:
            raise HardeningError(f"libseccomp refuses the default action {default:#x}")
        try:
            builder = FilterBuilder(self._ffi, self._lib, context)
            builder.attribute("SCMP_FLTATR_ACT_BADARCH", bad_architecture)
            builder.attribute("SCMP_FLTATR_CTL_NNP", 0)
            if tree:
                builder.attribute("SCMP_FLTATR_CTL_OPTIMIZE", BINARY_TREE)
            builder.architectures(self.native(), tokens)
            yield builder
        finally:
            self._lib.seccomp_release(context)


@frozen(eq=False)
class FilterBuilder:
    """A filter under construction (seccomp_init(3))."""

    _ffi: Any
    _lib: Any
    _context: Any

    def attribute(self, name: str, value: int) -> None:
        """Set an attribute (seccomp_attr_set(3))."""
        self._done(self._lib.seccomp_attr_set(self._context, getattr(self._lib, name), value), name)

    def architectures(self, native: int, tokens: Sequence[int]) -> None:
        """Make the filter hold exactly ``tokens``; the library starts with the native one."""
        for token in tokens:
            if token != native:
                self._done(self._lib.seccomp_arch_add(self._context, token), f"architecture {token:#x}")
        if native not in tokens:
            self._done(self._lib.seccomp_arch_remove(self._context, native), f"architecture {native:#x}")

    def rule(self, action: int, number: int, conditions: Sequence[Condition], *, what: str) -> None:
        """Add a rule. One that the library already holds is no error; a number that no architecture has is left out."""
        array = self._ffi.new("struct scmp_arg_cmp[]", len(conditions)) if conditions else self._ffi.NULL
        for place, condition in enumerate(conditions):
            item = array[place]
            item.arg = condition.argument
            item.op = getattr(self._lib, f"SCMP_CMP_{condition.operator}")
            item.datum_a, item.datum_b = condition.first, condition.second
        result = self._lib.seccomp_rule_add_array(self._context, action, number, len(conditions), array)
        if result != -errno.EEXIST:
            self._done(result, what)

    def export(self) -> bytes:
        """The BPF program, 8 bytes an instruction in the byte order of this machine (linux/filter.h)."""
        descriptor = os.memfd_create("seccomp-bpf", os.MFD_CLOEXEC)
        try:
            self._done(self._lib.seccomp_export_bpf(self._context, descriptor), "the compiled filter")
            os.lseek(descriptor, 0, os.SEEK_SET)
            parts = []
            while part := os.read(descriptor, 1 << 16):
                parts.append(part)
        finally:
            os.close(descriptor)
        return b"".join(parts)

    def _done(self, result: int, what: str) -> None:
        if result < 0:
            reason = os.strerror(-result)
            raise SpecError(
                f"libseccomp refuses {what}: {reason}", hint="simplify the seccomp rules of this system call"
            )
