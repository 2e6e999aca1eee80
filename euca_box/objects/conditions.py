"""What must be true of an object for a change of it to happen. Asked inside the change's own commit.

Source: S3 API reference, PutObject (If-Match, If-None-Match) and DeleteObject (If-Match,
x-amz-if-match-last-modified-time, x-amz-if-match-size).
"""

from dataclasses import dataclass

from euca_box.objects.rows import StoredObject


@dataclass(frozen=True, slots=True)
class Conditions:
    """`match` is an ETag that it must have, `none_match` one that it must not; "*" is any."""

    match: str | None = None
    none_match: str | None = None
    size_bytes: int | None = None
    modified_second: int | None = None
    generation: int | None = None

    def fit(self, stored: StoredObject) -> bool:
        """Do they hold for this version?"""
        return (
            self.match in (None, "*", stored.etag)
            and self.none_match not in ("*", stored.etag)
            and self.size_bytes in (None, stored.size_bytes)
            and self.modified_second in (None, stored.modified_ms // 1000)
            and self.generation in (None, stored.generation)
        )


NO_CONDITIONS = Conditions()
