"""Write ``_libseccomp.py``, the cffi declarations of libseccomp (out-of-line ABI mode: no compiler, no start-up parsing).

Run ``python -m hardening_seccomp.libseccomp_build`` after a change of the declarations and commit the result.
Source of the declarations: seccomp_init(3) and the other libseccomp manual pages.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

DECLARATIONS = """
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

GENERATED = Path(__file__).with_name("_libseccomp.py")


def generate() -> str:
    """The text of the generated module; needs the ``cffi`` package, which only this step imports."""
    from cffi import FFI

    builder = FFI()
    builder.cdef(DECLARATIONS)
    builder.set_source("hardening_seccomp._libseccomp", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "_libseccomp.py")
        builder.emit_python_code(str(path))
        return path.read_text(encoding="utf-8")


def main() -> None:
    """Replace the committed module."""
    GENERATED.write_text(generate(), encoding="utf-8")


if __name__ == "__main__":
    main()
