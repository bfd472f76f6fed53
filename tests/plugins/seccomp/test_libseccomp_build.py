"""The committed declarations are those of the build module, and those of the header."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from hardening_seccomp import libseccomp_build

CONSTANT = re.compile(r"static const int (\w+) = (\d+);")


def test_the_generated_module_is_not_stale() -> None:
    assert libseccomp_build.GENERATED.read_text(encoding="utf-8") == libseccomp_build.generate(), (
        "run python -m hardening_seccomp.libseccomp_build"
    )


def test_constants_and_sizes_are_those_of_the_header(tmp_path: Path) -> None:
    from hardening_seccomp._libseccomp import ffi

    constants = CONSTANT.findall(libseccomp_build.DECLARATIONS)
    lines = [f"_Static_assert({name} == {value}, {name!r});".replace("'", '"') for name, value in constants]
    kinds = ("struct scmp_version", "struct scmp_arg_cmp")
    lines += [f'_Static_assert(sizeof({kind}) == {ffi.sizeof(kind)}, "{kind}");' for kind in kinds]
    lines += [
        f'_Static_assert(__builtin_offsetof(struct scmp_arg_cmp, {field}) == {layout.offset}, "{field}");'
        for field, layout in ffi.typeof("struct scmp_arg_cmp").fields
    ]
    source = tmp_path / "check.c"
    source.write_text("#include <seccomp.h>\n" + "\n".join(lines) + "\n")
    subprocess.run(["gcc", "-fsyntax-only", str(source)], check=True)
    assert len(constants) == 10
