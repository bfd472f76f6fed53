"""Which files hold a private key, a password or a token. Only what kind it is is ever told."""

from __future__ import annotations

import re

#: Files up to this size, in bytes, are read whole, of larger ones this much.
WHOLE, BEGINNING = 1 << 20, 1 << 16

_PEM = re.compile(
    rb"^-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY(?: BLOCK)?-----[ \t]*\r?\n"
    rb"(?:[A-Za-z-]+: ?[^\n]*\n|[ \t]*\r?\n)*[A-Za-z0-9+/=]{16}",
    re.MULTILINE,
)
_WORDS = re.compile(rb"PRIVATE KEY|PuTTY-User-Key-File")
_PUTTY = re.compile(rb"^PuTTY-User-Key-File-\d+:", re.MULTILINE)
#: Files by the end of their path, what has to stand in them, and what that is.
_FILES: tuple[tuple[str, re.Pattern[bytes], str], ...] = tuple(
    (end, re.compile(pattern, re.MULTILINE), what)
    for end, pattern, what in (
        ("/.aws/credentials", rb"^\s*aws_(?:secret_access_key|session_token)\s*=\s*\S", "keys of AWS"),
        ("/.docker/config.json", rb'"(?:auth|identitytoken|password)"\s*:\s*"[^"]', "a registry's password or token"),
        ("/.dockercfg", rb'"(?:auth|password)"\s*:\s*"[^"]', "a registry's password"),
        ("/containers/auth.json", rb'"(?:auth|identitytoken)"\s*:\s*"[^"]', "a registry's password or token"),
        ("/.netrc", rb"\bpassword\s+\S", "a password"),
        ("/.pgpass", rb"^[^#\n](?:[^\n]*:){4}[^\n]", "a database password"),
        ("/.my.cnf", rb"^\s*password\s*=\s*\S", "a database password"),
        ("/.git-credentials", rb"^https?://[^/\s:]*:[^/\s@]+@", "a password of git"),
        ("/.npmrc", rb"(?:_authToken|_auth|_password)\s*=\s*\S", "a token of npm"),
        ("/.pypirc", rb"^\s*password\s*[=:]\s*\S", "a password of PyPI"),
        ("/.kube/config", rb"^\s*(?:- )?(?:client-key-data|token|password):\s*\S", "a key or token of Kubernetes"),
        ("/etc/shadow", rb"^[^:\n]+:!?\$[^:\n]+", "a password hash"),
    )
)
#: The names of these files, of which a root has few: all others need no look at their path.
_NAMES = frozenset(end.rpartition("/")[2] for end, *_ in _FILES)


def looked_at(size: int) -> int:
    """How much of a file of this size, in bytes, is looked at."""
    return size if size <= WHOLE else BEGINNING


def what(path: str, data: bytes) -> str:
    """What kind of credential a file holds; empty for none."""
    if path.rpartition("/")[2] in _NAMES:
        for end, pattern, kind in _FILES:
            if path.endswith(end) and pattern.search(data):
                return kind
    if not _WORDS.search(data):
        return ""
    if _PUTTY.search(data):
        return "private key (PuTTY)"
    found = _PEM.search(data)
    if found is None:
        return ""
    label = found[1].decode().strip()
    names = {"OPENSSH": "OpenSSH", "PGP": "OpenPGP"}
    return f"private key ({names.get(label, 'PEM' + (f', {label}' if label else ''))})"
