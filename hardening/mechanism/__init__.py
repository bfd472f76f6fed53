"""What an author of a plugin subclasses."""
