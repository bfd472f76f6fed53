"""Secrets on their way into the container."""
