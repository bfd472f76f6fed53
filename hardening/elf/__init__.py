"""Which system calls a program may make, read from its file and its libraries without running them."""
