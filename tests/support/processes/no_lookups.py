"""Run a program that ends at its first name look-up: ``python -m tests.support.processes.no_lookups ...``.

Look-ups need a datagram socket of IPv4 or IPv6. A seccomp filter ends the process that creates one,
with the signal SIGSYS, also from native code. Needs no privileges; only on Linux.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

SOCKET_CALL = {"x86_64": 41, "aarch64": 198}
CALL_NUMBER, DOMAIN, TYPE = 0, 16, 24
"""Offsets in ``struct seccomp_data``, the arguments as little-endian 64 bits."""
LOAD, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
TYPE_MASK = 0xF
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2


def program(call: int) -> list[tuple[int, int, int, int]]:
    """The filter: (code, jump if true, jump if false, operand)."""
    return [
        (LOAD, 0, 0, CALL_NUMBER),
        (JUMP_IF_EQUAL, 0, 7, call),
        (LOAD, 0, 0, DOMAIN),
        (JUMP_IF_EQUAL, 1, 0, socket.AF_INET),
        (JUMP_IF_EQUAL, 0, 4, socket.AF_INET6),
        (LOAD, 0, 0, TYPE),
        (AND, 0, 0, TYPE_MASK),
        (JUMP_IF_EQUAL, 0, 1, socket.SOCK_DGRAM),
        (RETURN, 0, 0, KILL),
        (RETURN, 0, 0, ALLOW),
    ]


def main() -> None:
    """Set the filter, which stays for the program and its children."""
    instructions = program(SOCKET_CALL[platform.machine()])
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
    header = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, FILTER, header)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the program of the test


if __name__ == "__main__":
    main()
