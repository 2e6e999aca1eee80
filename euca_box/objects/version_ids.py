"""Ids of versions: opaque to clients, never used twice, and in the order of time as the generation is."""

import re
import secrets

from euca_box.model.s3_errors import InvalidArgument

_VERSION_ID = re.compile("[0-7][0-9a-f]{31}", re.ASCII)  # the first half is a positive number of 64 bits


def new_version_id(generation: int) -> str:
    return f"{generation:016x}{secrets.token_hex(8)}"


def generation_of(version_id: str) -> int:
    """Raises InvalidArgument for what was never an id."""
    if not _VERSION_ID.fullmatch(version_id):
        raise InvalidArgument(
            "Invalid version id specified", ArgumentName="versionId", ArgumentValue=version_id
        )
    return int(version_id[:16], 16)
