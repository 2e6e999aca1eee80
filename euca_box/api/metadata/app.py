"""The instance metadata service.

169.254.169.254:80 as a guest sees it, versions 1 and 2 (EC2 user guide, IMDS).

Who asks is known by the source address of the connection, which the network binds to the guest's port;
nothing in the request can change it.
"""

import re
import secrets
from collections.abc import Awaitable, Callable

from quart import Quart, Response, request

from euca_box.api.metadata import hops
from euca_box.api.metadata.identity import IdentitySigner
from euca_box.api.metadata.tokens import LONGEST_SECONDS, SHORTEST_SECONDS, is_valid_token, make_token
from euca_box.api.metadata.tree import VERSIONS, listing, metadata_tree
from euca_box.model.metadata import InstanceMetadata

Describe = Callable[[str], Awaitable[InstanceMetadata | None]]

TOKEN_PATH = "latest/api/token"  # noqa: S105 (a path)
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 (a header's name)
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]
_LONGEST_PATH = 1024
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    414: "URI Too Long",
}


def metadata_app(
    describe: Describe,
    *,
    clock: Callable[[], float],
    signer: IdentitySigner,
    token_key: bytes | None = None,
) -> Quart:
    """A Quart application that answers each guest about itself.

    `describe(source_ip)` gives the instance that has the address, or None; `clock` is seconds since 1970.
    Tokens are signed with `token_key`, by default one of this process's own: after a restart guests fetch new
    ones.
    """
    key = token_key or secrets.token_bytes(32)
    app = Quart(__name__, static_folder=None)
    app.url_map.merge_slashes = False

    @app.route("/", defaults={"path": ""}, methods=_METHODS, provide_automatic_options=False)
    @app.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    async def answer(path: str) -> Response:
        metadata = await describe(request.remote_addr or "")
        if metadata is None:
            return _refusal(404)
        return _answer(metadata, path, key, clock(), signer)

    return app


def _answer(
    metadata: InstanceMetadata, path: str, key: bytes, now: float, signer: IdentitySigner
) -> Response:
    refused = _reason_to_refuse(metadata, path)
    if refused:
        return _refusal(refused)
    clean_path = re.sub("/+", "/", path).strip("/")
    if clean_path == TOKEN_PATH:
        return _token(metadata, key, now) if request.method == "PUT" else _refusal(405)
    if request.method not in ("GET", "HEAD"):
        return _refusal(405)
    token = request.headers.get(_TOKEN_HEADER)
    if token is None and metadata.http_tokens == "required":
        return _refusal(401)
    if token is not None and not is_valid_token(key, metadata.instance_id, token, now):
        return _refusal(401)
    return _page(metadata, clean_path, signer, is_directory=path.endswith("/"))


def _reason_to_refuse(metadata: InstanceMetadata, path: str) -> int:
    """A status, or 0. A forwarded request was not made by the guest itself but through a proxy in it."""
    if metadata.http_endpoint == "disabled" or "X-Forwarded-For" in request.headers:
        return 403
    if len(path) > _LONGEST_PATH or len(request.query_string) > _LONGEST_PATH:
        return 414
    has_body = request.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in request.headers
    return 400 if has_body else 0


def _token(metadata: InstanceMetadata, key: bytes, now: float) -> Response:
    asked = request.headers.get(_TTL_HEADER, "")
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 5):
        return _refusal(400)
    seconds = int(asked)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        return _refusal(400)
    response = _text(make_token(key, metadata.instance_id, int(now) + seconds))
    response.headers[_TTL_HEADER] = str(seconds)
    response.headers[hops.HEADER.decode()] = str(metadata.hop_limit)
    return response


def _page(metadata: InstanceMetadata, path: str, signer: IdentitySigner, *, is_directory: bool) -> Response:
    """A leaf, or a directory with or without a slash behind it."""
    if not path:
        return _text("\n".join(VERSIONS))
    version, _, below = path.partition("/")
    if version not in VERSIONS:
        return _refusal(404)
    tree = metadata_tree(metadata, version, lambda document: signer.proofs(document).leaves())
    leaf = tree.get(below)
    if leaf is not None and not is_directory:
        kind = "application/octet-stream" if below == "user-data" else "text/plain"
        return Response(leaf, content_type=kind)
    names = listing(tree, below, metadata)
    return _refusal(404) if names is None else _text(names)


def _text(text: str) -> Response:
    return Response(text, content_type="text/plain")


def _refusal(status: int) -> Response:
    return Response(f"{status} - {_PHRASES[status]}", status=status, content_type="text/plain")
