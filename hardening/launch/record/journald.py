"""journald as a sink of records."""

from __future__ import annotations

import errno
import select

from hardening.base import files, jsontext
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

MESSAGE_ID = "8d6f1f3d0f6a4e0f9c0b6f2b6d1c7a52"  # of every record, for `journalctl MESSAGE_ID=`
WARNING, INFORMATION = "4", "6"  # syslog(3)
TIMEOUT = 2000  # milliseconds that journald has to make room


class Journal:
    """journald, by its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    name = "journald"
    longest = 16384

    def __init__(self, path: str) -> None:
        """Connect. `OSError` where no journald listens."""
        self._socket = kernel.socket(abi.AF_UNIX, abi.SOCK_DGRAM)
        try:
            kernel.connect_unix(self._socket, files.encode(path))
            os.set_blocking(self._socket, False)
        except OSError:
            os.close(self._socket)
            raise

    def write(self, record: dict[str, object]) -> bool:
        """Send one datagram."""
        fields = {
            "MESSAGE": f"{record['event']} {record['id']}",
            "MESSAGE_ID": MESSAGE_ID,
            "PRIORITY": WARNING if record["event"] == "refused" else INFORMATION,
            "SYSLOG_IDENTIFIER": "hardening",
            "HARDENING_EVENT": record["event"],
            "HARDENING_ID": record["id"],
            "HARDENING_RECORD": jsontext.dump(record),
        }
        # JSON text has no line breaks, and neither have the others.
        data = "".join(f"{name}={value}\n" for name, value in fields.items()).encode("ascii")
        ready = select.poll()
        ready.register(self._socket, select.POLLOUT)
        if not ready.poll(TIMEOUT):
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        os.write(self._socket, data)
        return True

    def close(self) -> None:
        """Close the socket."""
        os.close(self._socket)
