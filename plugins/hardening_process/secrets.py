"""Which variables hold a secret, as far as a name and a value tell."""

from __future__ import annotations

import re

_WORDS = frozenset(
    (
        *("SECRET", "SECRETS", "TOKEN", "TOKENS", "CREDENTIAL", "CREDENTIALS", "COOKIE", "AUTH"),
        *("PASS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSWDS", "PASSPHRASE", "PASSPHRASES", "PWD"),
        *("KEY", "KEYS", "APIKEY", "DSN", "PAT"),
    )
)
#: How a word ends that names a secret together with whose it is: PGPASSWORD, SSHPASS, ACCESSTOKEN.
_ENDINGS = ("PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY")
#: What is reached by a URL that has the password in it, by common use: DATABASE_URL.
_SERVICES = frozenset(("DATABASE", "DB", "POSTGRES", "MYSQL", "MONGO", "MONGODB", "REDIS", "AMQP", "BROKER"))
_ADDRESSES = frozenset(("URL", "URI"))
#: Names that end like a secret and are none.
_HARMLESS = frozenset({"PWD", "OLDPWD", "BYPASS", "COMPASS"})
#: The password of a URL (RFC 3986, section 3.2.1).
_PASSWORD = re.compile(r"://[^/?#\s@:]*:[^/?#\s@]+@")


def why_secret(name: str, value: str | None = "") -> str:
    """Why a variable is taken for a secret; '' where nothing tells that it is one."""
    words = name.upper().split("_")
    if name not in _HARMLESS and (
        not _WORDS.isdisjoint(words)
        or any(word.endswith(_ENDINGS) and word not in _HARMLESS for word in words)
        or not (_SERVICES.isdisjoint(words) or _ADDRESSES.isdisjoint(words))
    ):
        return f"{name} is, by its name, a secret"
    return f"{name} holds a URL with a password" if value and _PASSWORD.search(value) else ""
