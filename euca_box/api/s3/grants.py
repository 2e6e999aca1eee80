"""An ACL as a request gives it: by name, by grants in headers, or as a document."""

import re

from lxml import etree

from euca_box.api.s3.request import S3Request
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.auth.keyring import Keyring
from euca_box.model.acls import (
    MOST_GRANTS,
    Acl,
    CannedAcl,
    Grant,
    Group,
    Permission,
    acl_of_grants,
    canned_acl,
)
from euca_box.model.s3_errors import (
    InvalidArgument,
    InvalidRequest,
    MalformedAclError,
    MalformedXML,
    UnresolvableGrantByEmailAddress,
)

_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_HEADERS = {
    f"x-amz-grant-{permission.value.lower().replace('_', '-')}": permission for permission in Permission
}
_GRANTEE = re.compile(r"\s*(id|uri|emailAddress)\s*=\s*(?:\"([^\"]*)\"|([^\",\s]+))\s*", re.IGNORECASE)


def acl_of_headers(request: S3Request, keyring: Keyring) -> Acl | None:
    """The ACL of x-amz-acl or x-amz-grant-*; None when there is neither.

    Raises InvalidArgument, InvalidRequest, UnresolvableGrantByEmailAddress.
    """
    grants = [
        Grant(permission, _resolved(kind, value, keyring))
        for name, permission in _HEADERS.items()
        if name in request.headers
        for kind, value in _grantees(request.headers[name], name)
    ]
    name = request.headers.get("x-amz-acl")
    if name is not None and any(header in request.headers for header in _HEADERS):
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if name is not None:
        return _canned(name, of_object=bool(request.key))
    _check_number(grants)
    return acl_of_grants(grants) if grants else None


def _canned(name: str, *, of_object: bool) -> Acl:
    try:
        acl = canned_acl(name)
    except ValueError:
        raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=name) from None
    if of_object and acl.canned is CannedAcl.LOG_DELIVERY_WRITE:
        raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=name)
    return acl


def _grantees(text: str, name: str) -> list[tuple[str, str]]:
    found, end = [], 0
    while True:
        match = _GRANTEE.match(text, end)
        if match is None:
            raise InvalidArgument(ArgumentName=name, ArgumentValue=text)
        found.append((match[1].lower(), match[2] if match[2] is not None else match[3]))
        end = match.end() + 1
        if match.end() == len(text):
            return found
        if text[match.end()] != ",":
            raise InvalidArgument(ArgumentName=name, ArgumentValue=text)


def _resolved(kind: str, value: str, keyring: Keyring) -> str | Group:
    if kind == "uri":
        try:
            return Group(value)
        except ValueError:
            raise InvalidArgument("Invalid group uri", ArgumentName="uri", ArgumentValue=value) from None
    if kind == "id":
        if keyring.by_canonical_id(value) is None:
            raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value)
        return value
    who = keyring.by_email(value)
    if who is None:
        raise UnresolvableGrantByEmailAddress(EmailAddress=value)
    return who.canonical_id


def _check_number(grants: list[Grant]) -> None:
    if len(grants) > MOST_GRANTS:
        raise InvalidRequest(f"An ACL has at most {MOST_GRANTS} grants.")


def acl_of_document(document: bytes, owner_id: str, keyring: Keyring) -> Acl:
    """The grants of an AccessControlPolicy, whose Owner must be the owner.

    Raises MalformedACLError, InvalidArgument, AccessDenied, UnresolvableGrantByEmailAddress.
    """
    try:
        root = parse_xml(document, "AccessControlPolicy")
        owners, lists = children(root, "Owner"), children(root, "AccessControlList")
        if len(owners) != 1 or len(lists) != 1:
            raise MalformedAclError()
        named = text_of(owners[0], "ID")
        grants = [_grant(item, keyring) for item in children(lists[0], "Grant")]
    except MalformedXML:
        raise MalformedAclError() from None
    if named != owner_id:
        raise InvalidArgument("Invalid id", ArgumentName="Owner/ID", ArgumentValue=named or "")
    _check_number(grants)
    return acl_of_grants(grants)


def _grant(item: etree._Element, keyring: Keyring) -> Grant:
    grantees, permission = children(item, "Grantee"), text_of(item, "Permission")
    if len(grantees) != 1 or permission is None or permission.strip() not in Permission.__members__:
        raise MalformedAclError()
    grantee = grantees[0]
    kind, tag = _KINDS.get(str(grantee.get(_XSI_TYPE)).rpartition(":")[2], ("", ""))
    value = text_of(grantee, tag) if kind else None
    if value is None:
        raise MalformedAclError()
    return Grant(Permission(permission.strip()), _resolved(kind, value.strip(), keyring))


_KINDS = {
    "CanonicalUser": ("id", "ID"),
    "AmazonCustomerByEmail": ("emailaddress", "EmailAddress"),
    "Group": ("uri", "URI"),
}
