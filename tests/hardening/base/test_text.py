"""Text for people."""

from __future__ import annotations

from hardening.base.text import printable


def test_what_would_act_on_a_terminal_is_shown_as_escapes() -> None:
    assert printable("a\x1b[2J\n\udcff\u202eé\xa0") == "a\\x1b[2J\\n\\udcff\\u202eé\\xa0"
    assert printable("a\x1b\n\xa0", keep="\n\xa0") == "a\\x1b\n\xa0"
