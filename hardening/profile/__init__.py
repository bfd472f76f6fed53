"""Profiles: reading TOML with its lines, search path, `extends`."""
