"""Generate ``_libc.py``: ``python -m hardening.base.linux.libc_build``.

Out-of-line ABI mode needs no compiler and imports in about a millisecond. Only ``syscall(2)`` is taken from the C
library, so that glibc and musl behave alike, and the layout of the kernel's structures.
"""

from __future__ import annotations

import os
import sys

DECLARATIONS = """
long syscall(long number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f);

struct mount_attr { uint64_t attr_set; uint64_t attr_clr; uint64_t propagation; uint64_t userns_fd; };
struct open_how { uint64_t flags; uint64_t mode; uint64_t resolve; };
struct cap_header { uint32_t version; int pid; };
struct cap_data { uint32_t effective; uint32_t permitted; uint32_t inheritable; };
struct rlimit64 { uint64_t soft; uint64_t hard; };
struct iovec { char *base; size_t len; };
struct msghdr { char *name; uint32_t namelen; struct iovec *iov; size_t iovlen; char *control; size_t controllen;
                int flags; };
struct syscall_info { uint8_t op; uint8_t reserved; uint16_t flags; uint32_t arch; uint64_t ip; uint64_t sp;
                      uint64_t nr; uint64_t args[6]; uint32_t data; };
struct sock_fprog { unsigned short len; char *filter; };
"""


def generate(target: str) -> None:
    """Write the generated module to ``target``."""
    from cffi import FFI

    ffi = FFI()
    ffi.set_source("hardening.base.linux._libc", None)
    ffi.cdef(DECLARATIONS)
    ffi.emit_python_code(target)


if __name__ == "__main__":
    generate(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "_libc.py"))
