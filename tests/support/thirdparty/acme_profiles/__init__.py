"""Profiles of a third party."""
