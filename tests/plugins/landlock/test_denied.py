from __future__ import annotations

import errno
from typing import Any

import pytest

from hardening.mechanism.denial import Caller, SystemCall
from hardening_landlock.denied import denied, of_path
from hardening_landlock.findings import findings
from hardening_namespaces import Namespaces
from tests.plugins.landlock.test_host import NOW, context, settings
from tests.support.texts import composed

CHOSEN = settings(read=("/usr",), write=("/srv",), execute=("/usr",), bind=("80",), connect=())


def causes(name: str, error: int, **values: Any) -> list[tuple[str, object]]:
    access = frozenset(values.pop("access", ()))
    call = SystemCall(name, 1, 0, (0,) * 6, Caller(7), error=error, access=access, **values)
    return [(cause.leaf, cause.ways[0].value) for cause in denied(CHOSEN, context(NOW), call)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("open", errno.EACCES, {"path": "/etc/x", "access": ["read"]}), [("landlock.read", ("/etc/x", "/usr"))]),
        (("open", errno.EACCES, {"path": "/usr/x", "access": ["read"]}), []),
        (("open", errno.EROFS, {"path": "/etc/x", "access": ["write"]}), []),
        (("mkdir", errno.EACCES, {"path": "/usr/x", "access": ["create"]}), [("landlock.write", ("/srv", "/usr"))]),
        (
            ("rename", errno.EXDEV, {"path": "/srv/x", "target": "/opt/x", "access": ["create", "remove"]}),
            [("landlock.write", ("/opt", "/srv"))],
        ),
        (
            ("execve", errno.EACCES, {"path": "/srv/x", "access": ["execute"]}),
            [("landlock.execute", ("/srv/x", "/usr"))],
        ),
        (("bind", errno.EACCES, {"address": "tcp 0.0.0.0:81"}), [("landlock.bind", ("80", "81"))]),
        (("bind", errno.EACCES, {"address": "tcp 0.0.0.0:80"}), []),
        (("bind", errno.EACCES, {"address": "udp 0.0.0.0:81"}), []),
        (("connect", errno.EACCES, {"address": "tcp [::1]:443"}), [("landlock.connect", ("443",))]),
        (("connect", errno.EPERM, {"address": "unix @x"}), [("landlock.abstract_sockets", True)]),
        (("connect", errno.ECONNREFUSED, {"address": "unix @x"}), []),
        (("kill", errno.EPERM, {}), [("landlock.signals", True)]),
        (("mount", errno.EPERM, {"path": "/mnt"}), [("landlock.mounts", True)]),
        (("chown", errno.EPERM, {"path": "/etc/x"}), []),
    ],
)
def test_a_denial_of_landlocks_has_a_cause(
    asked: tuple[str, int, dict[str, Any]], found: list[tuple[str, object]]
) -> None:
    name, error, values = asked
    assert causes(name, error, **values) == found


def test_a_path_is_answered_for_where_it_lies_in_no_place() -> None:
    found = {answer.asked: [way.value for way in answer.ways] for answer in of_path(CHOSEN, context(NOW), "/usr/share")}
    assert found == {"readable": [], "writable": [("/srv", "/usr/share")], "executable": []}
    assert all(answer.denied for answer in of_path(CHOSEN, context(NOW), "/opt"))
    assert list(of_path(settings(), context(NOW), "/opt")) == []


def test_a_limit_on_ports_is_said_to_be_one_of_tcp_where_others_share_the_network() -> None:
    shared = composed("[namespaces]\nnet = 'host'\n", by=[Namespaces()]).composed.values()
    private = composed("", by=[Namespaces()]).composed.values()
    assert [found.leaf for found in findings(CHOSEN, context(NOW, *shared))] == ["landlock.bind", "landlock.connect"]
    assert list(findings(CHOSEN, context(NOW, *private))) == []
