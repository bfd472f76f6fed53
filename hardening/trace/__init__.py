"""What a run asks of the kernel: its system calls, seen from outside (ptrace(2))."""
