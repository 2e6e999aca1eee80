"""URLs signed with Walrus's own key: each is good for one method and one object, for an hour."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from euca_box.auth.sigv4_sign import presign_url
from euca_box.messages.base import Call

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

URL_SECONDS = 3600


def lent_url(walrus: "Walrus", call: Call, method: str, bucket: str, key: str, query: str = "") -> str:
    """For whoever asks: another host reaches us at another address than our own one does."""
    endpoint = endpoint_for(walrus, call)
    url = f"{endpoint}/{quote(bucket, safe='')}/{quote(key, safe='/~')}{query and '?'}{query}"
    now = datetime.fromtimestamp(walrus.now(), UTC)
    return presign_url(method, url, walrus.lender, now, URL_SECONDS)


def endpoint_for(walrus: "Walrus", call: Call) -> str:
    return walrus.settings.shared_endpoint if call.host else walrus.settings.endpoint


def ca_file_for(walrus: "Walrus", call: Call) -> str:
    """Empty: the authority of the cloud, which every host has in a file of its own."""
    return "" if call.host else walrus.settings.ca_file
