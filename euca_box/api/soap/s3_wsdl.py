"""The WSDL of S3's SOAP interface (2006-03-01): AmazonS3.wsdl's names, for the operations that are served."""

import functools

from euca_box.api.ec2.encode import escaped
from euca_box.api.soap.s3_operations import OPERATIONS

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# Complex types: elements in order. `?` may be absent, `*` any number; after the colon a type of ours, or
# int, long, boolean, dateTime, base64Binary; nothing: a string.
_TYPES = {
    "Status": "Code:int Description",
    "MetadataEntry": "Name Value",
    "Grantee": "",
    "Grant": "Grantee:Grantee Permission",
    "AccessControlList": "Grant*:Grant",
    "AccessControlPolicy": "Owner:CanonicalUser AccessControlList:AccessControlList",
    "ListAllMyBucketsEntry": "Name CreationDate:dateTime BucketRegion?",
    "ListAllMyBucketsList": "Bucket*:ListAllMyBucketsEntry",
    "ListAllMyBucketsResult": "Owner:CanonicalUser Buckets:ListAllMyBucketsList",
    "CreateBucketResult": "BucketName",
    "ListEntry": "Key LastModified:dateTime ETag ChecksumAlgorithm? ChecksumType? Size:long "
    "Owner?:CanonicalUser StorageClass",
    "PrefixEntry": "Prefix",
    "ListBucketResult": "Name Prefix MaxKeys:int Delimiter? EncodingType? Marker? NextMarker? "
    "IsTruncated:boolean Contents*:ListEntry CommonPrefixes*:PrefixEntry",
    "PutObjectResult": "ETag LastModified:dateTime",
    "GetObjectResult": "Status:Status Metadata*:MetadataEntry Data?:base64Binary "
    "LastModified?:dateTime ETag?",
    "CopyObjectResult": "ETag LastModified:dateTime ChecksumCRC32? ChecksumCRC32C? ChecksumCRC64NVME? "
    "ChecksumSHA1? ChecksumSHA256? ChecksumType?",
    "LoggingSettings": "TargetBucket TargetPrefix? TargetGrants?:AccessControlList",
    "BucketLoggingStatus": "LoggingEnabled?:LoggingSettings",
}
# A grantee is one of these; xsi:type says which.
_GRANTEES = {"CanonicalUser": "ID DisplayName?", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}
_WHO = "AWSAccessKeyId? Timestamp?:dateTime Signature? Credential?"
_WRITE = "Metadata*:MetadataEntry {} ContentLength:long AccessControlList?:AccessControlList StorageClass?"
_CONDITIONS = "{0}IfModifiedSince?:dateTime {0}IfUnmodifiedSince?:dateTime {0}IfMatch* {0}IfNoneMatch*"
_GET = "Bucket Key GetMetadata:boolean GetData:boolean InlineData:boolean"
_COPIED = _CONDITIONS.format("CopySource")
_REQUESTS = {
    "ListAllMyBuckets": "",
    "CreateBucket": "Bucket AccessControlList?:AccessControlList",
    "DeleteBucket": "Bucket",
    "ListBucket": "Bucket Prefix? Marker? MaxKeys?:int Delimiter?",
    "PutObjectInline": f"Bucket Key {_WRITE.format('Data:base64Binary')}",
    "PutObject": f"Bucket Key {_WRITE.format('')}",
    "GetObject": _GET,
    "GetObjectExtended": f"{_GET} ByteRangeStart?:long ByteRangeEnd?:long {_CONDITIONS.format('')} "
    "ReturnCompleteObjectOnConditionFailure?:boolean",
    "DeleteObject": "Bucket Key",
    "CopyObject": "SourceBucket SourceKey DestinationBucket DestinationKey MetadataDirective? "
    f"Metadata*:MetadataEntry AccessControlList?:AccessControlList {_COPIED} StorageClass?",
    "GetBucketAccessControlPolicy": "Bucket",
    "GetObjectAccessControlPolicy": "Bucket Key",
    "SetBucketAccessControlPolicy": "Bucket AccessControlList:AccessControlList",
    "SetObjectAccessControlPolicy": "Bucket Key AccessControlList:AccessControlList",
    "GetBucketLoggingStatus": "Bucket",
    "SetBucketLoggingStatus": "Bucket BucketLoggingStatus:BucketLoggingStatus",
}
_RESULTS = {
    "ListAllMyBuckets": "ListAllMyBucketsResponse:ListAllMyBucketsResult",
    "CreateBucket": "CreateBucketReturn:CreateBucketResult",
    "DeleteBucket": "DeleteBucketResponse:Status",
    "ListBucket": "ListBucketResponse:ListBucketResult",
    "PutObjectInline": "PutObjectInlineResponse:PutObjectResult",
    "PutObject": "PutObjectResponse:PutObjectResult",
    "GetObject": "GetObjectResponse:GetObjectResult",
    "GetObjectExtended": "GetObjectResponse:GetObjectResult",
    "DeleteObject": "DeleteObjectResponse:Status",
    "CopyObject": "CopyObjectResult:CopyObjectResult",
    "GetBucketAccessControlPolicy": "GetBucketAccessControlPolicyResponse:AccessControlPolicy",
    "GetObjectAccessControlPolicy": "GetObjectAccessControlPolicyResponse:AccessControlPolicy",
    "SetBucketAccessControlPolicy": "",
    "SetObjectAccessControlPolicy": "",
    "GetBucketLoggingStatus": "GetBucketLoggingStatusResponse:BucketLoggingStatus",
    "SetBucketLoggingStatus": "",
}


