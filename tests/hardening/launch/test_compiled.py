"""Imports straight from compiled files and packs: the same modules as the import system's, and never a stale one."""

from __future__ import annotations

import _imp
import marshal
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.launch import compiled

STAGE = Path(__file__).parents[3] / "hardening/launch"
MODULES = {
    "__init__": "",
    "one": "from __future__ import annotations\nfrom hardening.launch import two\nVALUE = two.VALUE\n",
    "two": "VALUE = 'first'\n",
    "compiled": (STAGE / "compiled.py").read_text(),
}
SHOW = "print(one.VALUE, type(one.__loader__).__name__, one.__file__, one.__package__)"
TABLE = "from hardening.launch import compiled; compiled.TABLES['some'] = ('two', 'one')"
SCRIPT = STAGE.parents[1] / "scripts/hardening"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A package with modules of that name, compiled."""
    make(tmp_path)
    return tmp_path


def make(place: Path) -> None:
    """Write the modules, and their compiled files."""
    package = place / "hardening/launch"
    package.mkdir(parents=True, exist_ok=True)
    (package.parent / "__init__.py").write_text("")
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(text)
        py_compile.compile(str(package / f"{name}.py"))


def make_pack(place: Path) -> Path:
    """Pack the two modules."""
    code = f"""if True:
        import sys
        sys.path += {sys.path!r}
        from hardening import packs
        {TABLE}
        finder = compiled.finder({str(place / "hardening")!r})
        packs._write(packs.Path(finder.pack('some')), packs.packed(finder, 'some'))
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    return next((place / "hardening/launch/__pycache__").glob("some.*.pack"))


def said(place: Path, code: str, *options: str) -> str:
    """What a program prints that imports from ``place``."""
    names = "load, read_ahead, use"
    code = (
        f"import sys; sys.path.append({str(place)!r}); {TABLE}; from hardening.launch.compiled import {names}; {code}"
    )
    argv = [sys.executable, "-I", "-S", *options, "-c", code]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def compiled_file(place: Path, name: str) -> Path:
    return next((place / "hardening/launch/__pycache__").glob(f"{name}.*.pyc"))


def test_a_module_comes_from_its_compiled_file(place: Path) -> None:
    file = place / "hardening/launch/one.py"
    expected = f"first Compiled {file} hardening.launch"
    assert said(place, f"use(); from hardening.launch import one; {SHOW}") == expected
    assert said(place, f"from hardening.launch import one; {SHOW}") == expected.replace("Compiled", "SourceFileLoader")


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("spoilt", ["source", "time", "magic", "short", "flags", "gone"])
def test_what_is_not_as_expected_is_left_to_the_import_system(place: Path, name: str, spoilt: str) -> None:
    source, compiled = place / f"hardening/launch/{name}.py", compiled_file(place, name)
    data = compiled.read_bytes()
    value = "first"
    if spoilt == "source" and name == "two":
        value = "second"
        source.write_text(f"VALUE = '{value}'\n")
    elif spoilt in ("source", "time"):
        os.utime(source, (1, 1))
    elif spoilt == "gone":
        compiled.unlink()
    else:
        compiled.write_bytes(
            {"magic": b"\0" * 4 + data[4:], "short": data[:10], "flags": data[:4] + b"\1" + data[5:]}[spoilt]
        )
    assert said(place, f"use(); from hardening.launch import one; {SHOW}", "-B").split()[0] == value


@pytest.mark.parametrize("before", ["use('some')", "use(); load('some')", "use(); read_ahead('some'); load('some')"])
def test_what_is_loaded_from_a_pack_is_the_same_module(before: str, place: Path) -> None:
    """No compiled file is left that it could come from, and none of the sources is read."""
    make_pack(place)
    for name in ("one", "two"):
        compiled_file(place, name).write_bytes(b"")
    shown = (
        "loaded = 'hardening.launch.one' in sys.modules; import hardening.launch; from hardening.launch import one, two; "
        f"assert hardening.launch.one is one; print(loaded); {SHOW}"
    )
    file = place / "hardening/launch/one.py"
    assert said(place, f"{before}; {shown}", "-B") == f"True\nfirst Compiled {file} hardening.launch"
    assert said(place, f"load('some'); {shown}", "-B").startswith("False")


