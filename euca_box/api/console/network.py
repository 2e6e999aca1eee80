"""Key pairs, security groups with their rules, elastic addresses."""

from typing import Any

from quart import Quart, Response

from euca_box.api.console.web import Web, back, chosen, done, form, page
from euca_box.messages import ec2_addresses, ec2_groups, ec2_keypairs
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError

WHERE = "/network"


def routes(app: Quart, web: Web) -> None:
    @app.get(WHERE, endpoint="network")
    async def network() -> str:
        keys = await web.look(ec2_keypairs.DescribeKeyPairs())
        groups = await web.look(ec2_groups.DescribeSecurityGroups())
        addresses = await web.look(ec2_addresses.DescribeAddresses())
        return await page(
            "network.html",
            keys=keys.key_pairs,
            groups=groups.security_groups,
            addresses=addresses.addresses,
        )

    @app.post("/network/keys", endpoint="keys_act")
    async def keys() -> Any:
        return await _keys(web)

    @app.post("/network/groups", endpoint="groups_act")
    async def groups() -> Response:
        given = await form()
        op = _group(given)
        if op is None:
            return back(WHERE, error="Ports are numbers from 0 to 65535, -1 for every one of ICMP.")
        return await done(web, op, WHERE, "The security group is changed.")

    @app.post("/network/addresses", endpoint="addresses_act")
    async def addresses() -> Response:
        given = await form()
        allocation, wanted = given.get("allocation", ""), given.get("do", "")
        ops: dict[str, Op[Any]] = {
            "allocate": ec2_addresses.AllocateAddress(),
            "release": ec2_addresses.ReleaseAddress(allocation_id=allocation),
            "associate": ec2_addresses.AssociateAddress(
                allocation_id=allocation, instance_id=given.get("instance", "")
            ),
            "disassociate": ec2_addresses.DisassociateAddress(association_id=given.get("association", "")),
        }
        if wanted not in ops:
            return back(WHERE, error="There is no such action.")
        return await done(web, ops[wanted], WHERE, "The address is changed.")


async def _keys(web: Web) -> Any:
    given = await form()
    name = given.get("name", "")
    if given.get("do") == "create":
        try:
            made = await web.do(ec2_keypairs.CreateKeyPair(name))
        except EucaError as error:
            return back(WHERE, error=f"{error.code}: {error.message}")
        return await page("new_key.html", name=made.key_name, material=made.key_material)
    if given.get("do") == "import":
        op = ec2_keypairs.ImportKeyPair(name, given.get("public_key", "").encode())
        return await done(web, op, WHERE, "The key pair is imported.")
    answer = back(WHERE, error="Tick the key pairs it is for.")
    for key in await chosen():
        answer = await done(web, ec2_keypairs.DeleteKeyPair(key), WHERE, f"{key} is deleted.")
    return answer


def _group(given: dict[str, str]) -> Op[Any] | None:
    """None for ports that are none."""
    group, wanted = given.get("group", ""), given.get("do", "")
    if wanted == "create":
        return ec2_groups.CreateSecurityGroup(given.get("name", ""), given.get("description", ""))
    if wanted == "delete":
        return ec2_groups.DeleteSecurityGroup(group)
    first, last = _port(given.get("from", "")), _port(given.get("to", "") or given.get("from", ""))
    protocol = given.get("protocol", "")
    if protocol != "-1" and (first is None or last is None):
        return None
    rule = ec2_groups.IpPermission(
        protocol,
        None if protocol == "-1" else first,
        None if protocol == "-1" else last,
        ip_ranges=(ec2_groups.IpRange(given.get("cidr", ""), given.get("note") or None),),
    )
    kinds: dict[tuple[str, str], Any] = {
        ("authorize", "in"): ec2_groups.AuthorizeSecurityGroupIngress,
        ("authorize", "out"): ec2_groups.AuthorizeSecurityGroupEgress,
        ("revoke", "in"): ec2_groups.RevokeSecurityGroupIngress,
        ("revoke", "out"): ec2_groups.RevokeSecurityGroupEgress,
    }
    kind = kinds.get((wanted, given.get("direction", "in")))
    return kind(group_id=group, ip_permissions=(rule,)) if kind is not None else None


def _port(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() and text.isascii() and len(text) < 7 else None
