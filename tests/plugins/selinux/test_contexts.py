"""The policy's own contexts for containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.errors import HostError
from hardening_selinux.contexts import BUILT_IN, load
from hardening_selinux.labels import Label


def lxc_contexts(root: Path, text: str) -> Path:
    path = root / "etc/selinux/targeted/contexts/lxc_contexts"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_without_a_file_they_are_built_in(tmp_path: Path) -> None:
    assert load(tmp_path, "targeted") == BUILT_IN
    assert str(BUILT_IN.process) == "system_u:system_r:container_t:s0"
    assert str(BUILT_IN.file) == "system_u:object_r:container_file_t:s0"


def test_the_policy_says_what_they_are(tmp_path: Path) -> None:
    path = lxc_contexts(
        tmp_path,
        '# process = "no:no:no:s0"\nprocess = "a_u:b_r:svirt_t:s0" # plain\ncontent="x:y:z"\n'
        'kvm_process = "a_u:b_r:kvm_t:s0"\n\nfile = "a_u:object_r:f_t:s0"\n',
    )
    found = load(tmp_path, "targeted")
    assert found.process == Label.parse("a_u:b_r:svirt_t:s0")
    assert found.kvm_process == Label.parse("a_u:b_r:kvm_t:s0")
    assert found.file == Label.parse("a_u:object_r:f_t:s0")
    assert found.ro_file == BUILT_IN.ro_file
    assert found.source == str(path)
    assert load(tmp_path, "mls") == BUILT_IN


def test_what_is_no_context_is_refused_with_its_line(tmp_path: Path) -> None:
    path = lxc_contexts(tmp_path, 'file = "a:b:c:s0"\nprocess = "container_t"\n')
    with pytest.raises(HostError, match="container_t") as raised:
        load(tmp_path, "targeted")
    assert raised.value.origin == f"{path}:2"
