"""Every error that S3 answers, in the same tree as the others: code, HTTP status and the text AWS writes.

Source: S3 API reference 2006-03-01, "List of error codes". A name that the EC2 family has too begins
with S3 here, so that an error crosses the bus under one name. `fields` are the extra elements of the
answer, as BucketName or Key.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from euca_box.model.errors import EucaError


class S3Error(EucaError):
    """An answer of S3. Without a message the text of the reference is used."""

    text: ClassVar[str] = "We encountered an internal error. Please try again."
    fields: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}

    def __init__(self, message: str | None = None, **fields: str) -> None:
        super().__init__(self.text if message is None else message)
        self.fields = fields

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """The same, with headers for the answer."""
        self.headers = headers
        return self


class S3Fault(S3Error):
    http_status = 400
    side = "Client"


class S3InternalError(S3Error):
    code = "InternalError"


class S3ServiceUnavailable(S3Error):
    code = "ServiceUnavailable"
    http_status = 503
    text = "Please reduce your request rate."


class InsufficientStorage(S3Error):
    """Not a code of AWS. 507, because SDKs retry 500, 502, 503 and 504, and a full disk stays full."""

    code = "InsufficientStorage"
    http_status = 507
    text = "There is no room left for new data. Reading and deleting go on working."


class S3NotImplemented(S3Error):
    code = "NotImplemented"
    http_status = 501
    side = "Client"
    text = "A header or query you provided implies functionality that is not implemented."


class AccessDenied(S3Fault):
    code = "AccessDenied"
    http_status = 403
    text = "Access Denied"


class InvalidAccessKeyId(S3Fault):
    code = "InvalidAccessKeyId"
    http_status = 403
    text = "The AWS Access Key Id you provided does not exist in our records."


class S3SignatureDoesNotMatch(S3Fault):
    code = "SignatureDoesNotMatch"
    http_status = 403
    text = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )


class RequestTimeTooSkewed(S3Fault):
    code = "RequestTimeTooSkewed"
    http_status = 403
    text = "The difference between the request time and the current time is too large."


class AuthorizationHeaderMalformed(S3Fault):
    code = "AuthorizationHeaderMalformed"
    text = "The authorization header is malformed."


class AuthorizationQueryParametersError(S3Fault):
    code = "AuthorizationQueryParametersError"
    text = "The authorization query parameters are not valid."


class InvalidToken(S3Fault):
    code = "InvalidToken"
    text = "The provided token is malformed or otherwise invalid."


class S3ExpiredToken(S3Fault):
    code = "ExpiredToken"
    text = "The provided token has expired."


class XAmzContentSHA256Mismatch(S3Fault):
    code = "XAmzContentSHA256Mismatch"
    text = "The provided 'x-amz-content-sha256' header does not match what was computed."


class InvalidRequest(S3Fault):
    code = "InvalidRequest"
    text = "Invalid Request"


class InvalidArgument(S3Fault):
    code = "InvalidArgument"
    text = "Invalid Argument"


class InvalidURI(S3Fault):
    code = "InvalidURI"
    text = "Couldn't parse the specified URI."


class BadDigest(S3Fault):
    code = "BadDigest"
    text = "The Content-MD5 or checksum value that you specified did not match what the server received."


class InvalidDigest(S3Fault):
    code = "InvalidDigest"
    text = "The Content-MD5 or checksum value you specified is not valid."


class IncompleteBody(S3Fault):
    code = "IncompleteBody"
    text = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class MalformedTrailerError(S3Fault):
    code = "MalformedTrailerError"
    text = "The request contained trailing data that was not well-formed or did not conform to our schema."


class MissingContentLength(S3Fault):
    code = "MissingContentLength"
    http_status = 411
    text = "You must provide the Content-Length HTTP header."


class EntityTooLarge(S3Fault):
    code = "EntityTooLarge"
    text = "Your proposed upload exceeds the maximum allowed object size."


class EntityTooSmall(S3Fault):
    code = "EntityTooSmall"
    text = "Your proposed upload is smaller than the minimum allowed size"


class KeyTooLongError(S3Fault):
    code = "KeyTooLongError"
    text = "Your key is too long"


class MetadataTooLarge(S3Fault):
    code = "MetadataTooLarge"
    text = "Your metadata headers exceed the maximum allowed metadata size"


class RequestHeaderSectionTooLarge(S3Fault):
    code = "RequestHeaderSectionTooLarge"
    text = "Your request header section exceeds the maximum allowed size."


class RequestTimeout(S3Fault):
    code = "RequestTimeout"
    text = (
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed."
    )


class MalformedXML(S3Fault):
    code = "MalformedXML"
    text = "The XML you provided was not well-formed or did not validate against our published schema"


class MethodNotAllowed(S3Fault):
    code = "MethodNotAllowed"
    http_status = 405
    text = "The specified method is not allowed against this resource."


class PreconditionFailed(S3Fault):
    code = "PreconditionFailed"
    http_status = 412
    text = "At least one of the pre-conditions you specified did not hold"


class NotModified(S3Fault):
    code = "NotModified"
    http_status = 304
    text = "Not Modified"


class InvalidRange(S3Fault):
    code = "InvalidRange"
    http_status = 416
    text = "The requested range is not satisfiable"


class NoSuchBucket(S3Fault):
    code = "NoSuchBucket"
    http_status = 404
    text = "The specified bucket does not exist"


class NoSuchKey(S3Fault):
    code = "NoSuchKey"
    http_status = 404
    text = "The specified key does not exist."


class NoSuchVersion(S3Fault):
    code = "NoSuchVersion"
    http_status = 404
    text = "The specified version does not exist."


class NoSuchUpload(S3Fault):
    code = "NoSuchUpload"
    http_status = 404
    text = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
        "aborted or completed."
    )


class InvalidPart(S3Fault):
    code = "InvalidPart"
    text = (
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag."
    )


class InvalidPartOrder(S3Fault):
    code = "InvalidPartOrder"
    text = "The list of parts was not in ascending order. Parts must be ordered by part number."


class InvalidBucketName(S3Fault):
    code = "InvalidBucketName"
    text = "The specified bucket is not valid."


class BucketAlreadyExists(S3Fault):
    code = "BucketAlreadyExists"
    http_status = 409
    text = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the "
        "system. Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(S3Fault):
    code = "BucketAlreadyOwnedByYou"
    http_status = 409
    text = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(S3Fault):
    code = "BucketNotEmpty"
    http_status = 409
    text = "The bucket you tried to delete is not empty"


class TooManyBuckets(S3Fault):
    code = "TooManyBuckets"
    text = "You have attempted to create more buckets than allowed"


class InvalidLocationConstraint(S3Fault):
    code = "InvalidLocationConstraint"
    text = "The specified location-constraint is not valid"


class InvalidBucketState(S3Fault):
    code = "InvalidBucketState"
    http_status = 409
    text = "The request is not valid with the current state of the bucket."


class IllegalVersioningConfiguration(S3Fault):
    code = "IllegalVersioningConfigurationException"
    text = "The versioning configuration specified in the request is not valid."


class ObjectLockConfigurationNotFoundError(S3Fault):
    code = "ObjectLockConfigurationNotFoundError"
    http_status = 404
    text = "Object Lock configuration does not exist for this bucket"


class NoSuchObjectLockConfiguration(S3Fault):
    code = "NoSuchObjectLockConfiguration"
    http_status = 404
    text = "The specified object does not have a ObjectLock configuration"


class InvalidRetentionPeriod(S3Fault):
    code = "InvalidRetentionPeriod"
    text = "The retention period must be a positive integer value"


class InvalidRedirectLocation(S3Fault):
    code = "InvalidRedirectLocation"
    text = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."


class InvalidEncryptionAlgorithmError(S3Fault):
    code = "InvalidEncryptionAlgorithmError"
    text = "The encryption request that you specified is not valid. The valid value is AES256."


class InvalidStorageClass(S3Fault):
    code = "InvalidStorageClass"
    text = "The storage class you specified is not valid"


class QuotaExceeded(S3Fault):
    """Not a code of AWS; that of Ceph's gateway."""

    code = "QuotaExceeded"
    http_status = 403
    text = "The account may not store more than its quota allows."


