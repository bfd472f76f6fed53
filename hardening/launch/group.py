"""A user's own group, which umask 002 goes with."""

from __future__ import annotations

import errno
import posix

_ACL = "system.posix_acl_access"  # acl(5)


def is_private(place: str | int, uid: int, gid: int) -> bool:
    """Whether writing as the group ``gid`` of what lies at a path or behind a descriptor is nothing that others than ``uid``
    could do, who is the caller, and not root.

    It is the caller's primary group, has the number of the user (useradd(8), USERGROUPS_ENAB in login.defs(5)) and no other
    member (group(5)). The bits of a file with an access control list are those of everybody in it instead.
    """
    own = posix.geteuid()
    if not own or not own == uid == gid == posix.getegid():
        return False
    try:
        posix.getxattr(place, _ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOENT, errno.EOPNOTSUPP):
            return False
    else:
        return False
    from grp import getgrgid
    from pwd import getpwuid

    try:
        return set(getgrgid(gid).gr_mem) <= {getpwuid(uid).pw_name}
    except KeyError:  # without a name, nobody can be put into it
        return True
