"""How exposed a command is: what its configuration leaves open, weighed, from 0 to 10."""
