"""Buckets and the objects in them: look around, upload, download, delete.

Object bytes do not pass the bus: as S3 does, pages ask `objects/`, as the person who is logged in. What is
downloaded comes as a file, never as a page of ours.
"""

import mimetypes
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from quart import Quart, Response, abort, request

from euca_box.api.console.web import Web, back, chosen, endpoint_of, form, page, session
from euca_box.auth.requests import AuthError
from euca_box.auth.sigv4_sign import presign_url
from euca_box.model.errors import EucaError
from euca_box.model.policy_text import Context
from euca_box.model.rights import identity_context
from euca_box.objects.acl import is_allowed_for
from euca_box.objects.circumstances import CIRCUMSTANCES, GRANTS
from euca_box.objects.engine import Objects
from euca_box.objects.versions import Wish

PAGE_SIZE = 200
SHARE_HOURS = ("1", "24", "168")


def routes(app: Quart, web: Web) -> None:
    @app.get("/buckets", endpoint="buckets")
    async def buckets() -> str:
        objects, who = _ready(web), session().principal
        if not is_allowed_for(who, "s3:ListAllMyBuckets", "*"):
            return await page("buckets.html", rows=(), error="Your policies do not let you list buckets.")
        rows = sorted(objects.buckets.owned_by(who.account), key=lambda bucket: bucket.name)
        return await page("buckets.html", rows=rows)

    @app.post("/buckets", endpoint="buckets_act")
    async def act() -> Response:
        objects, given, who = _ready(web), await form(), session().principal
        name = given.get("name", "")
        try:
            if given.get("do") == "create":
                if not is_allowed_for(who, "s3:CreateBucket", f"arn:aws:s3:::{name}"):
                    return back("/buckets", error="Your policies do not let you make this bucket.")
                await objects.buckets.create(who, name)
                await web.note("s3:CreateBucket", name)
                return back("/buckets", said=f"The bucket {name} is made.")
            for name in await chosen():
                await objects.buckets.delete(who, name)
                await web.note("s3:DeleteBucket", name)
        except EucaError as error:
            await web.note(
                "s3:CreateBucket" if given.get("do") == "create" else "s3:DeleteBucket", name, error
            )
            return back("/buckets", error=f"{error.code}: {error.message}")
        return back("/buckets", said="Deleted.")

    @app.get("/buckets/<bucket>/", endpoint="bucket")
    async def bucket(bucket: str) -> Any:
        return await _bucket(web, bucket)

    @app.post("/buckets/<bucket>/", endpoint="bucket_act")
    async def delete(bucket: str) -> Response:
        objects, where = _ready(web), _where(bucket, (await form()).get("prefix", ""))
        try:
            for key in await chosen("key"):
                await objects.delete(session().principal, bucket, key)
                await web.note("s3:DeleteObject", f"{bucket}/{key}")
        except EucaError as error:
            await web.note("s3:DeleteObject", bucket, error)
            return back(where, error=f"{error.code}: {error.message}")
        return back(where, said="Deleted.")

    @app.post("/share/<bucket>", endpoint="share")
    async def share(bucket: str) -> Any:
        given = await form()
        prefix = given.get("prefix", "")
        [key, *_] = [*await chosen("key"), ""]
        who = web.key_of(session().principal)
        hours = given.get("hours", "24")
        if not key or who is None or hours not in SHARE_HOURS:
            said = "Tick one object, and have an access key that works: links are signed with it."
            return back(_where(bucket, prefix), error=said)
        url = f"{endpoint_of(web)}/{quote(bucket, safe='')}/{quote(key, safe='/~')}"
        await web.note("s3:GetObject", f"{bucket}/{key} by a link for {hours} hours")
        link = presign_url("GET", url, who, datetime.now(UTC), int(hours) * 3600)
        return await page("share.html", bucket=bucket, prefix=prefix, key=key, hours=hours, link=link)

    @app.put("/buckets/<bucket>/<path:key>", endpoint="upload")
    async def upload(bucket: str, key: str) -> Response:
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        objects = _ready(web)
        try:
            wish = Wish(headers={"content-type": kind})
            await objects.put(session().principal, bucket, key, _body(), wish, request.content_length)
        except (EucaError, AuthError) as error:
            await web.note("s3:PutObject", f"{bucket}/{key}", error if isinstance(error, EucaError) else None)
            return Response(error.message, getattr(error, "http_status", 400), content_type="text/plain")
        await web.note("s3:PutObject", f"{bucket}/{key}")
        return Response("", 204)

    @app.get("/buckets/<bucket>/<path:key>", endpoint="download")
    async def download(bucket: str, key: str) -> Any:
        return await _download(web, bucket, key)


def _ready(web: Web) -> Objects:
    """The object store, with everything set that its decisions ask for."""
    if web.objects is None:
        abort(404)
    GRANTS.set(web.grants)
    context = _context()
    CIRCUMSTANCES.set(lambda: context)
    return web.objects


def _context() -> Context:
    now = datetime.now(UTC)
    return {
        **identity_context(session().principal),
        "aws:securetransport": ("true",),
        "aws:sourceip": (request.remote_addr or "",),
        "aws:currenttime": (f"{now:%Y-%m-%dT%H:%M:%SZ}",),
        "aws:epochtime": (str(int(now.timestamp())),),
    }


async def _bucket(web: Web, bucket: str) -> Any:
    objects, prefix = _ready(web), request.args.get("prefix", "")
    try:
        found = await objects.list(
            session().principal,
            bucket,
            prefix=prefix,
            delimiter="/",
            after=request.args.get("after", ""),
            limit=PAGE_SIZE,
        )
    except EucaError as error:
        return await page("refused.html", what=error.message), error.http_status
    parts = prefix.split("/")[:-1]
    crumbs = [(part, "/".join(parts[: n + 1]) + "/") for n, part in enumerate(parts)]
    return await page("bucket.html", bucket=bucket, prefix=prefix, crumbs=crumbs, found=found)


async def _download(web: Web, bucket: str, key: str) -> Any:
    objects = _ready(web)
    opening = objects.opened(session().principal, bucket, key)
    try:
        found = await opening.__aenter__()
    except EucaError as error:
        return await page("refused.html", what=error.message), error.http_status
    try:
        data_key = objects.keys.open(found.stored.encryption, None)
    except EucaError as error:
        await opening.__aexit__(None, None, None)
        return await page("refused.html", what=error.message), error.http_status

    await web.note("s3:GetObject", f"{bucket}/{key}")

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in objects.read(found, 0, found.stored.size_bytes, data_key):
                yield bytes(piece)
        finally:
            await opening.__aexit__(None, None, None)

    name = quote(key.rpartition("/")[2] or "object", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Length": str(found.stored.size_bytes),
    }
    answer = Response(pieces(), content_type="application/octet-stream", headers=headers)
    answer.timeout = None
    return answer


async def _body() -> AsyncIterator[bytes]:
    async for piece in request.body:
        yield piece


def _where(bucket: str, prefix: str) -> str:
    return f"/buckets/{quote(bucket, safe='')}/" + (f"?prefix={quote(prefix, safe='')}" if prefix else "")
