"""Which value wins, and why."""
