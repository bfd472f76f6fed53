"""Which files are taken for credentials: by name and by content, those of real programs and no others; and whatever a file
holds, it is looked at in a moment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hardening_scan import credentials
from tests.support.gpg import home

BEGIN = b"-----BEGIN PRIVATE KEY-----\n"
#: By the ends of paths that are looked at: what is found there, and what is not.
FILES: dict[str, tuple[bytes, bytes]] = {
    "/.aws/credentials": (
        b"[default]\n aws_secret_access_key = x\n",
        b"[default]\naws_secret_access_key =\nregion = x\n",
    ),
    "/gcloud/application_default_credentials.json": (b'{"refresh_token": "1//x"}', b'{"refresh_token": ""}'),
    "/.docker/config.json": (b'{"auths": {"r": {"auth": "eDp5"}}}', b'{"auths": {"r": {}}, "credsStore": "pass"}'),
    "/.dockercfg": (b'{"r": {"password": "x"}}', b"{}"),
    "/auth.json": (b'{"auths": {"r": {"identitytoken": "x"}}}', b'{"auths": {"r": {"auth": ""}}}'),
    "/.netrc": (b"machine h login a\npassword x\n", b"machine h\n"),
    "/.pgpass": (b"# a comment\nh:5432:*:u:x\n", b"# h:5432:*:u:x\nh:5432:*:u\n"),
    "/.my.cnf": (b"[client]\npassword=x\n", b"[client]\npassword=\nuser=x\n"),
    "/.git-credentials": (b"https://u:x@h\n", b"https://u@h\n"),
    "/git/credentials": (b"https://u:x@h\n", b"https://u@h\n"),
    "/gh/hosts.yml": (b"github.com:\n    oauth_token: x\n", b"github.com:\n    user: x\n"),
    "/.npmrc": (b"//registry/:_authToken=x\n", b"registry=https://registry/\n"),
    "/.pypirc": (b"[pypi]\npassword: x\n", b"[pypi]\nusername: x\n"),
    "/.cargo/credentials.toml": (b'[registry]\ntoken = "x"\n', b"[registry]\n"),
    "/.cargo/credentials": (b"[registry]\ntoken = 'x'\n", b'[registry]\ntoken = ""\n'.replace(b'""', b"")),
    "/.gem/credentials": (b"---\n:rubygems_api_key: x\n", b"---\n"),
    "/.m2/settings.xml": (b"<server><password>x</password></server>", b"<password>${env.PASSWORD}</password>"),
    "/.terraform.d/credentials.tfrc.json": (b'{"credentials": {"h": {"token": "x"}}}', b'{"credentials": {}}'),
    "/.vault-token": (b"s.aaaaaaaaaaaaaaaaaaaaaaaa\n", b"\n"),
    "/.kube/config": (b"users:\n- user:\n    client-key-data: x\n", b"users: []\n"),
    "/kubernetes/admin.conf": (b"users:\n- name: a\n  user: {token: abcdef}\n", b"users:\n- user: {tokenFile: /t}\n"),
    "/kubernetes/super-admin.conf": (b'{"users": [{"user": {"token": "x"}}]}', b'{"users": [{"user": {"token": ""}}]}'),
    "/kubernetes/controller-manager.conf": (b"password: 'x'\n", b"password: ''\n"),
    "/kubernetes/scheduler.conf": (b"- token: x\n", b"- token: # none\n"),
    "/kubernetes/kubelet.conf": (b"client-key-data: x\n", b"client-key: /var/lib/kubelet/pki/k.pem\n"),
    "/k3s/k3s.yaml": (b"client-key-data: x\n", b"clusters: []\n"),
    "/serviceaccount/token": (b"eyJhbGciOiJSUzI1NiIsImtp", b"\n"),
    "/etc/shadow": (b"root:*:1::::::\nu:$6$x$y:1::::::\n", b"root:*:1::::::\nu:!:1::::::\na:!!:1::::::\n"),
    "/etc/shadow-": (b"a:!!$6$abc$defgh:1::::::\n", b"a:x:1::::::\n"),
    "/etc/gshadow": (b"g:$6$x$y::\n", b"g:!::\n"),
    "/etc/gshadow-": (b"g:!$6$x$y::\n", b"g:*::\n"),
    "/etc/passwd": (b"b:abJnggxhB/yWI:0:0::/:/bin/sh\n", b"b:x:0:0::/:/bin/sh\n"),
    "/etc/passwd-": (b"b:_J9..CCCCXBrJUJV154M:0:0::/:/bin/sh\n", b"b:*:0:0::/:/bin/sh\n"),
    "/etc/security/opasswd": (b"a:1000:1:$6$x$y\n", b"a:1000:0:\n"),
    ".keytab": (b"\x05\x02\x00\x00", b"no keytab"),
}
CONTENTS = {
    "PuTTY": (b"PuTTY-User-Key-File-3: ssh-ed25519\n", b"see PuTTY-User-Key-File-3\n"),
    "age": (b"# a comment\nAGE-SECRET-KEY-1" + b"Q" * 58 + b"\n", b"AGE-SECRET-KEY-1...\n"),
    "WireGuard": (b"[Interface]\nPrivateKey = " + b"A" * 43 + b"=\n", b"[Interface]\nPrivateKey = \n"),
    "GnuPG": (b"Created: x\nKey: (private-key (ecc\n", b"Key: (shadowed-private-key (ecc\n"),
    "JSON": (b'{"private_key": "-----BEGIN PRIVATE KEY-----\\n' + b"A" * 16, b'{"private_key": ""} PRIVATE KEY'),
    "PEM": (BEGIN + b"A" * 16, BEGIN),
    "PEM, RSA": (
        BEGIN.replace(b"PRI", b"RSA PRI") + b"Proc-Type: 4\r\nDEK-Info: x\r\n\r\n" + b"A" * 16,
        BEGIN + b"A: \n" * 99,
    ),
    "OpenPGP": (b"\x95\x05\x86\x04\x65\x00\x00\x00\x01\x0c", b"\x99\x05\x86\x04\x65\x00\x00\x00\x01\x0c"),
}


def test_every_kind_of_file_has_an_example() -> None:
    assert list(FILES) == [end for end, *_ in credentials._FILES]


@pytest.mark.parametrize("end", FILES)
def test_a_file_is_known_by_its_name_and_by_what_stands_in_it(end: str) -> None:
    there, none = FILES[end]
    path = f"/home/a{end}" if end.startswith("/") else f"/etc/krb5{end}"
    assert credentials.what(path, there)
    assert credentials.what(path, none) == ""
    assert credentials.what(f"{path}.orig", there) == ""
    assert credentials.what("/home/x", there) == ""


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_key_is_known_by_its_content(kind: str) -> None:
    there, none = CONTENTS[kind]
    assert credentials.what("/x", there) == f"private key ({kind})"
    assert credentials.what("/x", none) == ""


def test_keys_that_programs_make_are_found(tmp_path: Path) -> None:
    def made(*words: str) -> bytes:
        subprocess.run([*words, str(tmp_path / "key")], check=True, capture_output=True)
        return (tmp_path / "key").read_bytes()

    assert credentials.what("/k", made("openssl", "genpkey", "-algorithm", "ed25519", "-out")) == "private key (PEM)"
    (tmp_path / "key").unlink()
    aes = ("openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out")
    ssh = made("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")
    assert credentials.what("/k", ssh) == "private key (OpenSSH)"
    (tmp_path / "key").unlink()
    assert credentials.what("/k", made(*aes)) == "private key (PEM, ENCRYPTED)"
    with home() as keys:
        keys.generate("somebody")
        files = list((keys.path / "private-keys-v1.d").iterdir())
        assert {credentials.what("/k", file.read_bytes()) for file in files} == {"private key (GnuPG)"}
        for armour in ((), ("--armor",)):
            exported = keys.run(*armour, "--export-secret-keys")
            assert credentials.what("/k", exported) == "private key (OpenPGP)"
            assert credentials.what("/k", keys.run(*armour, "--export")) == ""


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf%s", b"key: |\n    %s", b"key: %s", b"key='%s'", b"\t%s", b"a\0b%s",
    ],
)  # fmt: skip
def test_a_key_is_found_wherever_it_stands(text: bytes) -> None:
    body = BEGIN + b"A" * 64 + b"\n"
    assert credentials.what("/k", text % body.replace(b"\n", b"\n    ")) == "private key (PEM)"
    assert credentials.what("/k", text % body) == "private key (PEM)"
    assert credentials.what("/k", text % BEGIN) == ""


@pytest.mark.parametrize("text", [b'"%s"', b'{"tls": {"key": "%s"}}', b"KEY='%s'"])
def test_a_key_is_found_in_a_string(text: bytes) -> None:
    for end in (b"\\n", b"\\r\\n"):
        for body in (b"A" * 64, b"AAAA\\/AAAA\\/AAAA\\/AAAA", b"Proc-Type: 4" + end + end + b"A" * 64):
            assert credentials.what("/k", text % (BEGIN.strip() + end + body + end)) == "private key (PEM)"


SIZE = 1 << 17


def filled(unit: bytes) -> bytes:
    """Enough that what takes a step for each pair of bytes would take minutes."""
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


#: What patterns that try everything need longer for than anybody waits: lines without an end, and beginnings without one.
HOSTILE = [
    filled(b"\n"), filled(b" "), filled(b" \n"), BEGIN + filled(b"A: \n"), filled(BEGIN), BEGIN + filled(b" " * 500 + b"\n"),
    filled(b'"private_key" '), b'"auth"' + filled(b" "), filled(b"a:"), filled(b"a:b:c:d:\n"), filled(b"password "),
    filled(b"A: " + BEGIN), filled(b"A: " + BEGIN.strip() + b"\\n"), filled(b"A: b\r\n"), BEGIN + filled(b"A: b\r\n"),
    BEGIN + filled(b"\r\n"), filled(BEGIN.strip() + b"\\r\\n"), filled(b"-----BEGIN A A A A "), filled(b"token: "),
    filled(b"a:!!!!"), filled(b"api_key"), filled(b"A-"), filled(b"<password>$"), filled(b"https://a:"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_file_is_looked_at_in_a_moment(number: int) -> None:
    for path in (
        "/x",
        "/.aws/credentials",
        "/.pgpass",
        "/.gem/credentials",
        "/.kube/config",
        "/.git-credentials",
        "/etc/shadow",
    ):
        credentials.what(path, b"PRIVATE KEY PrivateKey private-key\n" + HOSTILE[number])
