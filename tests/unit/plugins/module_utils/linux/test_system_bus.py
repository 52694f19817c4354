# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions over the system bus, with a bus that says what it is told; tests/firewalld asks real ones."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux import system_bus
from ansible_collections.hpc.ports.plugins.module_utils._linux.system_bus import (
    ErrorReply,
    Reader,
    SystemBus,
    call_message,
    types_of,
)

TARGET = ("org.example.One", "/org/example/One", "org.example.One.zone", "getZones")
OK = b"OK 1234deadbeef\r\n"
# Kinds of messages.
REPLY, ERROR, SIGNAL = 2, 3, 4


def text(value: str) -> bytes:
    return struct.pack("=I", len(value.encode())) + value.encode() + b"\0"


def message(kind: int, serial: int, signature: str = "", body: bytes = b"") -> bytes:
    """Return a message of the bus, about the question with this serial."""
    fields = struct.pack("=BB1sBI", 5, 1, b"u", 0, serial)
    if signature:
        fields += bytes([8, 1]) + b"g\0" + bytes([len(signature)]) + signature.encode() + b"\0"
    header = struct.pack("=cBBBIII", b"l", kind, 1, 1, len(body), 7, len(fields)) + fields
    return header + bytes(-len(header) % 8) + body


def strings(*values: str) -> bytes:
    body = b""
    for value in values:
        body += bytes(-len(body) % 4) + text(value)
    return struct.pack("=I", len(body)) + body


class Served:
    """A bus that answers each question with the next of some messages, and then hangs up."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = str(path), b""
        self.answers: list[bytes] = [message(REPLY, 1, "s", text(":1.5"))]
        self.greeting = OK
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _address = self._listening.accept()
        with connection:
            while not self.asked.endswith(b"BEGIN\r\n"):
                self.asked += connection.recv(1)
            connection.sendall(self.greeting)
            if not self.greeting:
                return
            for answer in self.answers:
                received = connection.recv(1 << 16)
                self.asked += received
                if not received:
                    return
                # In parts, as a long answer comes.
                for start in range(0, len(answer), 33):
                    connection.sendall(answer[start : start + 33])

    def ended(self) -> bytes:
        """Return what was asked, once it has hung up."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.asked

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(name="served")
def _served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(system_bus, "PATIENCE", 10)
    found = Served(tmp_path / "bus")
    yield found
    found.close()


