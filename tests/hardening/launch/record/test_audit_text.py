from __future__ import annotations

import shlex

import pytest

from hardening.base.linux import abi
from hardening.errors import shell_word
from hardening.launch.record import audit_text
from hardening.launch.record.audit import Audit
from tests.hardening.launch.record.test_sinks import RECORD


def test_an_audit_message() -> None:
    text = audit_text.audit_text(RECORD)
    assert text.startswith('virt=hardening op=start vm="0123456789ab" gid=0 runtime="native" cmd=7368202D6320')
    assert f'profiles="strict:{"cd" * 32},command%20line:-" enforced="seccomp,rootfs" exe=' in text
    assert text.endswith("hostname=? addr=? terminal=pts/3 res=success")
    assert "not-enforced" not in text
    refused = audit_text.audit_text({**RECORD, "event": "refused", "terminal": None, "error": "no"})
    assert "op=start" in refused
    assert refused.endswith(
        'error="no" ' + text[text.index("exe=") :].replace("pts/3", "?").replace("success", "failed")
    )
    end = audit_text.audit_text(
        {**RECORD, "event": "end", "code": 137, "signal": 9, "result": "killed", "seconds": 0.5}
    )
    assert "op=stop" in end
    assert "exit-code=137 sig=9 result=killed seconds=0.5" in end


@pytest.mark.parametrize("text", ["plain", "a b", 'quote"', "it's", "tab\t", "line\nbreak", "ü", "\ud800", "\x7f", ""])
def test_untrusted_texts_are_in_quotes_or_in_hexadecimal(text: str) -> None:
    value = audit_text.encode(text)
    if value.startswith('"'):
        assert value == f'"{text}"'
        assert text.isascii()
        assert not set(text) & set("\"' ")
    else:
        assert bytes.fromhex(value).decode() == text.encode("utf-8", "backslashreplace").decode()
        assert value == value.upper()


def test_the_longest_record_fits_into_an_audit_message() -> None:
    profiles = [{"name": f"ü {number}", "sha256": "ab" * 32} for number in range(1000)]
    longest = {
        **RECORD,
        "command": ["ü" * (Audit.longest // 2)],
        "profiles": profiles,
        "image": "é" * 200,
        "runtime": "ö" * 100,
    }
    text = audit_text.audit_text(longest)
    assert len(text) < abi.AUDIT_MESSAGE_TEXT_MAX
    assert bytes.fromhex(text.partition("profiles=")[2].partition(" ")[0]).decode().rpartition(",+")[2].isdecimal()
    texts = dict.fromkeys(("setting", "reason", "ticket", "origin", "error"), "ü" * 200)
    excepted = audit_text.audit_text({**longest, "profiles": [], "image": None, "event": "exception", **texts})
    assert len(excepted) < abi.AUDIT_MESSAGE_TEXT_MAX


@pytest.mark.parametrize("word", ["\"'" * 700, "'" * 1300, "\x01" * 1400, "\ud800" * 400, "a b" * 600])
def test_no_words_or_names_keep_a_record_out_of_the_audit_system(word: str) -> None:
    """What quotes and hexadecimal blow up is cut, and says how much; the rest can still be read."""
    names = [word] * 64
    record = {**RECORD, "command": ["sh", "-c", word, "x", "…(+5 arguments)"], "enforced": names, "partly": names}
    text = audit_text.audit_text(record)
    assert len(text) < abi.AUDIT_MESSAGE_TEXT_MAX
    command = bytes.fromhex(text.partition(" cmd=")[2].partition(" ")[0]).decode()
    words = shlex.split(command)
    assert words[:2] == ["sh", "-c"]
    kept, cut, missing = words[2].partition("…(+")
    shown = word.encode("utf-8", "backslashreplace").decode()
    if cut:
        assert shown.startswith(kept)
        assert missing.endswith(" bytes)")
        assert words[3:] == ["…(+1 arguments)", "…(+5 arguments)"]
    else:  # it fits, however it is written
        assert words[2:] == [shown, "x", "…(+5 arguments)"]
    for texts in ({"error": word, "image": word}, {"profiles": [{"name": word, "sha256": word}] * 100}):
        assert len(audit_text.audit_text({**record, **texts})) < abi.AUDIT_MESSAGE_TEXT_MAX


@pytest.mark.parametrize("word", ["plain", "", "a b", "it's", "$HOME", "ü", "a\nb", "--x=/y:z,1", "~"])
def test_words_are_quoted_as_for_a_shell(word: str) -> None:
    assert shlex.split(shell_word(word)) == [word]
