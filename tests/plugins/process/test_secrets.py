"""Secrets by their names, and by their values."""

from __future__ import annotations

import pytest

from hardening_process.secrets import why_secret


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "GITHUB_PAT",
        "PGPASSWORD",
        "SSHPASS",
        "LDAPPASSWORD",
        "ACCESSTOKEN",
        "DATABASE_URL",
        "REDIS_URI",
        "MYSQL_PWD",
        "DB_PASSWD",
        "SSH_AUTH_SOCK",
        "API_KEY",
        "secret_x",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert why_secret(name) == f"{name} is, by its name, a secret"


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "PWD", "OLDPWD", "KEYBOARD", "MONKEY", "AUTHOR", "TERM", "LC_ALL", "COMPAT", "PATTERN"),
        *("HOMEPAGE_URL", "DB_HOST", "SSL_BYPASS"),
    ],
)
def test_names_of_no_secrets(name: str) -> None:
    assert not why_secret(name)


@pytest.mark.parametrize("value", ["postgres://u:pw@h/db", "https://:pw@proxy:80", "x http://a:b@c"])
def test_a_value_with_a_password_in_it(value: str) -> None:
    assert why_secret("WHERE", value) == "WHERE holds a URL with a password"


@pytest.mark.parametrize("value", ["", "http://proxy:80/a@b", "https://user@host", "a:b@c", "http://h/?x=a:b@c", None])
def test_a_value_without(value: str | None) -> None:
    assert not why_secret("WHERE", value)
