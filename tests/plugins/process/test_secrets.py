"""Secrets by their names."""

from __future__ import annotations

import pytest

from hardening_process.secrets import is_secret


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "PGPASSWORD_PASSWORD",
        "DB_PASSWD",
        "SSH_AUTH_SOCK",
        "API_KEY",
        "secret_x",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["PATH", "HOME", "PWD", "OLDPWD", "KEYBOARD", "MONKEY", "AUTHOR", "TERM", "LC_ALL"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)
