"""Images as roots: their names, where they come from, and the store that keeps them."""