def test_questions_go_over_one_connection(served: Served) -> None:
    served.answers += [
        # Signals and what others are told is not the answer.
        message(SIGNAL, 2, "s", text(":1.5")) + message(REPLY, 9) + message(REPLY, 2, "as", strings("public", "work")),
        message(REPLY, 3),
    ]
    bus = SystemBus(served.path)
    assert bus.ask(*TARGET) == [["public", "work"]]
    assert bus.ask(*TARGET, "public") == []
    user = str(os.geteuid()).encode().hex().encode()
    assert served.ended() == b"".join(
        [
            b"\0AUTH EXTERNAL " + user + b"\r\nBEGIN\r\n",
            call_message(1, ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"), ()),
            call_message(2, TARGET, ()),
            call_message(3, TARGET, ("public",)),
        ]
    )


def test_the_message_that_calls_a_method() -> None:
    """As `busctl call` sends it, with its fields in another order."""
    assert call_message(3, ("a.b", "/a", "a.b.C", "Do"), ("x", "four")) == (
        b"l\1\2\1\x11\0\0\0\3\0\0\0\x48\0\0\0"
        b"\1\1o\0\2\0\0\0/a\0\0\0\0\0\0"
        b"\2\1s\0\5\0\0\0a.b.C\0\0\0"
        b"\3\1s\0\2\0\0\0Do\0\0\0\0\0\0"
        b"\6\1s\0\3\0\0\0a.b\0\0\0\0\0"
        b"\x08\1g\0\2ss\0"
        b"\1\0\0\0x\0\0\0\4\0\0\0four\0"
    )


def test_an_error_is_told_and_the_connection_stays(served: Served) -> None:
    served.answers += [message(ERROR, 2, "s", text("INVALID_ZONE: x")), message(REPLY, 3), message(ERROR, 4)]
    bus = SystemBus(served.path)
    with pytest.raises(ErrorReply, match="^INVALID_ZONE: x$"):
        bus.ask(*TARGET, "x")
    assert bus.ask(*TARGET) == []
    with pytest.raises(ErrorReply, match="^no reason given$"):
        bus.ask(*TARGET)


@pytest.mark.parametrize(
    "greeting,answers",
    [
        (b"REJECTED EXTERNAL\r\n", []),
        (b"", []),
        (OK, []),
        (OK, [message(REPLY, 2, "as", strings("public"))[:-4]]),
        (OK, [message(REPLY, 2, "s", struct.pack("=I", 99) + b"short\0")]),
        (OK, [message(REPLY, 2, "a{s", b"")]),
        (OK, [message(REPLY, 2, "?", b"")]),
        (OK, [message(REPLY, 2, "i", b"")]),
        (OK, [b"B" + message(REPLY, 2)[1:]]),
    ],
)
def test_busctl_is_to_ask_where_the_bus_cannot_be_asked(served: Served, greeting: bytes, answers: list[bytes]) -> None:
    served.greeting = greeting
    served.answers += answers
    bus = SystemBus(served.path)
    assert bus.ask(*TARGET) is None
    assert bus.ask(*TARGET) is None


def test_where_there_is_no_bus_busctl_is_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    assert SystemBus(str(tmp_path / "none")).ask(*TARGET) is None


def test_busctl_asks_the_bus_at_another_address(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/other")
    assert SystemBus(served.path).ask(*TARGET) is None
    assert served.asked == b""


def test_without_an_answer_the_question_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_bus, "PATIENCE", 0.1)
    served.answers.append(b"")
    served.answers.append(b"")
    bus = SystemBus(served.path)
    with pytest.raises(ErrorReply, match="^no answer within 0.1 s$"):
        bus.ask(*TARGET)
    assert bus.ask(*TARGET) is None


def test_after_an_interruption_half_an_answer_is_not_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*values: object) -> Any:
        raise RuntimeError("too late")

    bus = SystemBus(served.path)
    served.answers += [message(REPLY, 2), message(REPLY, 3)]
    assert bus.ask(*TARGET) == []
    monkeypatch.setattr(Reader, "values", interrupt)
    with pytest.raises(RuntimeError, match="too late"):
        bus.ask(*TARGET)
    monkeypatch.undo()
    assert bus.ask(*TARGET) is None


# ---- values


@pytest.mark.parametrize(
    "signature,types", [("", ()), ("sas", ("s", "as")), ("a{sv}(ii)aa{s(as)}y", ("a{sv}", "(ii)", "aa{s(as)}", "y"))]
)
def test_the_types_of_a_signature(signature: str, types: tuple[str, ...]) -> None:
    assert types_of(signature) == types


@pytest.mark.parametrize("signature", ["a", "(s", "a{s", "s)"])
def test_a_signature_that_is_none(signature: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        Reader(bytes(64)).values(signature)


def packed(form: str) -> Callable[..., bytes]:
    return struct.Struct("=" + form).pack


@pytest.mark.parametrize(
    "signature,data,values",
    [
        ("b", packed("I")(1), [True]),
        ("yq", packed("BxH")(7, 65535), [7, 65535]),
        ("ni", packed("h2xi")(-2, -32000), [-2, -32000]),
        ("xt", packed("qQ")(-1, 1 << 63), [-1, 1 << 63]),
        ("yd", packed("B7xd")(1, 0.5), [1, 0.5]),
        ("so", text("Z\u00fcrich") + text("/org"), ["Z\u00fcrich", "/org"]),
        ("ay", packed("I3B")(3, 1, 2, 3), [[1, 2, 3]]),
        ("as", packed("I")(0), [[]]),
        # The padding before an array's first element does not count, also where there is none.
        ("a(ss)s", packed("I4x")(0) + text("end"), [[], "end"]),
        ("a(ss)", packed("I4x")(16) + text("80") + b"\0" + text("tcp"), [[["80", "tcp"]]]),
        ("a{ss}", packed("I4x")(19) + text("family") + b"\0" + text("ipv6"), [{"family": "ipv6"}]),
        (
            "a{sv}",
            packed("I4x")(36) + text("on") + b"\1b\0\0\0" + packed("I")(1) + text("ports") + b"\2as\0\0\0" + bytes(4),
            [{"on": {"type": "b", "data": True}, "ports": {"type": "as", "data": []}}],
        ),
    ],
)
def test_values_are_what_busctl_prints(signature: str, data: bytes, values: list[Any]) -> None:
    assert Reader(data).values(signature) == values
