"""Frames as a hostile guest would build them, byte by byte."""

import socket
import struct

MARK = b"spoof-test-mark!"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def ether(source: str, destination: str, kind: int, payload: bytes) -> bytes:
    return _mac(destination) + _mac(source) + struct.pack("!H", kind) + payload


def ip_udp(source: str, destination: str, ports: tuple[int, int], payload: bytes = MARK) -> bytes:
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0),
        socket.inet_aton(source),
        socket.inet_aton(destination),
    )
    words = struct.unpack("!10H", head)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", check) + head[12:] + udp


def arp(operation: int, sender: tuple[str, str], target_ip: str) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + _mac(sender[0]) + socket.inet_aton(sender[1]) + bytes(6) + socket.inet_aton(target_ip)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def vxlan(frame: bytes, number: int = 15_400_000) -> bytes:
    """RFC 7348 5: flags with a valid network identifier, then the frame."""
    return struct.pack("!II", 0x08000000, number << 8) + frame
