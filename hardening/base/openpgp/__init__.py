"""OpenPGP by GnuPG, for whoever signs or verifies: starting it, keyrings that are thrown away, keys of the caller's."""
