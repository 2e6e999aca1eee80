"""What CompleteMultipartUpload makes of the parts it names: order, size, ETag and checksum. Pure."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from euca_box.model.s3_errors import BadDigest, EntityTooLarge, EntityTooSmall, InvalidPart, InvalidPartOrder
from euca_box.objects.crcs import WIDTH_BYTES, join_crc
from euca_box.objects.digests import DEFAULT_ALGORITHM, checksum_hash
from euca_box.objects.rows import LARGEST_OBJECT_BYTES, SMALLEST_PART_BYTES, Checksum, Part, Upload


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as the client names it; base64 checksums by algorithm, as far as it gives them."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


def chosen_parts(upload: Upload, parts: Sequence[Part], named: Sequence[NamedPart]) -> list[Part]:
    """The stored parts that the client names.

    Raises InvalidPartOrder, InvalidPart, BadDigest, EntityTooSmall, EntityTooLarge.
    """
    if any(a.number > b.number for a, b in pairwise(named)):
        raise InvalidPartOrder()
    by_number = {part.number: part for part in parts}
    chosen = []
    # Of a part that is named more than once, as by a client that sent it again, the last is meant.
    for name in {name.number: name for name in named}.values():
        part = by_number.get(name.number)
        if part is None or part.etag != name.etag.strip('"').lower():
            raise InvalidPart(UploadId=upload.upload_id, PartNumber=str(name.number), ETag=name.etag)
        value = part.checksum and name.checksums.get(part.checksum.algorithm)
        if part.checksum and value and value != part.checksum.value:
            raise BadDigest(f"The checksum of part {name.number} is not the one you specified.")
        chosen.append(part)
    if sum(part.size_bytes for part in chosen) > LARGEST_OBJECT_BYTES:
        raise EntityTooLarge(MaxSizeAllowed=str(LARGEST_OBJECT_BYTES))
    for part in chosen[:-1]:
        if part.size_bytes < SMALLEST_PART_BYTES:
            raise EntityTooSmall(
                ProposedSize=str(part.size_bytes),
                MinSizeAllowed=str(SMALLEST_PART_BYTES),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    return chosen


def joined_etag(parts: Sequence[Part]) -> str:
    """MD5 of the parts' MD5s, and their number."""
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"


def joined_checksum(upload: Upload, parts: Sequence[Part]) -> Checksum | None:
    """FULL_OBJECT: the CRC of the whole, computed from those of the parts; COMPOSITE: a hash of hashes."""
    algorithm = upload.algorithm or DEFAULT_ALGORITHM
    values = [part.checksum.value for part in parts if part.checksum and part.checksum.algorithm == algorithm]
    if len(values) != len(parts):
        return None
    digests = [b64decode(value) for value in values]
    if upload.checksum_type == "COMPOSITE":
        whole = checksum_hash(algorithm)
        whole.update(b"".join(digests))
        return Checksum(algorithm, f"{b64encode(whole.digest()).decode()}-{len(parts)}", "COMPOSITE")
    crc = int.from_bytes(digests[0], "big")
    for part, digest in zip(parts[1:], digests[1:], strict=True):
        crc = join_crc(algorithm, crc, int.from_bytes(digest, "big"), part.size_bytes)
    return Checksum(algorithm, b64encode(crc.to_bytes(WIDTH_BYTES[algorithm], "big")).decode())


def check_claims(claims: Mapping[str, str], checksum: Checksum | None) -> None:
    """Compare with the checksum of the whole that the client gives in headers. Raises BadDigest."""
    if checksum is None:
        return
    claimed = claims.get(f"x-amz-checksum-{checksum.algorithm.lower()}")
    if claimed is not None and claimed != checksum.value:
        raise BadDigest(f"The {checksum.algorithm} you specified did not match the calculated checksum.")
