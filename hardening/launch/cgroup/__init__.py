"""Control groups of containers."""
