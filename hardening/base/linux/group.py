"""A user's own group, which umask 002 goes with."""

from __future__ import annotations

import errno
import posix

from hardening.base.linux import acl


def is_private(place: str | int, uid: int, gid: int) -> bool:
    """Whether writing as the group ``gid`` of what lies at a path or behind a descriptor is nothing that others than ``uid``
    could do, who is the caller, and not root.

    It is the caller's primary group, has the number of the user (useradd(8), USERGROUPS_ENAB in login.defs(5)), no other
    member (group(5)), and is nobody else's primary group (passwd(5)), as far as the system lists them. The bits of a file
    with an access control list are those of everybody in it instead.
    """
    own = posix.geteuid()
    if not own or not own == uid == gid == posix.getegid():
        return False
    try:
        posix.getxattr(place, acl.ATTRIBUTE)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOENT, errno.EOPNOTSUPP):
            return False
    else:
        return False
    import grp
    import pwd

    accounts, groups = pwd.getpwall(), grp.getgrall()
    try:  # what is kept elsewhere may be listed nowhere, and yet be found (sssd.conf(5), enumerate)
        groups.append(grp.getgrgid(gid))
        accounts.append(pwd.getpwuid(uid))
    except KeyError:
        pass
    names = {account.pw_name for account in accounts if account.pw_uid == uid}
    return all(account.pw_uid == uid for account in accounts if account.pw_gid == gid) and all(
        names.issuperset(group.gr_mem) for group in groups if group.gr_gid == gid
    )
