"""For tests of authors of plugins."""