#: What can become of a pack: by a crash of the host, by another version of the package, by nobody knows what.
DAMAGES = ("names", "empty", "cut", "zeros", "flipped", "other", "unsealed", "format")


def damaged(data: bytes, damage: str) -> bytes:
    """A pack's content, spoilt."""
    content = data[compiled.CHECK :]
    stamps, packed = marshal.loads(content)
    middle = len(data) // 2
    return {
        "names": sealed(marshal.dumps((tuple(reversed(stamps)), packed))),
        "empty": b"",
        "cut": data[:middle],
        "zeros": data[:middle].ljust(len(data), b"\0"),
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "other": sealed(marshal.dumps(7)),
        "unsealed": content,
        "format": _imp.source_hash(compiled.FORMAT + 1, content) + content,
    }[damage]


def sealed(content: bytes) -> bytes:
    return compiled.check_value(content) + content


@pytest.mark.parametrize("spoilt", ["source", "time", "size", "gone", *DAMAGES])
def test_a_pack_that_is_not_as_expected_does_not_count(place: Path, spoilt: str) -> None:
    pack, source = make_pack(place), place / "hardening/launch/two.py"
    before, data = source.stat(), pack.read_bytes()
    assert said(place, "use('some'); print('hardening.launch.one' in sys.modules)") == "True"
    if spoilt in ("source", "size"):
        source.write_text(f"VALUE = '{'secnd' if spoilt == 'source' else 'the second'}'\n")
        os.utime(source, ns=(0, before.st_mtime_ns + (spoilt == "source")))
        compiled_file(place, "two").unlink()  # which would count: it has seconds only
    elif spoilt == "time":
        os.utime(source, (1, 1))
    elif spoilt == "gone":
        pack.unlink()
    else:
        pack.write_bytes(damaged(data, spoilt))
    value = {"source": "secnd", "size": "the second"}.get(spoilt, "first")
    code = f"use('some'); print('hardening.launch.one' in sys.modules); from hardening.launch import one; {SHOW}"
    assert said(place, code, "-B").startswith(f"False\n{value} ")


def test_a_module_that_fails_is_none_that_is_loaded(place: Path) -> None:
    (place / "hardening/launch/two.py").write_text("VALUE = 1 / 0\n")
    make_pack(place)
    code = "use()\ntry:\n load('some')\nexcept ZeroDivisionError:\n print('hardening.launch.two' in sys.modules)"
    assert said(place, f"exec({code!r})") == "False"