@functools.cache
def wsdl(endpoint: str) -> bytes:
    types = "".join(
        f'<xs:complexType name="{name}">{_sequence(of)}</xs:complexType>' for name, of in _TYPES.items()
    )
    types += "".join(
        f'<xs:complexType name="{name}"><xs:complexContent><xs:extension base="tns:Grantee">{_sequence(of)}'
        "</xs:extension></xs:complexContent></xs:complexType>"
        for name, of in _GRANTEES.items()
    )
    for name in OPERATIONS:
        request = f"{_REQUESTS[name]} {_WHO}"
        types += (
            f'<xs:element name="{name}"><xs:complexType>{_sequence(request)}</xs:complexType></xs:element>'
        )
        result = _sequence(_RESULTS[name])
        types += f'<xs:element name="{name}Response"><xs:complexType>{result}</xs:complexType></xs:element>'
    messages = "".join(
        f'<message name="{name}{end}"><part name="parameters" element="tns:{name}{element}"/></message>'
        for name in OPERATIONS
        for end, element in (("Request", ""), ("Response", "Response"))
    )
    port = "".join(
        f'<operation name="{name}"><input message="tns:{name}Request"/>'
        f'<output message="tns:{name}Response"/></operation>'
        for name in OPERATIONS
    )
    body = '<soap:body use="literal"/>'
    binding = "".join(
        f'<operation name="{name}"><soap:operation soapAction=""/><input>{body}</input>'
        f"<output>{body}</output></operation>"
        for name in OPERATIONS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" '
        'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:tns="{SPACE}" targetNamespace="{SPACE}">'
        f'<types><xs:schema targetNamespace="{SPACE}" elementFormDefault="qualified">{types}</xs:schema>'
        f'</types>{messages}<portType name="AmazonS3">{port}</portType>'
        '<binding name="AmazonS3SoapBinding" type="tns:AmazonS3"><soap:binding style="document" '
        f'transport="http://schemas.xmlsoap.org/soap/http"/>{binding}</binding><service name="AmazonS3">'
        '<port name="AmazonS3" binding="tns:AmazonS3SoapBinding">'
        f'<soap:address location="{escaped(endpoint)}"/></port></service></definitions>'
    ).encode()


def _sequence(of: str) -> str:
    return f"<xs:sequence>{''.join(map(_element, of.split()))}</xs:sequence>"


def _element(text: str) -> str:
    name, _, kind = text.partition(":")
    often = {"?": ' minOccurs="0"', "*": ' minOccurs="0" maxOccurs="unbounded"'}.get(name[-1], "")
    kind = f"tns:{kind}" if kind in _TYPES or kind in _GRANTEES else f"xs:{kind or 'string'}"
    return f'<xs:element name="{name.rstrip("?*")}" type="{kind}"{often}/>'
