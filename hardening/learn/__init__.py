"""What runs of a command asked for, and the layer that gives them that and nothing else."""
