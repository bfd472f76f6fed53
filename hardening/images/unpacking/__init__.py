"""Layers -> a root directory."""
