#!/usr/bin/env python3
"""Start Chromium without news of network interfaces: ``steady_chromium.py ARGUMENT…``.

When an address appears or goes, Chromium breaks off every request with ``ERR_NETWORK_CHANGED``, also
those to localhost (https://issues.chromium.org/issues/41465264; no flag turns it off). Each server
that another test starts makes a bridge. Chromium hears of addresses by a netlink socket and takes the
network for unchanging where it gets none, so a seccomp filter refuses it that one kind of socket.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

# linux/prctl.h, linux/seccomp.h, linux/bpf_common.h
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

NUMBER_OF_CALL = 0  # offsetof(struct seccomp_data, nr)
FIRST_ARGUMENT = 16  # offsetof(struct seccomp_data, args[0]), little endian
SOCKET = {"x86_64": 41, "aarch64": 198}


class Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One ``struct sock_filter`` of linux/filter.h."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def refuse_netlink() -> None:
    """From here on this process and its children get EAFNOSUPPORT when they ask for a netlink socket.

    Raises:
        KeyError: on a machine whose number of the call is not known here.
        OSError: when the kernel does not take the filter.
    """
    code = b"".join(
        (
            instruction(LOAD_WORD, NUMBER_OF_CALL),
            instruction(JUMP_IF_EQUAL, SOCKET[os.uname().machine], if_false=3),
            instruction(LOAD_WORD, FIRST_ARGUMENT),
            instruction(JUMP_IF_EQUAL, socket.AF_NETLINK, if_false=1),
            instruction(RETURN, SECCOMP_RET_ERRNO | errno.EAFNOSUPPORT),
            instruction(RETURN, SECCOMP_RET_ALLOW),
        )
    )
    held = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.cast(held, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "the kernel took no filter of calls")


if __name__ == "__main__":
    refuse_netlink()
    os.execv(CHROMIUM, [CHROMIUM, *sys.argv[1:]])  # noqa: S606  # no shell is wanted
