"""Multipart uploads: parts are files; completing is rows that name them in order, without a copy.

Source: S3 API reference, CreateMultipartUpload to ListMultipartUploads, and "Checking object integrity"
for the two kinds of checksum.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from euca_box.model.accounts import Principal
from euca_box.model.acls import PRIVATE
from euca_box.model.notifications import Event
from euca_box.model.s3_errors import (
    AccessDenied,
    InvalidArgument,
    InvalidPart,
    NoSuchUpload,
    OperationAborted,
)
from euca_box.objects.acl import Action, authorize, check_acl, is_denied, new_owner
from euca_box.objects.buckets import Buckets
from euca_box.objects.commits import Commits
from euca_box.objects.completion import NamedPart, check_claims, chosen_parts, joined_checksum, joined_etag
from euca_box.objects.data import DataEngine
from euca_box.objects.digests import Digests, Expectation
from euca_box.objects.encryption import CustomerKey, DataKeys
from euca_box.objects.index import UploadIndex
from euca_box.objects.intake import Content, receive
from euca_box.objects.rows import (
    ANONYMOUS,
    LARGEST_PART_BYTES,
    MOST_PARTS,
    Part,
    Piece,
    Upload,
    owner_of,
)
from euca_box.objects.upload_listing import UploadPage
from euca_box.objects.usage import Usage
from euca_box.objects.versions import Facts, Versions, Wish
from euca_box.store.store import Conflict

REMEMBERED_MS = 24 * 3600 * 1000  # how long a completed upload answers a repeated completion
_TRIES = 5  # times that a part arriving in the same moment may overtake a completion


class Uploads:
    def __init__(
        self,
        rows: UploadIndex,
        files: DataEngine,
        keys: DataKeys,
        commits: Commits,
        versions: Versions,
        buckets: Buckets,
        usage: Usage,
    ) -> None:
        self._rows, self._files, self._keys, self._commits = rows, files, keys, commits
        self._versions, self._buckets, self._usage = versions, buckets, usage

    async def forget_completed(self) -> None:
        before = self._versions.now_ms() - REMEMBERED_MS
        await self._commits.commit(self._rows.forget_completed(before))

    async def create(
        self,
        principal: Principal | None,
        bucket: str,
        key: str,
        wish: Wish,
        algorithm: str = "",
        checksum_type: str = "",
    ) -> Upload:
        """Begin an upload. Raises NoSuchBucket, AccessDenied."""
        held = self._buckets.find(bucket)
        authorize(principal, Action.PUT_OBJECT, held, key=key)
        check_acl(held, wish.acl)
        owner = new_owner(principal, held, wish.acl)
        initiator = owner_of(principal) if principal else ANONYMOUS
        upload = Upload(
            upload_id=secrets.token_urlsafe(48),
            bucket=bucket,
            key=key,
            owner=owner,
            initiator=initiator,
            started_ms=self._versions.now_ms(),
            acl=wish.acl or PRIVATE,
            headers=wish.headers,
            algorithm=algorithm,
            checksum_type=checksum_type,
            tags=wish.tags,
            lock=wish.lock,
            encryption=self._keys.make(wish.encrypt)[1],
            storage_class=wish.storage_class,
        )
        await self._commits.commit(self._rows.put(upload))
        return upload

    async def find(
        self,
        principal: Principal | None,
        bucket: str,
        key: str,
        upload_id: str,
        action: Action = Action.PUT_OBJECT,
    ) -> Upload:
        """An open upload of that key, if the principal may go on with it, and do that.

        Who began an upload may list and abort it without a right of its own.
        Raises NoSuchBucket, NoSuchUpload, AccessDenied.
        """
        held = self._buckets.find(bucket)
        authorize(principal, Action.PUT_OBJECT, held, key=key)
        if action is not Action.PUT_OBJECT and is_denied(principal, action, held, key=key):
            raise AccessDenied()
        upload = await self._find(bucket, key, upload_id)
        account = principal.account if principal else ""
        if account not in (upload.initiator.account, held.owner.account):
            raise AccessDenied()
        if upload.etag:
            raise NoSuchUpload(UploadId=upload_id)
        return upload

    async def _find(self, bucket: str, key: str, upload_id: str) -> Upload:
        upload = await self._rows.find(bucket, key, upload_id)
        if upload is None:
            raise NoSuchUpload(UploadId=upload_id)
        return upload

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: AsyncIterator[bytes],
        expect: Expectation,
        customer: CustomerKey | None = None,
        size_bytes: int | None = None,
    ) -> Part:
        """Store a part, in place of an earlier one of its number. `customer` is the upload's own key.

        Raises InvalidArgument, NoSuchUpload, BadDigest, EntityTooLarge, InsufficientStorage, InvalidRequest.
        """
        if not 1 <= number <= MOST_PARTS:
            text = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
            raise InvalidArgument(text, ArgumentName="partNumber", ArgumentValue=str(number))
        if upload.algorithm and expect.value is None:
            expect = replace(expect, algorithm=upload.algorithm)
        digests = Digests(expect)
        data_key = self._keys.open(upload.encryption, customer)
        with self._usage.reserved(upload.bucket, size_bytes, LARGEST_PART_BYTES) as largest_bytes:
            content = await receive(
                self._files, digests, body, largest_bytes=largest_bytes, inline_bytes=-1, key=data_key
            )
            return await self._keep_part(upload, number, digests, content)

    async def _keep_part(self, upload: Upload, number: int, digests: Digests, content: Content) -> Part:
        [piece] = content.pieces
        part = Part(
            number,
            piece.file,
            content.size_bytes,
            digests.etag,
            digests.checksum,
            self._versions.now_ms(),
            piece.crcs,
            piece.nonce,
        )
        try:
            changes = self._rows.put_part(upload.upload_id, part)
            await self._commits.commit(changes, [_name(upload)], [piece.file], uploads=[upload.upload_id])
        except Conflict:
            raise NoSuchUpload(UploadId=upload.upload_id) from None
        return part

    async def parts(self, upload: Upload, after: int = 0, limit: int = MOST_PARTS) -> list[Part]:
        """Parts by number, beyond `after`."""
        return await self._rows.parts(upload.upload_id, after, limit)

    async def abort(self, upload: Upload) -> None:
        """Forget the upload and remove its parts. Works on a full disk. Raises NoSuchUpload."""
        changes = self._rows.delete(upload.upload_id)
        try:
            await self._commits.commit(changes, [_name(upload)], removes=True, uploads=[upload.upload_id])
        except Conflict:
            raise NoSuchUpload(UploadId=upload.upload_id) from None

    async def complete(
        self,
        principal: Principal | None,
        bucket: str,
        key: str,
        upload_id: str,
        named: Sequence[NamedPart],
        wish: Wish,
        claims: Mapping[str, str] | None = None,
        customer: CustomerKey | None = None,
    ) -> tuple[Facts, str]:
        """Make the named parts the object; again, with the same answer, when it was completed already.

        Also answers the id of the version. Headers and ACL are those the upload began with; of `wish` only
        the conditions count. `claims` are the x-amz-checksum-* headers of the whole object.
        Raises NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, PreconditionFailed,
        InvalidRequest for a wrong key.
        """
        authorize(principal, Action.PUT_OBJECT, self._buckets.find(bucket), key=key)
        for _ in range(_TRIES):
            upload = await self._find(bucket, key, upload_id)
            if upload.etag:
                return await self._answer_again(upload)
            await self.find(principal, bucket, key, upload_id)
            self._keys.open(upload.encryption, customer)
            try:
                return await self._complete(upload, named, wish, claims or {})
            except OperationAborted:
                continue
            except InvalidPart:
                if (await self._find(bucket, key, upload_id)).changes == upload.changes:
                    raise
        raise OperationAborted()

    async def _complete(
        self,
        upload: Upload,
        named: Sequence[NamedPart],
        wish: Wish,
        claims: Mapping[str, str],
    ) -> tuple[Facts, str]:
        parts = chosen_parts(upload, await self.parts(upload), named)
        checksum = joined_checksum(upload, parts)
        check_claims(claims, checksum)
        facts = Facts(joined_etag(parts), checksum, encryption=upload.encryption)
        content = Content(sum(part.size_bytes for part in parts), pieces=tuple(map(_piece, parts)))
        wish = Wish(
            upload.headers,
            upload.acl,
            conditions=wish.conditions,
            tags=upload.tags,
            lock=upload.lock,
            storage_class=upload.storage_class,
            event=Event.COMPLETED,
        )
        first = self._rows.close(upload, facts.etag, checksum, self._versions.now_ms())
        stored = await self._versions.make(
            upload.owner,
            upload.bucket,
            upload.key,
            content,
            facts,
            wish,
            with_changes=first,
            new_files=(),
            uploads=[upload.upload_id],
        )
        return facts, stored.version_id

    async def _answer_again(self, upload: Upload) -> tuple[Facts, str]:
        found = await self._versions.find(upload.bucket, upload.key)
        # The id is told as long as the version is the current one.
        is_it = found is not None and found.stored.etag == upload.etag
        return Facts(upload.etag, upload.checksum), found.stored.version_id if found and is_it else ""

    async def open_in(self, bucket: str) -> Sequence[Upload]:
        """All open uploads of a bucket."""
        return await self._rows.open_in(bucket)

    async def list(
        self,
        principal: Principal | None,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_upload: str = "",
        limit: int = 1000,
    ) -> UploadPage:
        """One page of open uploads by key and upload id. Raises NoSuchBucket, AccessDenied."""
        authorize(principal, Action.LIST_BUCKET_MULTIPART_UPLOADS, self._buckets.find(bucket))
        return await self._rows.page(bucket, prefix, delimiter, after_key, after_upload, limit)


def _name(upload: Upload) -> tuple[str, str]:
    return upload.bucket, upload.key


def _piece(part: Part) -> Piece:
    checksum = part.checksum.as_text() if part.checksum else ""
    return Piece(part.file, part.size_bytes, part.crcs, part.nonce, checksum)
