"""Text for people."""

from __future__ import annotations

from hardening.base.text import cut, listed, nearest, printable, shortened


def test_what_would_act_on_a_terminal_is_shown_as_escapes() -> None:
    assert printable("a\x1b[2J\n\udcff\u202eé\xa0") == "a\\x1b[2J\\n\\udcff\\u202eé\\xa0"
    assert printable("a\x1b\n\xa0", keep="\n\xa0") == "a\\x1b\n\xa0"


def test_long_texts_are_cut_and_say_so() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 3) == "abc…(+3 bytes)"
    assert cut("ü" * 4, 3) == "ü…(+5 bytes)"
    assert cut("\ud800" * 3, 3).endswith("…(+6 bytes)")
    assert shortened(["a", "b"], 100) == ["a", "b"]
    assert shortened(["aaaa", "bbbb", "c", "d"], 7) == ["aaaa", "bb…(+2 bytes)", "…(+2 arguments)"]
    assert shortened(["aaaa", "bbbb", "…(+5 arguments)"], 7) == ["aaaa", "bb…(+2 bytes)", "…(+5 arguments)"]
    assert [listed(["a", "b", "c", "d"][:count]) for count in (0, 1, 3, 4)] == [
        "",
        "a",
        "a, b, c",
        "a, b, c and 1 more",
    ]
    assert listed("abcd", 2, "others") == "a, b and 2 others"
    assert listed("abc", 2, "others") == "a, b and 1 other"


def test_the_beginning_of_a_name_stands_for_it_before_one_that_is_spelt_alike() -> None:
    known = ("NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN")
    assert nearest("NET_BIND", known) == 'did you mean "NET_BIND_SERVICE"?'
    assert nearest("NETBIND", known) == 'did you mean "NET_BIND_SERVICE"?'
    assert nearest("NET_ADMIM", known) == 'did you mean "NET_ADMIN"?'
    assert nearest("NET", ("NETWORKS", "NETWORK")) == 'did you mean "NETWORK"?'
    assert nearest("NE", known) is None
    assert nearest("quite another", known) is None
