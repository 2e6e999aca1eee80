"""What every S3 operation gets besides the request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from euca_box.api.s3.notifier import Notifier
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response
from euca_box.api.s3.settings import S3Settings
from euca_box.auth.keyring import Keyring
from euca_box.objects.engine import Objects


@dataclass(frozen=True, slots=True)
class Front:
    objects: Objects
    keyring: Keyring
    settings: S3Settings
    notifier: Notifier


Operation = Callable[[Front, S3Request], Awaitable[Response]]
