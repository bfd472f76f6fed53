"""Two stacks held against each other, by what they permit."""
