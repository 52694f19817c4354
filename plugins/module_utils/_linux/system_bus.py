# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask services on the system bus (D-Bus) over one connection: busctl needs a process, and a connection, for each.

Only what questions need is here: arguments are strings, and nothing is sent by signal or served to others. The format
is that of the D-Bus specification, sections "Authentication Protocol", "Type System" and "Message Protocol".
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Callable

# Seconds to wait for an answer; longer than any takes: firewalld lists 5,000 addresses in 5.
PATIENCE = 300
_SOCKET = "/run/dbus/system_bus_socket"
_ENDIAN = b"l" if sys.byteorder == "little" else b"B"
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
# Kinds of messages, a flag, and fields of their headers.
_CALL, _REPLY, _ERROR = 1, 2, 3
_NO_AUTO_START = 2
_PATH, _INTERFACE, _MEMBER, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 5, 6, 8
_HEADER = struct.Struct("=cBBBIII")  # byte order, kind, flags, version, bytes of the body, serial, bytes of the fields
_VERSION = 1
# Types of a fixed size, as `struct` has them; a value is aligned to its size.
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENTS = {"g": 1, "v": 1, "(": 8, "{": 8, **{code: struct.calcsize(form) for code, form in _FIXED.items()}}


class ErrorReply(RuntimeError):
    """A service has answered with an error."""


