"""Assertions beside a profile (``web.test.toml``): what its stack is to permit and to deny, and what a command comes to."""
