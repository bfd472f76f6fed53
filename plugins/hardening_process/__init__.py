"""Process: who runs the command, with which environment, within which limits.

Owns `[process]`, and of the OCI spec ``/process`` except capabilities, labels and `noNewPrivileges`, and
``/linux/resources`` with ``/linux/cgroupsPath``.
"""
