from __future__ import annotations

from hardening.launch.native.channel import pair


def test_what_an_end_has_sent_is_read_though_it_was_closed_with_a_message_unread() -> None:
    near, far = pair()
    near.send("begin", "1")
    far.send("fail", "125", "why")
    far.close()
    assert near.receive() == (["fail", "125", "why"], None)
    assert near.receive() == ([], None)
    near.close()
