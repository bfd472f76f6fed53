"""`config.json`, read and checked."""
