"""URLs signed with Walrus's own key: each is good for one method and one object, for an hour."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from euca_box.auth.sigv4_sign import presign_url

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

URL_SECONDS = 3600


def lent_url(walrus: "Walrus", method: str, bucket: str, key: str, query: str = "") -> str:
    url = f"{walrus.settings.endpoint}/{quote(bucket, safe='')}/{quote(key, safe='/~')}{query and '?'}{query}"
    now = datetime.fromtimestamp(walrus.now(), UTC)
    return presign_url(method, url, walrus.lender, now, URL_SECONDS)
