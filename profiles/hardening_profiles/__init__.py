"""The profiles that hardening ships: TOML files, found through the entry-point group ``hardening.profiles``."""
