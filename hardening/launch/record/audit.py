"""The kernel's audit system as a sink of records (netlink(7), audit(7))."""

from __future__ import annotations

import errno
import select
import sys

from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

NLMSG_HEADER = 16  # sizeof(struct nlmsghdr)
VIRT_CONTROL = 2500  # libaudit.h: "Start, Pause, Stop VM", what libvirt writes of its containers
TIMEOUT = 2000  # milliseconds that the kernel has to answer


class Audit:
    """The kernel's audit system (audit(7)), which stamps each record with the caller's own login uid."""

    name = "audit"
    longest = 1400  # so that a record in hexadecimal fits into a message

    def __init__(self) -> None:
        """Ask for the state of the audit system: a thread of the kernel answers, meanwhile there is other work to do.

        `OSError` where there is none, or for nobody in the caller's place.
        """
        self._socket = kernel.socket(abi.AF_NETLINK, abi.SOCK_RAW, abi.NETLINK_AUDIT)
        self._sequence = 0
        self._certain: bool | None = None
        try:
            self._send(abi.AUDIT_GET, b"", abi.NLM_F_REQUEST)
        except OSError:
            os.close(self._socket)
            raise
        self._waiting = True  # for the answer, which comes once

    def connected(self) -> Audit:
        """This, once the answer is there. `OSError` where the caller may not write, or nobody would keep what is written."""
        if self._certain is None:
            self._certain = self._is_kept()
        return self

    def _is_kept(self) -> bool:
        """Whether a daemon takes the records; False where only CAP_AUDIT_CONTROL could tell.

        Without a daemon they would go to the kernel's ring buffer, and with auditing off nowhere, both without an error.
        """
        if not self._waiting:
            raise OSError(errno.ENOTCONN, "it has been asked before")
        self._waiting = False
        try:
            kind, payload = self._receive()
        except PermissionError:
            return False
        enabled, daemon = (int.from_bytes(payload[at : at + 4], sys.byteorder) for at in (4, 12))
        if kind != abi.AUDIT_GET or not enabled or not daemon:
            raise OSError(errno.ENOTCONN, "no audit daemon is running")
        return True

    def write(self, record: dict[str, object]) -> bool:
        """Send one user message and wait until the kernel has taken it."""
        from hardening.launch.record.audit_text import audit_text

        text = audit_text(record).encode("ascii")
        self._send(VIRT_CONTROL, text + b"\0", abi.NLM_F_REQUEST | abi.NLM_F_ACK)
        self._receive()
        return bool(self._certain)

    def close(self) -> None:
        """Close the socket."""
        os.close(self._socket)

    def _send(self, kind: int, payload: bytes, flags: int) -> None:
        self._sequence += 1
        order = sys.byteorder
        size = NLMSG_HEADER + len(payload)
        header = (size.to_bytes(4, order), kind.to_bytes(2, order), flags.to_bytes(2, order))
        os.write(self._socket, b"".join((*header, self._sequence.to_bytes(4, order), bytes(4), payload)))

    def _receive(self) -> tuple[int, bytes]:
        """The type and the content of the answer. `OSError`, also where it says so."""
        order = sys.byteorder
        ready = select.poll()
        ready.register(self._socket, select.POLLIN)
        while True:
            if not ready.poll(TIMEOUT):
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            data = os.read(self._socket, abi.AUDIT_MESSAGE_TEXT_MAX)
            if int.from_bytes(data[8:12], order) != self._sequence:
                continue
            answer = int.from_bytes(data[4:6], order)
            if answer == abi.NLMSG_ERROR:
                number = -int.from_bytes(data[16:20], order, signed=True)
                if number:
                    raise OSError(number, os.strerror(number))
            return answer, data[NLMSG_HEADER:]
