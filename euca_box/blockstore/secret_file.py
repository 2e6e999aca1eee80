"""How QEMU's programs are given a key: through a file in memory that only they have open, never by argv."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from euca_box.blockstore.luks_header import passphrase_of

SECRET = "key"  # its name within the program  # noqa: S105


@contextmanager
def secret_words(key: bytes) -> Iterator[tuple[list[str], int]]:
    """Words for the command line, and the descriptor that the program must be passed. It is read at start."""
    handle = os.memfd_create("euca-box-key", os.MFD_CLOEXEC)
    try:
        os.write(handle, passphrase_of(key))
        yield ["--object", f"secret,id={SECRET},format=raw,file=/dev/fd/{handle}"], handle
    finally:
        os.close(handle)
