"""What the findings about a root file system mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "system-volume": FindingRule(
        "HRD401",
        "A directory of the host that is shown whole",
        "Of `/`, `/etc`, `/home` and their like a command needs some files, and is shown the secrets, sockets and "
        "programs of all others.",
        "Name the files or directories that are needed.",
        '[rootfs]\nvolumes.add = ["/var:/host:ro"]\n',
        '[rootfs]\nvolumes.add = ["/srv/www:/srv/www:ro"]\n',
    ),
    "suid-*": FindingRule(
        "HRD402",
        "Set-user-ID programs that work",
        "Whoever can put a program there lends its owner's rights to the command, or to others.",
        "Drop `suid` from the options of the mount.",
        '[rootfs]\nvolumes.add = ["/srv/tools:/opt/tools:ro,suid"]\n',
        '[rootfs]\nvolumes.add = ["/srv/tools:/opt/tools:ro"]\n',
    ),
    "dev-*": FindingRule(
        "HRD403",
        "Device nodes that work",
        "A node on a volume or in memory reaches the device itself, past every permission of files.",
        "Drop `dev`, and name the device that is needed in `devices`.",
        '[rootfs]\nvolumes.add = ["/srv/data:/data:ro,dev"]\n',
        '[rootfs]\nvolumes.add = ["/srv/data:/data:ro"]\n',
    ),
    "exec-*": FindingRule(
        "HRD404",
        "A place that can be written to and run from",
        "What an attacker leaves there runs: a download becomes a program.",
        "Add `noexec` to a volume, drop `exec` from a tmpfs.",
        '[rootfs]\ntmpfs.add = ["/scratch:exec"]\n',
        '[rootfs]\ntmpfs.add = ["/scratch"]\n',
    ),
    "shared-volume": FindingRule(
        "HRD405",
        "A volume whose mounts appear on the host",
        "A mount that the command makes there hides or replaces files of the host (mount_namespaces(7), shared "
        "subtrees).",
        "Use `rslave`, or nothing.",
        '[rootfs]\nvolumes.add = ["/srv/data:/data:ro,rshared"]\n',
        '[rootfs]\nvolumes.add = ["/srv/data:/data:ro,rslave"]\n',
    ),
    "shared-propagation": FindingRule(
        "HRD406",
        "Mounts of the command that appear on the host",
        "The same as HRD405 for the whole tree.",
        'Write `propagation = "private"` or `"slave"`.',
        '[rootfs]\npropagation = "shared"\n',
        '[rootfs]\npropagation = "slave"\n',
    ),
    "visible-processes": FindingRule(
        "HRD407",
        "Processes of others that are visible",
        "Command lines and environments of other users' processes are worth reading (proc(5), hidepid); with the "
        "host's process ids it is a warning.",
        'Write `proc.hidepid = "invisible"`.',
        '[rootfs]\nproc.hidepid = "off"\n',
        '[rootfs]\nproc.hidepid = "invisible"\n',
        severity=Severity.NOTE,
    ),
    "writable-kernel-path": FindingRule(
        "HRD408",
        "A path of the kernel that can be written to",
        "Parameters below /proc/sys and /sys are the host's, whatever namespaces the command has.",
        "Add it to `read_only_paths`.",
        '[rootfs]\nread_only_paths.drop = ["/proc/sysrq-trigger"]\n',
        "[rootfs]\n",
    ),
    "unmasked-path": FindingRule(
        "HRD409",
        "A path of the kernel that is not masked",
        "It tells about the host's memory, keys or hardware.",
        "Take it out of `masked_paths.drop`.",
        '[rootfs]\nmasked_paths.drop = ["/proc/keys"]\n',
        "[rootfs]\n",
        severity=Severity.NOTE,
    ),
    "shown-secret": FindingRule(
        "HRD410",
        "A secret place of the host that is not hidden",
        "With the host's own root the command reads what is kept there as far as its user may.",
        "Take it out of `hidden_paths.drop`.",
        '[rootfs]\npath = "/"\nhidden_paths.drop = ["/etc/shadow"]\n',
        '[rootfs]\npath = "/"\n',
    ),
    "writable-root": FindingRule(
        "HRD411",
        "A root that can be written to",
        "What the command changes in its programs and configuration stays for the next run.",
        "Write `read_only = true`, and give it a tmpfs or a volume for what it writes.",
        '[rootfs]\npath = "/srv/root"\nread_only = false\n',
        '[rootfs]\npath = "/srv/root"\nread_only = true\n',
    ),
    "device": FindingRule(
        "HRD412",
        "A device of the host",
        "The command talks to the driver, which trusts it more than a file system would.",
        "Leave it out unless the command needs that very device.",
        '[rootfs]\ndevices = ["/dev/kvm"]\n',
        "[rootfs]\ndevices = []\n",
        severity=Severity.NOTE,
    ),
    "volume-over-tmpfs": FindingRule(
        "HRD413",
        "A volume replaces a tmpfs",
        "Both are said of one place, and what is written there stays, on the host's disk.",
        "Say one of the two.",
        '[rootfs]\ntmpfs.add = ["/scratch"]\nvolumes.add = ["/srv/scratch:/scratch:ro"]\n',
        '[rootfs]\nvolumes.add = ["/srv/scratch:/scratch:ro"]\n',
        severity=Severity.NOTE,
    ),
    "sysctls-without-proc-sys": FindingRule(
        "HRD414",
        "Kernel parameters that runc could not set",
        "runc writes them below /proc/sys, which `proc.subset` takes away.",
        'Use another runtime, or write `proc.subset = ""` in `[rootfs]`.',
        '[rootfs]\nproc.subset = "pid"\n[namespaces]\nsysctls = { "net.ipv4.ip_forward" = "0" }\n',
        '[rootfs]\nproc.subset = ""\n[namespaces]\nsysctls = { "net.ipv4.ip_forward" = "0" }\n',
        severity=Severity.NOTE,
    ),
    "control-socket": FindingRule(
        "HRD415",
        "A volume with a socket that gives control of the host",
        "Whoever talks to the socket of an engine, a bus or a manager has it start what they like, with the rights of "
        "root or of the caller: a socket of theirs, or one with a name that such a service gives to its own.",
        "There is no secure path to share this socket.",
        severity=Severity.ERROR,
    ),
    "socket-volume": FindingRule(
        "HRD416",
        "A volume with a socket",
        "Somebody of the host listens there, and takes what the command says.",
        "Leave it out unless the command needs that service.",
    ),
    "secret-volume": FindingRule(
        "HRD417",
        "A volume that shows what is otherwise hidden",
        "It is hidden for what it holds, and an exception, or a directory in a home, shows it.",
        "Leave it out, or name a directory that holds no secrets.",
    ),
    "unmapped-volume": FindingRule(
        "HRD418",
        "A volume that the command cannot write to, for its owner is unmapped",
        "No id of the command's user namespace stands for its owner, so that nobody in there may write.",
        "Add `idmap`.",
        severity=Severity.NOTE,
    ),
    "discarded-top": FindingRule(
        "HRD419",
        "What is made at the top of a writable root and goes with the run",
        "A limit withholds devices, so that another runtime than the native launcher gets a layer over the top of the "
        "root: what is made there is not kept.",
        "Write below its directories, or use `--runtime native`.",
    ),
}
