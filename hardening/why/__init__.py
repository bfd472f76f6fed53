"""Why something was denied, and the least that would permit it."""
