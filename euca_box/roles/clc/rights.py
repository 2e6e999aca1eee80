"""Which policies act for every user and role: what the front ends and Walrus are told of IAM."""

from typing import TYPE_CHECKING

from euca_box.model import aws_policies

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def held(clc: "Clc") -> dict[str, list[str]]:
    """The documents that act for every user and role: its own, and for users those of its groups."""
    own: dict[str, list[str]] = {}
    for row in await clc.store.read("SELECT owner, document FROM inline_policy ORDER BY owner, name"):
        own.setdefault(row["owner"], []).append(row["document"])
    rows = await clc.store.read(
        "SELECT 'arn:aws:iam::' || account || ':policy' || path || name AS arn, document FROM managed_policy "
        "JOIN policy_version ON policy_id = id AND version = default_version"
    )
    documents = {row["arn"]: row["document"] for row in rows}
    for row in await clc.store.read("SELECT owner, policy_arn FROM attached_policy"):
        arn = row["policy_arn"]
        if (document := documents.get(arn) or aws_policies.document_of(arn)) is not None:
            own.setdefault(row["owner"], []).append(document)
    found = {owner: list(texts) for owner, texts in own.items()}
    for row in await clc.store.read("SELECT group_id, user_id FROM group_member"):
        if texts := own.get(row["group_id"]):
            found.setdefault(row["user_id"], []).extend(texts)
    return found