class OperationAborted(S3Fault):
    code = "OperationAborted"
    http_status = 409
    text = "A conflicting conditional operation is currently in progress against this resource. Try again."


class AccessControlListNotSupported(S3Fault):
    code = "AccessControlListNotSupported"
    text = "The bucket does not allow ACLs"


class InvalidBucketAclWithObjectOwnership(S3Fault):
    code = "InvalidBucketAclWithObjectOwnership"
    text = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class UnresolvableGrantByEmailAddress(S3Fault):
    code = "UnresolvableGrantByEmailAddress"
    text = "The e-mail address you provided does not match any account on record."


class MalformedAclError(S3Fault):
    code = "MalformedACLError"
    text = "The XML you provided was not well-formed or did not validate against our published schema"


class MalformedPolicy(S3Fault):
    code = "MalformedPolicy"
    text = "Policies must be valid JSON and the first byte must be '{'"


class NoSuchBucketPolicy(S3Fault):
    code = "NoSuchBucketPolicy"
    http_status = 404
    text = "The bucket policy does not exist"


class NoSuchPublicAccessBlockConfiguration(S3Fault):
    code = "NoSuchPublicAccessBlockConfiguration"
    http_status = 404
    text = "The public access block configuration was not found"


class OwnershipControlsNotFoundError(S3Fault):
    code = "OwnershipControlsNotFoundError"
    http_status = 404
    text = "The bucket ownership controls were not found"


