"""What a request says of the bucket that must be true: whose it is, and who pays.

Source: S3 user guide, "Verifying bucket ownership with bucket owner condition", "Using Requester Pays
buckets".
"""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.model.accounts import LENDER
from euca_box.model.bucket_settings import Payer, RequestPayment
from euca_box.model.s3_errors import AccessDenied, NoSuchBucket
from euca_box.objects.rows import is_hidden

_EXPECTED, _EXPECTED_SOURCE = "x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"


def refuse_hidden(request: S3Request) -> None:
    """The cloud's own buckets do not exist, but for the URLs that Walrus signs. Raises NoSuchBucket."""
    if is_hidden(request.bucket) and request.principal != LENDER and not _makes_bucket(request):
        raise NoSuchBucket(BucketName=request.bucket)


def check_bucket(front: Front, request: S3Request) -> None:
    """Raises AccessDenied, NoSuchBucket."""
    if not request.bucket or _makes_bucket(request):
        return  # of a bucket that is being made nothing can be said yet
    if _EXPECTED in request.headers:
        _check_owner(front, request.bucket, request.headers[_EXPECTED])
    if _EXPECTED_SOURCE in request.headers and "x-amz-copy-source" in request.headers:
        source = request.headers["x-amz-copy-source"].removeprefix("/").partition("/")[0]
        _check_owner(front, source, request.headers[_EXPECTED_SOURCE])


def _makes_bucket(request: S3Request) -> bool:
    return request.method == "PUT" and not request.key and not request.query


def _check_owner(front: Front, bucket: str, expected: str) -> None:
    held = front.objects.buckets.find(bucket)
    if held.is_hidden:
        raise NoSuchBucket(BucketName=bucket)
    owner = held.owner
    if expected not in (owner.account, owner.canonical_id):
        raise AccessDenied()


def charges(front: Front, request: S3Request) -> bool:
    """Does the requester pay? Raises AccessDenied when it did not say that it would."""
    bucket = front.objects.buckets.known(request.bucket)
    payment = bucket.setting(RequestPayment) if bucket is not None else None
    if bucket is None or payment is None or payment.payer is not Payer.REQUESTER:
        return False
    if request.principal is not None and request.principal.account == bucket.owner.account:
        return False
    payer = request.headers.get("x-amz-request-payer", request.query.get("x-amz-request-payer", ""))
    if request.principal is None or payer.lower() != "requester":
        raise AccessDenied()
    return True
