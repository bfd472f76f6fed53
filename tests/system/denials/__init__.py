"""Real denials with their known smallest fix, and failures that no stack is the reason of."""
