"""Generate ``_libc.py`` and ``_libseccomp.py``: ``python -m hardening.base.linux.bindings_build``.

Out-of-line ABI mode needs no compiler and imports in about a millisecond. Of the C library only ``syscall(2)`` is taken, so
that glibc and musl behave alike, beside the layout of the kernel's structures; libseccomp's declarations are those of
seccomp_init(3) and its other manual pages.
"""

from __future__ import annotations

from pathlib import Path

LIBC = """
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
LIBSECCOMP = """
struct scmp_version { unsigned int major; unsigned int minor; unsigned int micro; };
typedef void *scmp_filter_ctx;
typedef uint64_t scmp_datum_t;
struct scmp_arg_cmp { unsigned int arg; int op; scmp_datum_t datum_a; scmp_datum_t datum_b; };

static const int SCMP_FLTATR_ACT_BADARCH = 2;
static const int SCMP_FLTATR_CTL_NNP = 3;
static const int SCMP_FLTATR_CTL_OPTIMIZE = 8;
static const int SCMP_CMP_NE = 1;
static const int SCMP_CMP_LT = 2;
static const int SCMP_CMP_LE = 3;
static const int SCMP_CMP_EQ = 4;
static const int SCMP_CMP_GE = 5;
static const int SCMP_CMP_GT = 6;
static const int SCMP_CMP_MASKED_EQ = 7;

const struct scmp_version *seccomp_version(void);
unsigned int seccomp_api_get(void);
int seccomp_api_set(unsigned int level);
scmp_filter_ctx seccomp_init(uint32_t def_action);
void seccomp_release(scmp_filter_ctx ctx);
uint32_t seccomp_arch_native(void);
uint32_t seccomp_arch_resolve_name(const char *arch_name);
int seccomp_arch_add(scmp_filter_ctx ctx, uint32_t arch_token);
int seccomp_arch_remove(scmp_filter_ctx ctx, uint32_t arch_token);
int seccomp_attr_set(scmp_filter_ctx ctx, int attr, uint32_t value);
char *seccomp_syscall_resolve_num_arch(uint32_t arch_token, int num);
int seccomp_syscall_resolve_name_arch(uint32_t arch_token, const char *name);
int seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int syscall, unsigned int arg_cnt,
                           const struct scmp_arg_cmp *arg_array);
int seccomp_export_bpf(const scmp_filter_ctx ctx, int fd);
void free(void *ptr);
"""
#: The declarations of each module.
MODULES = {"_libc": LIBC, "_libseccomp": LIBSECCOMP}


def generate(folder: Path) -> None:
    """Write the generated modules into a folder; needs the ``cffi`` package, which only this step imports."""
    from cffi import FFI

    for name, declarations in MODULES.items():
        ffi = FFI()
        ffi.set_source(f"hardening.base.linux.{name}", None)
        ffi.cdef(declarations)
        ffi.emit_python_code(str(folder / f"{name}.py"))


if __name__ == "__main__":
    generate(Path(__file__).parent)
