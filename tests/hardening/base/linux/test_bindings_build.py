"""The committed modules are those of the declarations, and libseccomp's are those of its header."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hardening.base.linux import bindings_build

CONSTANT = re.compile(r"static const int (\w+) = (\d+);")


@pytest.mark.parametrize("name", bindings_build.MODULES)
def test_the_generated_modules_are_not_stale(name: str, tmp_path: Path) -> None:
    bindings_build.generate(tmp_path)
    committed = Path(bindings_build.__file__).with_name(f"{name}.py")
    assert (tmp_path / f"{name}.py").read_text() == committed.read_text(), "run it anew"


def test_constants_and_sizes_are_those_of_the_header(tmp_path: Path) -> None:
    from hardening.base.linux._libseccomp import ffi

    constants = CONSTANT.findall(bindings_build.LIBSECCOMP)
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