class MissingSecurityHeader(S3Fault):
    code = "MissingSecurityHeader"
    text = "Your request was missing a required header"


class UnexpectedContent(S3Fault):
    code = "UnexpectedContent"
    text = "This request does not support content"


class InvalidTag(S3Fault):
    code = "InvalidTag"
    text = "The tag provided was not a valid tag"


class BadRequest(S3Fault):
    code = "BadRequest"
    text = "Bad Request"


class AccessForbidden(S3Fault):
    code = "AccessForbidden"
    http_status = 403
    text = "CORSResponse: CORS is not enabled for this bucket."


class NoSuchTagSet(S3Fault):
    code = "NoSuchTagSet"
    http_status = 404
    text = "The TagSet does not exist"


class NoSuchCorsConfiguration(S3Fault):
    code = "NoSuchCORSConfiguration"
    http_status = 404
    text = "The CORS configuration does not exist"


class NoSuchLifecycleConfiguration(S3Fault):
    code = "NoSuchLifecycleConfiguration"
    http_status = 404
    text = "The lifecycle configuration does not exist"


class NoSuchWebsiteConfiguration(S3Fault):
    code = "NoSuchWebsiteConfiguration"
    http_status = 404
    text = "The specified bucket does not have a website configuration"


class ServerSideEncryptionConfigurationNotFoundError(S3Fault):
    code = "ServerSideEncryptionConfigurationNotFoundError"
    http_status = 404
    text = "The server side encryption configuration was not found"


class InvalidPolicyDocument(S3Fault):
    code = "InvalidPolicyDocument"
    text = "The content of the form does not meet the conditions specified in the policy document."


class IncorrectNumberOfFilesInPostRequest(S3Fault):
    code = "IncorrectNumberOfFilesInPostRequest"
    text = "POST requires exactly one file upload per request."


class MalformedPOSTRequest(S3Fault):
    code = "MalformedPOSTRequest"
    text = "The body of your POST request is not well-formed multipart/form-data."


class MaxPostPreDataLengthExceededError(S3Fault):
    code = "MaxPostPreDataLengthExceededError"
    text = "Your POST request fields preceding the upload file were too large."


class InvalidTargetBucketForLogging(S3Fault):
    code = "InvalidTargetBucketForLogging"
    text = (
        "You must give the log-delivery group WRITE permission to the target bucket, or let "
        "logging.s3.amazonaws.com put objects by its policy"
    )