def begun(place: Path, path: Path) -> str:
    """Whether the modules of the first pack are there when scripts/hardening has begun with it, any of them, a finder for
    more, and `__future__`."""
    script = SCRIPT.read_text()
    start = script.index("start='") + len("start='")
    imports, begin = (
        script[start : script.index("here = ")],
        script[script.index("def begin(") : script.index("def start_again")],
    )
    code = f"""{imports}{begin}
place = sys.argv[1]
before = sys.meta_path[:]
begin(sys.argv[2])
there = [name in sys.modules for name in {[compiled.full_name(name) for name in compiled.TABLES["base"]]}]
print(all(there), any(there), sys.meta_path != before, '__future__' in sys.modules)
if any(there):
    import hardening.launch.compiled, hardening.launch.held, importlib.util
    module = hardening.launch.compiled
    assert module.__spec__.name == module.__name__ and type(module.__loader__) is module.Compiled
    assert importlib.util.find_spec('hardening').submodule_search_locations == [place + '/hardening']
"""
    argv = [sys.executable, "-I", "-S", "-c", code, str(place), str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_the_first_pack_needs_no_import_system_and_does_not_count_when_it_is_old(tmp_path: Path) -> None:
    shutil.copytree(STAGE.parent, tmp_path / "hardening", ignore=shutil.ignore_patterns("__pycache__"))
    from hardening import packs

    finder = compiled.finder(str(tmp_path / "hardening"))
    path = tmp_path / "base.pack"
    data = packs.packed(finder, "base")
    path.write_bytes(data)
    assert begun(tmp_path, path) == "True True True False"
    stamps, packed = marshal.loads(data[compiled.CHECK :])
    codes = marshal.loads(packed)
    # What is whole, of this format and of these sources is run; here it could only be wrong on purpose.
    wrong = {
        "no codes": sealed(marshal.dumps((stamps, b""))),
        "fewer": sealed(marshal.dumps((stamps, marshal.dumps(codes[:-1])))),
        "another order": sealed(marshal.dumps((stamps, marshal.dumps(codes[::-1])))),
        **{damage: damaged(data, damage) for damage in DAMAGES if damage != "names"},
    }
    for damage, content in wrong.items():
        path.write_bytes(content)
        assert begun(tmp_path, path) == "False False False False", damage
    path.write_bytes(data)
    os.utime(tmp_path / "hardening/launch/files.py", (1, 1))
    assert begun(tmp_path, path) == "False False False False"
    path.unlink()
    assert begun(tmp_path, path) == "False False False False"


def test_nothing_of_an_old_first_pack_is_run(tmp_path: Path) -> None:
    """It may be of a version that is begun in another way."""
    (tmp_path / "hardening").mkdir()
    (tmp_path / "hardening/__init__.py").write_text("")
    code = compile(f"import posix; posix.mkdir({str(tmp_path / 'ran')!r})", "old", "exec")
    path = tmp_path / "base.pack"
    for stamp, runs in (("__init__.py", 0, 0), False), (("gone.py", 0, 0), False), (None, True):
        stamps = () if stamp is None else (stamp,)
        path.write_bytes(sealed(marshal.dumps((stamps, marshal.dumps([code] * 3)))))
        assert begun(tmp_path, path) == "False False False False"
        assert (tmp_path / "ran").exists() is runs


@pytest.mark.parametrize("tables", [("base", "plans"), ("base", "stage", "native", "watch", "inner", "cgroup")])
def test_each_module_of_the_tables_stands_after_those_that_it_imports(tables: tuple[str, ...]) -> None:
    """Else the import system would be asked, in the middle of it, for what stands further on."""
    code = f"""if True:
        import sys
        sys.path += {sys.path!r}
        import importlib.util
        from hardening import packs
        packs.make()
        for name in [name for name in sys.modules if name.split(".")[0] == "hardening"]:
            if name != "hardening" and name != "hardening.launch" and name != "hardening.launch.compiled":
                del sys.modules[name]
        from hardening.launch import compiled
        asked = []
        find = compiled.Compiled.find_spec
        compiled.Compiled.find_spec = lambda self, name, *rest: asked.append(name) or find(self, name, *rest)
        compiled.use()
        for table in {tables!r}:
            compiled.load(table)
            names = [compiled.full_name(name) for name in compiled.TABLES[table]]
            assert len(set(names)) == len(names)
            assert set(names) <= set(sys.modules)
        print([name for name in asked if name.startswith("hardening")])
    """
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_what_is_read_ahead_needs_no_file(place: Path) -> None:
    gone = f"import shutil; shutil.rmtree({str(place / 'hardening/launch')!r})"
    later = f"load('some'); from hardening.launch import one; {SHOW}"
    for packed in (False, True):
        for before in ("use(); read_ahead('some')", "read_ahead('some')"):
            make(place)
            if packed:
                make_pack(place)
            assert said(place, f"{before}; {gone}; {later}").startswith("first")
