"""What an upgrade will break under a stack, before it runs: what a new root's programs may do that the old one's did not."""
