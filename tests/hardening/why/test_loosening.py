"""Several loosenings as one."""

from __future__ import annotations

from hardening.why.loosening import Loosening, merged


def _rules(*names: str) -> Loosening:
    said = ", ".join(f'{{name = "{name}"}}' for name in names)
    tables = {"seccomp": {"rules": [{"name": name} for name in names]}}
    return Loosening(tables=tables, options=("--set", f"seccomp.rules=[{said}]", "--exception", "seccomp.rules=x"))


def test_each_setting_is_typed_once_with_all_that_it_is_given() -> None:
    found = merged([_rules("b"), _rules("a", "b"), Loosening(options=("--cap-add", "CHOWN"))])
    rules = 'seccomp.rules=[{name = "b"}, {name = "a"}]'
    assert found.options == ("--set", rules, "--exception", "seccomp.rules=x", "--cap-add", "CHOWN")


def test_exceptions_of_names_that_no_option_takes_stay_apart() -> None:
    options = [("--set", f'exceptions=[{{setting = "a.x={name}"}}]') for name in "bc"]
    tables = [{"exceptions": [{"setting": f"a.x={name}"}]} for name in "bc"]
    found = merged([Loosening(tables=one, options=two) for one, two in zip(tables, options, strict=True)])
    assert found.options == (*options[0], *options[1])
