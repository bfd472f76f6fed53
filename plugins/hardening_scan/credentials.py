"""Which files hold a private key, a password or a token. Only what kind it is is ever told."""

from __future__ import annotations

import re

# Files are hostile, and `re` tries everything: no part of a pattern matches what its neighbour does, and none that begins a
# line goes on to the next.

#: Files up to this size, in bytes, are read whole, of larger ones this much.
WHOLE, BEGINNING = 1 << 20, 1 << 16

_PEM = re.compile(
    rb"^-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY(?: BLOCK)?-----[ \t]*\r?\n"
    rb"(?:[A-Za-z-]+:[^\n]*\n|[ \t]*\r?\n)*[A-Za-z0-9+/=]{16}",
    re.MULTILINE,
)
#: What stands in every file that the patterns of contents are for: most files are done with it.
_WORDS = re.compile(rb"PRIVATE KEY|PuTTY-User-Key-File|AGE-SECRET-KEY-1|PrivateKey|private-key")
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
#: Files by the end of their path, what has to stand in them, and what that is.
_FILES: tuple[tuple[str, re.Pattern[bytes], str], ...] = tuple(
    (end, re.compile(pattern, re.MULTILINE), what)
    for end, pattern, what in (
        ("/.aws/credentials", rb"^[ \t]*aws_(?:secret_access_key|session_token)[ \t]*=[ \t]*\S", "keys of AWS"),
        ("/gcloud/application_default_credentials.json", rb'"refresh_token"\s*:\s*"[^"]', "a token of Google Cloud"),
        ("/.docker/config.json", rb'"(?:auth|identitytoken|password)"\s*:\s*"[^"]', "a registry's password or token"),
        ("/.dockercfg", rb'"(?:auth|password)"\s*:\s*"[^"]', "a registry's password"),
        ("/containers/auth.json", rb'"(?:auth|identitytoken)"\s*:\s*"[^"]', "a registry's password or token"),
        ("/.netrc", rb"\bpassword\s+\S", "a password"),
        ("/.pgpass", rb"^[^#\n:][^\n:]*:(?:[^\n:]*:){3}[^\n]", "a database password"),
        ("/.my.cnf", rb"^[ \t]*password[ \t]*=[ \t]*\S", "a database password"),
        ("/.git-credentials", rb"^https?://[^/\s:]*:[^/\s@]+@", "a password of git"),
        ("/gh/hosts.yml", rb"^[ \t]*oauth_token:[ \t]*\S", "a token of GitHub"),
        ("/.npmrc", rb"(?:_authToken|_auth|_password)[ \t]*=[ \t]*\S", "a token of npm"),
        ("/.pypirc", rb"^[ \t]*password[ \t]*[=:][ \t]*\S", "a password of PyPI"),
        ("/.cargo/credentials.toml", rb"^[ \t]*token[ \t]*=[ \t]*[\"']\S", "a token of Cargo"),
        ("/.cargo/credentials", rb"^[ \t]*token[ \t]*=[ \t]*[\"']\S", "a token of Cargo"),
        ("/.gem/credentials", rb"^[ \t]*:?\w*api_key:[ \t]*\S", "a key of RubyGems"),
        ("/.m2/settings.xml", rb"<(?:password|passphrase)>[^<$\s]", "a password of Maven"),
        ("/.terraform.d/credentials.tfrc.json", rb'"token"\s*:\s*"[^"]', "a token of Terraform"),
        ("/.vault-token", rb"\A\s*\S{20}", "a token of Vault"),
        (
            "/.kube/config",
            rb"^[ \t]*(?:- )?(?:client-key-data|token|password):[ \t]*\S",
            "a key or token of Kubernetes",
        ),
        ("/etc/shadow", rb"^[^:\n]+:!?\$[^:\n]+", "a password hash"),
        ("/etc/gshadow", rb"^[^:\n]+:!?\$[^:\n]+", "a password hash"),
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
    if not _WORDS.search(data):
        return ""
    for pattern, kind in _CONTENTS:
        if pattern.search(data):
            return kind
    found = _PEM.search(data)
    if found is None:
        return ""
    label = found[1].decode().strip()
    names = {"OPENSSH": "OpenSSH", "PGP": "OpenPGP"}
    return f"private key ({names.get(label, 'PEM' + (f', {label}' if label else ''))})"