class SystemBus:
    """A connection to the system bus, made by the first question."""

    def __init__(self, path: str = _SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._serial = 0
        # busctl knows all forms of another address.
        self._is_usable = "DBUS_SYSTEM_BUS_ADDRESS" not in os.environ

    def ask(self, service: str, path: str, interface: str, method: str, *arguments: str) -> list[Any] | None:
        """Return the values that a method returns, or None if the bus cannot be asked in this way: then use busctl.

        Values are what busctl prints as JSON: structs are lists, and a variant has its `type` and its `data`. A service
        that does not run is not started. Raises ErrorReply.
        """
        try:
            return self._asked((service, path, interface, method), arguments) if self._is_usable else None
        except ErrorReply:
            raise
        except socket.timeout as exc:
            self._close()
            raise ErrorReply(f"no answer within {PATIENCE} s") from exc
        except (OSError, ValueError, LookupError, struct.error):
            self._close()
            return None
        except BaseException:
            # For example that the time for a change is over: half an answer may be left in the socket.
            self._close()
            raise

    def _asked(self, target: Sequence[str], arguments: Sequence[str]) -> list[Any]:
        if self._socket is None:
            self._connect()
            self._answer(_BUS, ())
        return self._answer(target, arguments)

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(self._path)
        user = str(os.geteuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {user}\r\nBEGIN\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._received(1)
        if not line.startswith(b"OK "):
            raise ValueError(f"The bus does not accept this user: {line!r}")

    @property
    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise OSError("There is no connection to the bus.")
        return self._socket

    def _answer(self, target: Sequence[str], arguments: Sequence[str]) -> list[Any]:
        self._serial += 1
        self._connected.sendall(call_message(self._serial, target, arguments))
        kind, fields, body = self._message()
        # The bus also sends signals, such as the name of this connection.
        while kind not in (_REPLY, _ERROR) or fields.get(_REPLY_SERIAL) != self._serial:
            kind, fields, body = self._message()
        values = Reader(body).values(fields.get(_SIGNATURE, ""))
        if kind == _ERROR:
            raise ErrorReply(str(values[0]) if values else "no reason given")
        return values

    def _message(self) -> tuple[int, dict[int, Any], bytes]:
        """Return the kind of the next message, its fields and its body."""
        header = self._received(_HEADER.size)
        endian, kind, _flags, _version, body_size, _serial, fields_size = _HEADER.unpack(header)
        if endian != _ENDIAN:
            raise ValueError("The message has another byte order.")
        # The fields are an array of a number and a value. It begins with its size, which is the end of the header.
        (fields,) = Reader(header + self._received(_padded(fields_size, 8)), _HEADER.size - 4).values("a(yv)")
        return kind, {code: value["data"] for code, value in fields}, self._received(body_size)

    def _received(self, size: int) -> bytes:
        parts = []
        while size:
            parts.append(self._connected.recv(min(size, 1 << 20)))
            if not parts[-1]:
                raise OSError("The bus has closed the connection.")
            size -= len(parts[-1])
        return b"".join(parts)

    def _close(self) -> None:
        self._is_usable = False
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()


# ---- messages


def _padded(size: int, alignment: int) -> int:
    return size + -size % alignment


def _aligned(data: bytes, alignment: int) -> bytes:
    return data.ljust(_padded(len(data), alignment), b"\0")


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("=I", len(raw)) + raw + b"\0"


def _signature(text: str) -> bytes:
    return bytes([len(text)]) + text.encode() + b"\0"


def call_message(serial: int, target: Sequence[str], arguments: Sequence[str]) -> bytes:
    """Return the message that calls a method; `target` is its service, path, interface and name."""
    service, path, interface, method = target
    fields = [
        (_PATH, "o", _string(path)),
        (_INTERFACE, "s", _string(interface)),
        (_MEMBER, "s", _string(method)),
        (_DESTINATION, "s", _string(service)),
    ]
    fields += [(_SIGNATURE, "g", _signature("s" * len(arguments)))] if arguments else []
    array = body = b""
    for code, kind, value in fields:
        array = _aligned(array, 8) + bytes([code]) + _signature(kind) + value
    for argument in arguments:
        body = _aligned(body, 4) + _string(argument)
    header = _HEADER.pack(_ENDIAN, _CALL, _NO_AUTO_START, _VERSION, len(body), serial, len(array))
    return _aligned(header + array, 8) + body


class Reader:
    """Reads values from bytes, from a place on. Raises LookupError, ValueError, struct.error if they are malformed."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self._data, self._place = data, place
        self._readers: dict[str, Callable[[str], Any]] = {
            "s": self._text,
            "o": self._text,
            "g": self._text,
            "v": self._variant,
            "a": self._array,
            "(": self._struct,
        }

    def values(self, signature: str) -> list[Any]:
        """Return the values of a signature such as `sas`."""
        return [self._value(kind) for kind in types_of(signature)]

    def _value(self, kind: str) -> Any:
        return self._number(kind) if kind in _FIXED else self._readers[kind[0]](kind)

    def _number(self, kind: str) -> Any:
        form = _FIXED[kind]
        self._align(struct.calcsize(form))
        (value,) = struct.unpack_from("=" + form, self._data, self._place)
        self._place += struct.calcsize(form)
        return bool(value) if kind == "b" else value

    def _text(self, kind: str) -> str:
        size = self._number("y" if kind == "g" else "u")
        start, self._place = self._place, self._place + size + 1
        if self._place > len(self._data):
            raise ValueError("A text is longer than the message.")
        return self._data[start : self._place - 1].decode()

    def _variant(self, kind: str) -> dict[str, Any]:
        signature = self._text("g")
        (value,) = self.values(signature)
        return {"type": signature, "data": value}

    def _array(self, kind: str) -> Any:
        size, element = self._number("u"), kind[1:]
        self._align(_ALIGNMENTS.get(element[0], 4))
        end, items = self._place + size, []
        while self._place < end:
            items.append(self._struct(element) if element[0] == "{" else self._value(element))
        return dict(items) if element[0] == "{" else items

    def _struct(self, kind: str) -> list[Any]:
        self._align(8)
        return self.values(kind[1:-1])

    def _align(self, alignment: int) -> None:
        self._place = _padded(self._place, alignment)


@cache
def types_of(signature: str) -> tuple[str, ...]:
    """Return the single complete types of a signature: `a{sv}(ii)s` has three. Raises ValueError."""
    types: list[str] = []
    start = depth = 0
    for place, code in enumerate(signature, 1):
        depth += (code in "({") - (code in ")}")
        if not depth and code != "a":
            types.append(signature[start:place])
            start = place
    if start != len(signature):
        raise ValueError(f"Incomplete signature: {signature!r}")
    return tuple(types)
