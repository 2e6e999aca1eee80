"""Pages of the open uploads of a bucket: by key in UTF-8 order, then by id. Pure values."""

from dataclasses import dataclass, field

from euca_box.objects.rows import Upload


@dataclass(slots=True)
class UploadPage:
    """`last` is the key, and upload id if it is one, that the next page begins after; None at the end."""

    uploads: list[Upload] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.uploads) + len(self.prefixes)
