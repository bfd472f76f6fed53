"""The kernel as it is called: system calls, constants, mounts and ids."""
