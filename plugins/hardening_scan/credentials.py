"""Which files hold a private key, a password or a token. Only what kind it is is ever told."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Files are hostile, and `re` tries everything. No part of a pattern matches what its neighbour does; what begins a line does
# not go on to the next; what may begin anywhere has an end, and tries nothing twice (``(?>…)``).

#: Files up to this size, in bytes, are read whole, of larger ones this much at first. Keys are looked for in all of those up
#: to the third size, in pieces that have this much in common, which is more than any key has before it is known as one.
WHOLE, BEGINNING, SEARCHED, COMMON = 1 << 20, 1 << 16, 64 << 20, 1 << 15

_BEGIN = rb"-----BEGIN ((?:[A-Z0-9]{1,16} ){0,4})PRIVATE KEY(?: BLOCK)?-----"
#: A key in lines, indented or not, and behind whatever there is in the first; and one in a string with ``\n`` in it.
_PEM = (
    re.compile(
        _BEGIN + rb"[ \t]{0,64}\r?\n[ \t]{0,64}"
        rb"(?>(?:[A-Za-z-]{1,64}:[^\n]{0,512}\n[ \t]{0,64}|\r?\n[ \t]{0,64}){0,32})[A-Za-z0-9+/=]{16}"
    ),
    re.compile(
        _BEGIN + rb"(?:\\r)?\\n"
        rb"(?>(?:[A-Za-z-]{1,64}:[^\n\\]{0,512}(?:\\r)?\\n|(?:\\r)?\\n){0,32})(?:[A-Za-z0-9+=]|\\?/){16}"
    ),
)
#: A packet of a secret key, of version 3 to 6 (RFC 9580, 4.2, 5.5.2 and 9.1), and how it begins.
_OPENPGP = re.compile(
    rb"(?:\x94.|\x95..|\x96....|\xc5(?:[\x00-\xbf]|[\xc0-\xdf].|\xff....))[\x03-\x06].{4}[\x01-\x03\x10-\x13\x16\x19-\x1c]",
    re.DOTALL,
)
_PACKETS = (b"\x94", b"\x95", b"\x96", b"\xc5")
#: What stands in every file that the patterns of contents are for: most files are done with it.
_PRIVATE = b"PRIVATE KEY"
_WORDS = (_PRIVATE, b"PuTTY-User-Key-File", b"AGE-SECRET-KEY-1", b"PrivateKey", b"private-key")
#: Contents by which a file is known whatever its name, and what that is.
_CONTENTS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), what)
    for pattern, what in (
        (rb"^PuTTY-User-Key-File-\d+:", "private key (PuTTY)"),
        (rb"^AGE-SECRET-KEY-1[0-9A-Z]{58}\b", "private key (age)"),
        (rb"^[ \t]*PrivateKey[ \t]*=[ \t]*[A-Za-z0-9+/]{43}=", "private key (WireGuard)"),
        (rb"^Key: ?\((?:protected-)?private-key|\A\((?:11:|21:protected-)private-key", "private key (GnuPG)"),
        (rb'"private_key"\s*:\s*"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\\n[A-Za-z0-9+/]{16}', "private key (JSON)"),
    )
)
#: A value in YAML of blocks or in braces, or in JSON.
_KUBERNETES = rb"\b(?:client-key-data|token|password)[\"']?[ \t]*:[ \t]*[\"']?[^\s\"'#{}\[\],]"
_KUBECONFIGS = (
    "/.kube/config", "/kubernetes/admin.conf", "/kubernetes/super-admin.conf", "/kubernetes/controller-manager.conf",
    "/kubernetes/scheduler.conf", "/kubernetes/kubelet.conf", "/k3s/k3s.yaml",
)  # fmt: skip
#: A hash, locked or not: of today, of BSDi, or of DES (crypt(5), shadow(5)).
_HASH = rb"^[^:\n]+:[!*]*(?:\$[^:\n]|_[./0-9A-Za-z]{19}:|[./0-9A-Za-z]{13}:)"
_ACCOUNTS = tuple(f"/etc/{name}{end}" for name in ("shadow", "gshadow", "passwd") for end in ("", "-"))
#: Files by the end of their path, what has to stand in them, and what that is.
_FILES: tuple[tuple[str, re.Pattern[bytes], str], ...] = tuple(
    (end, re.compile(pattern, re.MULTILINE), what)
    for end, pattern, what in (
        ("/.aws/credentials", rb"^[ \t]*aws_(?:secret_access_key|session_token)[ \t]*=[ \t]*\S", "keys of AWS"),
        ("/gcloud/application_default_credentials.json", rb'"refresh_token"\s*:\s*"[^"]', "a token of Google Cloud"),
        ("/.docker/config.json", rb'"(?:auth|identitytoken|password)"\s*:\s*"[^"]', "a registry's password or token"),
        ("/.dockercfg", rb'"(?:auth|password)"\s*:\s*"[^"]', "a registry's password"),
        (
            "/auth.json",
            rb'"(?:auth|identitytoken|password|github\.com)"\s*:\s*"[^"]',
            "a password or token of a registry or Composer",
        ),
        ("/.netrc", rb"\bpassword\s+\S", "a password"),
        ("/.pgpass", rb"^[^#\n:][^\n:]*:(?:[^\n:]*:){3}[^\n]", "a database password"),
        ("/.my.cnf", rb"^[ \t]*password[ \t]*=[ \t]*\S", "a database password"),
        ("/.git-credentials", rb"^https?://[^/\s:]*:[^/\s@]+@", "a password of git"),
        ("/git/credentials", rb"^https?://[^/\s:]*:[^/\s@]+@", "a password of git"),
        ("/gh/hosts.yml", rb"^[ \t]*oauth_token:[ \t]*\S", "a token of GitHub"),
        ("/.npmrc", rb"(?:_authToken|_auth|_password)[ \t]*=[ \t]*\S", "a token of npm"),
        ("/.pypirc", rb"^[ \t]*password[ \t]*[=:][ \t]*\S", "a password of PyPI"),
        ("/.cargo/credentials.toml", rb"^[ \t]*token[ \t]*=[ \t]*[\"']\S", "a token of Cargo"),
        ("/.cargo/credentials", rb"^[ \t]*token[ \t]*=[ \t]*[\"']\S", "a token of Cargo"),
        ("/.gem/credentials", rb"^[ \t]*:?\w*api_key:[ \t]*\S", "a key of RubyGems"),
        ("/.m2/settings.xml", rb"<(?:password|passphrase)>[^<$\s]", "a password of Maven"),
        ("/.terraform.d/credentials.tfrc.json", rb'"token"\s*:\s*"[^"]', "a token of Terraform"),
        ("/.vault-token", rb"\A\s*\S{20}", "a token of Vault"),
        *((end, _KUBERNETES, "a key or token of Kubernetes") for end in _KUBECONFIGS),
        ("/serviceaccount/token", rb"\A\s*\S{20}", "a token of Kubernetes"),
        *((end, _HASH, "a password hash") for end in _ACCOUNTS),
        ("/etc/security/opasswd", rb"[:,]\$[^:,\n]", "a password hash"),
        (".keytab", rb"\A\x05[\x01\x02].", "keys of Kerberos"),
    )
)
#: The names of these files, of which a root has few, and how names end: all others need no look at their path.
_NAMES = frozenset(end.rpartition("/")[2] for end, *_ in _FILES if "/" in end)
_ENDS = tuple(end for end, *_ in _FILES if "/" not in end)


def looked_at(size: int) -> int:
    """How much of a file of this size, in bytes, is looked at."""
    return size if size <= WHOLE else BEGINNING


def what(path: str, data: bytes) -> str:
    """What kind of credential a file holds; empty for none."""
    if path.endswith(_ENDS) or path.rpartition("/")[2] in _NAMES:
        for end, pattern, kind in _FILES:
            if path.endswith(end) and pattern.search(data):
                return kind
    if data.startswith(_PACKETS) and _OPENPGP.match(data):
        return "private key (OpenPGP)"
    return _key(data)


def searched(size: int, data: bytes) -> bool:
    """Whether keys are looked for in all of a file that begins with some data. Libraries have keys for their own tests."""
    return WHOLE < size <= SEARCHED and not data.startswith((b"\x7fELF", b"!<arch>\n"))


def within(pieces: Iterator[bytes]) -> str:
    """What kind of key stands anywhere in the pieces of a file; empty for none."""
    before = b""
    for piece in pieces:
        data = before + piece
        if _PRIVATE in data and (found := _key(data)):
            return found
        before = data[-COMMON:]
    return ""


def _key(data: bytes) -> str:
    if not any(word in data for word in _WORDS):
        return ""
    for pattern, kind in _CONTENTS:
        if pattern.search(data):
            return kind
    found = next((hit for pattern in _PEM if (hit := pattern.search(data))), None)
    if found is None:
        return ""
    label = found[1].decode().strip()
    names = {"OPENSSH": "OpenSSH", "PGP": "OpenPGP"}
    return f"private key ({names.get(label, 'PEM' + (f', {label}' if label else ''))})"
