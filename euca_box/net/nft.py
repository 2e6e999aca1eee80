"""The only door to nftables: libnftables in this process, one text, one atomic transaction.

A context belongs to the network namespace of the thread that made it. libnftables is not thread-safe, hence
the lock. libnftables(3) has the calls; the version is the one of Debian 12 (1.0.6) or later.
"""

import ctypes
import json
import threading
from typing import Any

from euca_box.net.network import NetError

_JSON_OUTPUT = 1 << 4  # NFT_CTX_OUTPUT_JSON
_HANDLES = 1 << 3  # NFT_CTX_OUTPUT_HANDLE
_SHOWN = 2000  # characters of libnftables' complaint that go into an error; it quotes the whole command


class Nft:
    """An open libnftables context. Raises NetError where the library is missing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = _load()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise NetError("libnftables gives no context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Run the commands, all or none, and return what they print.

        Raises NetError with libnftables' words.
        """
        with self._lock:
            return self._run(commands, 0)

    def list_json(self, command: str) -> list[dict[str, Any]]:
        """The objects of a `list` command, with their handles. Raises NetError."""
        with self._lock:
            text = self._run(command, _JSON_OUTPUT | _HANDLES)
        return list(json.loads(text)["nftables"]) if text else []

    def close(self) -> None:
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
            self._context = None

    def _run(self, commands: str, output_flags: int) -> str:
        if not self._context:
            raise NetError("the nftables context is closed")
        self._library.nft_ctx_output_set_flags(self._context, output_flags)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context).decode(errors="replace")
        complaint = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        if failed:
            raise NetError(f"nftables: {complaint.strip()[:_SHOWN]}")
        return str(output)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise NetError("libnftables.so.1 is missing; install the package libnftables1") from error
    context = ctypes.c_void_p
    library.nft_ctx_new.restype = context
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [context]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [context]
        getattr(library, name).restype = ctypes.c_char_p
    return library
