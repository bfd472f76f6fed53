"""The table `[seccomp]`: what it says, how layers compose, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardening.errors import HardeningError, ProfileError
from hardening_seccomp.conditions import describe
from tests.plugins.seccomp.stacks import composed, settings, shown, this_host
from tests.support.features import require

COMPLETE = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@basic-io", "ptrace", "ioctl"]\n'


def test_unstated_is_the_strict_group(tmp_path: Path) -> None:
    assert shown(tmp_path, "read", "") == "allow"
    assert shown(tmp_path, "ptrace", "") == "deny"
    assert shown(tmp_path, "socket", "") == "deny"


def test_a_complete_table_speaks_of_everything(tmp_path: Path) -> None:
    assert shown(tmp_path, "ptrace", COMPLETE) == "allow"
    assert shown(tmp_path, "execve", COMPLETE) == "errno:ENOSYS"


def test_complete_tables_intersect_and_never_loosen(tmp_path: Path) -> None:
    second = '[seccomp]\ndefault = "allow"\ndeny = ["write"]\nlog = ["read"]\n'
    assert shown(tmp_path, "write", COMPLETE, second) == "deny"
    assert shown(tmp_path, "read", COMPLETE, second) == "log"
    assert shown(tmp_path, "ptrace", COMPLETE, second) == "allow"
    assert shown(tmp_path, "execve", COMPLETE, second) == "errno:ENOSYS"


def test_a_denied_argument_in_a_list_of_allowed_calls(tmp_path: Path) -> None:
    rule = (
        'rules = [{ names = ["ioctl"], action = "errno:EACCES", args = [{ index = 1, op = "eq", value = 0x5413 }] }]\n'
    )
    assert shown(tmp_path, "ioctl", COMPLETE + rule) == "errno:EACCES if arg1 & 0xffffffff == 0x5413, else allow"


def test_conditional_denials_of_layers_add_up(tmp_path: Path) -> None:
    def layer(value: int) -> str:
        argument = f'{{ index = 1, op = "eq", value = {value} }}'
        return f'[seccomp]\nrules = [{{ names = ["ioctl"], action = "errno", args = [{argument}] }}]\n'

    found = settings(tmp_path, COMPLETE, layer(1), layer(2)).syscalls["ioctl"]
    assert [str(found.value((0, word, 0, 0, 0, 0))) for word in (0, 1, 2, 1 << 32 | 1)] == [
        "allow",
        "errno:EPERM",
        "errno:EPERM",
        "errno:EPERM",
    ]


def test_allowing_more_than_an_earlier_layer_needs_an_exception(tmp_path: Path) -> None:
    second = '[seccomp]\nallow = ["mount"]\n'
    with pytest.raises(HardeningError) as caught:
        composed(tmp_path, COMPLETE, second)
    assert "layer1.toml:2" in str(caught.value)
    assert "layer0.toml:2" in str(caught.value)
    excepted = second + '[[exceptions]]\nsetting = "seccomp.mount"\nreason = "a test"\n'
    assert shown(tmp_path, "mount", COMPLETE, excepted) == "allow"
    by_group = second + '[[exceptions]]\nsetting = "seccomp.@mount"\nreason = "a test"\n'
    assert shown(tmp_path, "mount", COMPLETE, by_group) == "allow"
    assert shown(tmp_path, "umount2", COMPLETE, by_group) == "errno:ENOSYS"


def test_deny_never_loosens(tmp_path: Path) -> None:
    kill = '[seccomp]\ndefault = "kill-process"\nallow = ["read"]\n'
    assert shown(tmp_path, "mount", kill, '[seccomp]\ndeny = ["@mount"]\n') == "kill-process"


def test_limits_bind_whoever_comes_later(tmp_path: Path) -> None:
    limit = '[limits.seccomp]\ndeny = ["ptrace"]\n'
    with pytest.raises(HardeningError, match="limit"):
        composed(tmp_path, limit, '[seccomp]\nallow = ["ptrace"]\n')
    assert shown(tmp_path, "ptrace", limit, COMPLETE) == "deny"


def test_a_group_keeps_back_what_a_name_gives(tmp_path: Path) -> None:
    by_group = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@basic-io"]\n'
    assert "0x5412" in shown(tmp_path, "ioctl", by_group)
    assert shown(tmp_path, "ioctl", COMPLETE) == "allow"


def test_groups_guard_clone_as_the_machine_calls_it(tmp_path: Path) -> None:
    by_group = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@process"]\n'
    for machine, shown_argument in (("x86_64", "arg0"), ("s390x", "arg1")):
        rule = settings(tmp_path, by_group, on=this_host(native=machine)).syscalls["clone"]
        assert describe(rule).startswith(f"allow if {shown_argument} & 0x7e020000 == 0x0")


def test_widths(tmp_path: Path) -> None:
    def layer(argument: str, name: str = "ioctl") -> str:
        return (
            f'[seccomp]\ndefault = "allow"\nrules = [{{ names = ["{name}"], action = "errno", args = [{argument}] }}]\n'
        )

    assert "0xffffffff ==" in shown(tmp_path, "ioctl", layer('{ index = 1, op = "eq", value = 5 }'))
    wide = layer('{ index = 1, op = "eq", value = 5, width = 64 }')
    assert shown(tmp_path, "ioctl", wide) == "errno:EPERM if arg1 == 0x5, else allow"
    assert "arg1 == 0x5" in shown(tmp_path, "read", layer('{ index = 1, op = "eq", value = 5 }', "read"))
    with pytest.raises(ProfileError, match="32 bits"):
        composed(tmp_path, layer('{ index = 1, op = "eq", value = 0x100000000 }'))


def test_architectures_and_flags(tmp_path: Path) -> None:
    found = settings(tmp_path, '[seccomp]\narchitectures = ["native", "x86"]\nflags = ["log"]\n')
    assert found.architectures.having(True) == ("x86",)
    assert found.log
    assert not found.spec_allow
    with pytest.raises(HardeningError, match="spec-allow"):
        composed(tmp_path, '[seccomp]\nflags = ["log"]\n', '[seccomp]\nflags.add = ["spec-allow"]\n')


def test_a_profile_depends_on_the_composed_capabilities(tmp_path: Path) -> None:
    data = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        ],
    }
    (tmp_path / "docker.json").write_text(json.dumps(data))
    (tmp_path / "docker.json").chmod(0o644)
    profile = '[seccomp]\nprofile = "docker.json"\n'
    assert shown(tmp_path, "chroot", profile) == "errno:EPERM"
    assert shown(tmp_path, "chroot", profile + '[capabilities]\nadd = ["SYS_CHROOT"]\n') == "allow"


def noted(tmp_path: Path, text: str) -> list[tuple[str, str | None, str | None]]:
    found = composed(tmp_path, text).findings
    return [(finding.rule, finding.leaf, finding.origin) for finding in found]


def test_a_flag_of_a_docker_profile_makes_nothing_looser_and_none_goes_without_a_word(tmp_path: Path) -> None:
    names = [f"SECCOMP_FILTER_FLAG_{word}" for word in ("LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV")]
    path = tmp_path / "docker.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "flags": names}))
    path.chmod(0o644)
    text = '[seccomp]\nprofile = "docker.json"\n'
    found = settings(tmp_path, text)
    assert found.log
    assert not found.spec_allow
    assert noted(tmp_path, text) == [
        ("seccomp/flag", "seccomp.flags.spec-allow", f"{path}:/flags/1"),
        ("seccomp/flag", "seccomp.*", f"{path}:/flags/2"),
        ("seccomp/flag", "seccomp.*", f"{path}:/flags/3"),
    ]
    stated = settings(tmp_path, text + 'flags.add = ["spec-allow"]\nflags.drop = ["log"]\n')
    assert stated.spec_allow
    assert not stated.log


def test_overlaps_of_a_docker_profile_are_told(tmp_path: Path) -> None:
    data = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]},
            {"names": ["arm_fadvise64_64", "stat64"], "action": "SCMP_ACT_ALLOW"},
        ],
    }
    (tmp_path / "docker.json").write_text(json.dumps(data))
    (tmp_path / "docker.json").chmod(0o644)
    place = f"{tmp_path}/layer0.toml:2"
    with_profile = '[seccomp]\nprofile = "docker.json"\n'
    assert noted(tmp_path, with_profile) == [
        ("seccomp/foreign-syscall", "seccomp.*", place),
        ("seccomp/overlap", "seccomp.read", place),
    ]
    said = [finding.message for finding in composed(tmp_path, with_profile).findings]
    assert said[0].endswith("arm_fadvise64_64, stat64")
    with_x86 = composed(tmp_path, with_profile + 'architectures = ["native", "x86"]\n').findings
    assert with_x86[0].message.endswith(": arm_fadvise64_64")


def test_names_of_other_architectures_are_told(tmp_path: Path) -> None:
    require("x86_64")
    place = f"{tmp_path}/layer0.toml:2"
    assert noted(tmp_path, '[seccomp]\nallow = ["stat64", "stat", "@file-read"]\n') == [
        ("seccomp/foreign-syscall", "seccomp.stat64", place)
    ]
    assert noted(tmp_path, '[seccomp]\nrules = [{ names = ["stat64"], action = "log" }]\n') == [
        ("seccomp/foreign-syscall", "seccomp.stat64", place)
    ]
    assert noted(tmp_path, '[seccomp]\nallow = ["stat64"]\narchitectures.add = ["x86"]\n') == []
    assert noted(tmp_path, '[seccomp]\ndeny = ["stat64"]\nallow = ["@file-read"]\n') == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('allow = ["reed"]', 'did you mean "read"'),
        ('allow = ["@stric"]', 'did you mean "@strict"'),
        ('default = "alow"', 'did you mean "allow"'),
        ('defualt = "allow"', 'did you mean "default"'),
        ("allow = 5", "array"),
        ("rules = [{ names = [] , action = 'allow' }]", "at least one name"),
        ("rules = [{ action = 'allow' }]", "needs names and action"),
        ("rules = [{ names = ['read'], action = 'allow', arg = [] }]", "names, action and args"),
        ("rules = [{ names = ['read'], action = 'allow', args = [{ index = 6, op = 'eq', value = 1 }] }]", "0 to 5"),
        (
            "rules = [{ names = ['read'], action = 'allow', args = [{ index = 0, op = 'equal', value = 1 }] }]",
            "none of",
        ),
        ("rules = [{ names = ['read'], action = 'allow', args = [{ index = 0, op = 'eq' }] }]", "value is missing"),
        (
            "rules = [{ names = ['read'], action = 'allow', args = [{ index = 0, op = 'eq', value = 1, mask = 1 }] }]",
            "mask",
        ),
        (
            "rules = [{ names = ['read'], action = 'allow', args = [{ index = 0, op = 'masked_eq', value = 2, mask = 1}]}]",
            "never",
        ),
        ('architectures = ["pdp11"]', "unknown architecture"),
        ('flags = ["logs"]', 'did you mean "log"'),
        ('profile = "missing.json"', "missing.json"),
        ('default = "allow"\nprofile = "x.json"', "default of its own"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HardeningError) as caught:
        composed(tmp_path, f"[seccomp]\n{text}\n")
    assert message in str(caught.value)
    assert "layer0.toml:" in str(caught.value)
