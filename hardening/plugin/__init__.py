"""Plugins: discovery, registration, checks."""
