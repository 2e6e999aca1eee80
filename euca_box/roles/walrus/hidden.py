"""Hidden buckets: what other roles keep in Walrus, as the chunks of snapshots. Users never meet them.

Bytes go by signed URLs, past the bus.
"""

import re
from typing import TYPE_CHECKING

from euca_box.messages import walrus as messages
from euca_box.messages.base import Call, Done
from euca_box.model.errors import InvalidParameterValue
from euca_box.roles.walrus.lending import ca_file_for, lent_url

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

MOST_KEYS = 1000
_NAME = re.compile("_[a-z0-9-]{2,40}")


async def get_hidden_urls(walrus: "Walrus", call: Call, op: messages.GetHiddenUrls) -> messages.HiddenUrls:
    _check(op.bucket, op.keys)
    await walrus.vault.open_hidden(op.bucket)
    method = "PUT" if op.for_writing else "GET"
    urls = tuple(lent_url(walrus, call, method, op.bucket, key) for key in op.keys)
    return messages.HiddenUrls(urls, ca_file_for(walrus, call))


async def list_hidden(walrus: "Walrus", call: Call, op: messages.ListHidden) -> messages.HiddenPage:
    _check(op.bucket)
    page = await walrus.vault.list_hidden(op.bucket, op.prefix, op.after, MOST_KEYS)
    objects = (messages.HiddenObject(o.key, o.size_bytes, o.etag, o.modified_ms) for o in page.objects)
    return messages.HiddenPage(tuple(objects), page.last)


async def delete_hidden(walrus: "Walrus", call: Call, op: messages.DeleteHidden) -> Done:
    _check(op.bucket, op.keys)
    await walrus.vault.remove_hidden(op.bucket, op.keys)
    return Done()


def _check(bucket: str, keys: tuple[str, ...] = ()) -> None:
    """Raises InvalidParameterValue."""
    if not _NAME.fullmatch(bucket):
        raise InvalidParameterValue(
            "A hidden bucket is named _ and 2 to 40 lower-case letters, digits and -."
        )
    if len(keys) > MOST_KEYS or not all(0 < len(key.encode()) <= 1024 for key in keys):
        raise InvalidParameterValue(f"Up to {MOST_KEYS} keys of 1 to 1024 bytes may be named at once.")
