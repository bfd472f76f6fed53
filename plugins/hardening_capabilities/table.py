"""The capabilities that Linux knows, as data: name, number, meaning, and what the dangerous ones give away.

Names and numbers are those of ``include/uapi/linux/capability.h``, meanings those of capabilities(7). Names stand
without the prefix ``CAP_``.
"""

from __future__ import annotations

from types import MappingProxyType

from hardening.base.values import frozen


@frozen
class Capability:
    """One capability. ``kernel`` is the first version that has it; ``risk`` says in a line why it is dangerous, empty
    where it is not, and ``instead`` names a smaller way to the usual goal."""

    name: str
    number: int
    meaning: str
    risk: str = ""
    instead: str = ""
    kernel: str = "2.6"


ALL: tuple[Capability, ...] = (
    Capability("CHOWN", 0, "change the owner and group of any file"),
    Capability("DAC_OVERRIDE", 1, "read, write and execute files whatever their permission bits say"),
    Capability(
        "DAC_READ_SEARCH",
        2,
        "read any file, search any directory, and open files by handle",
        "open_by_handle_at(2) reaches files outside the container's root on the same file system",
        "give the command's user or group read permission, or mount what it reads as a read-only volume",
    ),
    Capability("FOWNER", 3, "act as the owner of any file: chmod, utime, ACLs, sticky directories"),
    Capability("FSETID", 4, "keep set-user-ID and set-group-ID bits when a file is changed"),
    Capability("KILL", 5, "signal processes of any user"),
    Capability("SETGID", 6, "change the process's group ids and supplementary groups"),
    Capability("SETUID", 7, "change the process's user ids"),
    Capability("SETPCAP", 8, "take capabilities from the bounding set, and add inheritable ones"),
    Capability(
        "LINUX_IMMUTABLE",
        9,
        "set and clear the immutable and append-only attributes of files",
        "append-only logs can be made writable and rewritten",
        "set the attributes from the host before the launch",
    ),
    Capability("NET_BIND_SERVICE", 10, "bind ports below net.ipv4.ip_unprivileged_port_start"),
    Capability("NET_BROADCAST", 11, "unused by the kernel"),
    Capability(
        "NET_ADMIN",
        12,
        "configure interfaces, routes, firewalls and traffic control of the network namespace",
        "rewrites routes and firewall rules, and reaches large, rarely hardened parts of the kernel",
        "set the network up from the host, and keep a private network namespace",
    ),
    Capability(
        "NET_RAW",
        13,
        "use raw and packet sockets",
        "forges packets and reads other traffic of the same network, such as ARP and DNS replies",
        "for ping, set the sysctl net.ipv4.ping_group_range",
    ),
    Capability("IPC_LOCK", 14, "lock memory beyond RLIMIT_MEMLOCK"),
    Capability("IPC_OWNER", 15, "use System V IPC objects whatever their permission bits say"),
    Capability(
        "SYS_MODULE",
        16,
        "load and unload kernel modules",
        "code of the container's choice runs in the kernel",
        "load the module on the host before the launch",
    ),
    Capability(
        "SYS_RAWIO",
        17,
        "use I/O ports, /dev/mem and raw commands of devices",
        "reads and writes physical memory and disks below the file system",
        "give the one device node that is needed",
    ),
    Capability("SYS_CHROOT", 18, "use chroot(2), and join mount namespaces together with SYS_ADMIN"),
    Capability(
        "SYS_PTRACE",
        19,
        "trace any process, and read and write its memory",
        "reads the secrets and takes over every process that the PID namespace shows",
        "trace as the same user: that needs no capability, given kernel.yama.ptrace_scope",
    ),
    Capability(
        "SYS_PACCT",
        20,
        "switch process accounting on and off",
        "turns off records that an audit relies on",
        "leave accounting to the host",
    ),
    Capability(
        "SYS_ADMIN",
        21,
        "mount, set host names, quotas and much more: the kernel's catch-all",
        "mounts file systems, joins namespaces and reaches most of the kernel: near to full root",
        "use BPF, PERFMON, CHECKPOINT_RESTORE or SYSLOG where one of them is enough, or a volume instead of a mount",
    ),
    Capability(
        "SYS_BOOT",
        22,
        "reboot, and load another kernel with kexec",
        "stops or replaces the running kernel",
        "reboot from the host",
    ),
    Capability("SYS_NICE", 23, "raise priorities, and set scheduling and CPU affinity of any process"),
    Capability("SYS_RESOURCE", 24, "go beyond resource limits, quotas and reserved disk space"),
    Capability(
        "SYS_TIME",
        25,
        "set the system's clock",
        "a changed clock accepts expired certificates and falsifies logs of the whole host",
        "a time namespace for offsets of the monotonic clocks",
    ),
    Capability("SYS_TTY_CONFIG", 26, "hang terminals up and configure virtual terminals"),
    Capability(
        "MKNOD",
        27,
        "make device nodes",
        "makes a node for any device; only the device cgroup then stands between the container and the disks",
        "give the device nodes that are needed",
    ),
    Capability("LEASE", 28, "take leases on any file"),
    Capability("AUDIT_WRITE", 29, "write records to the kernel's audit log"),
    Capability(
        "AUDIT_CONTROL",
        30,
        "switch auditing on and off and change its rules",
        "turns the audit trail off, and sets the login uid that names the responsible person",
        "configure auditing on the host",
    ),
    Capability("SETFCAP", 31, "give capabilities to files, and map uid 0 into a new user namespace"),
    Capability(
        "MAC_OVERRIDE",
        32,
        "ignore mandatory access control (Smack)",
        "lifts the access control that the host's policy imposes",
        "change the policy for the one access that is needed",
    ),
    Capability(
        "MAC_ADMIN",
        33,
        "change mandatory access control: policy, and labels that the policy does not know",
        "changes the access control that the host's policy imposes",
        "change the policy on the host",
    ),
    Capability(
        "SYSLOG",
        34,
        "read and clear the kernel's log, and see kernel addresses",
        "kernel addresses are what an exploit of the kernel needs first",
        "read the log on the host",
    ),
    Capability("WAKE_ALARM", 35, "set alarms that wake the system up", kernel="3.0"),
    Capability("BLOCK_SUSPEND", 36, "keep the system from suspending", kernel="3.5"),
    Capability("AUDIT_READ", 37, "read the kernel's audit log through netlink", kernel="3.16"),
    Capability(
        "PERFMON",
        38,
        "use perf events and tracing that observe the whole system",
        "observes other processes and the kernel, secrets in their memory included",
        "kernel.perf_event_paranoid at 2 permits measuring the command's own processes",
        kernel="5.8",
    ),
    Capability(
        "BPF",
        39,
        "load BPF programs and maps of most kinds",
        "programs of the container's choice run in the kernel, behind a verifier that has had holes",
        "load and pin the program from the host, and give its file as a volume",
        kernel="5.8",
    ),
    Capability(
        "CHECKPOINT_RESTORE",
        40,
        "checkpoint and restore processes: choose PIDs, read map_files of any process",
        "reads files that other processes have mapped",
        "checkpoint from the host",
        kernel="5.9",
    ),
)

BY_NAME = MappingProxyType({capability.name: capability for capability in ALL})


def mask_names(mask: int) -> frozenset[str]:
    """The names of the capabilities whose bits are set; bits without a name here are left out."""
    return frozenset(capability.name for capability in ALL if mask >> capability.number & 1)
