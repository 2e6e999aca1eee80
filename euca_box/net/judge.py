"""Whether the security groups allow a connection that is there already: the firewall's question, asked again.

For the setting that cuts connections when their rule is revoked; without it they live on, as on AWS.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network

from euca_box.net.conntrack import Flow
from euca_box.net.network import LARGEST_PORT, Port, Rule, protocol_number
from euca_box.net.ruleset import NetworkState, members_of


class Judge:
    """Of one state of the network. `own` are the host's addresses: groups do not judge what goes there."""

    def __init__(self, state: NetworkState, own: Collection[str]) -> None:
        self._state, self._own = state, own
        self._ports = {port.private_ip: port for port in state.ports.values()}
        self._members = {group_id: set(found) for group_id, found in members_of(state).items()}

    def allows(self, flow: Flow) -> bool:
        """Both ends that are guests here must allow it."""
        server, client = self._ports.get(flow.reply.source), self._ports.get(flow.original.source)
        icmp = flow.protocol == 1
        port = flow.original.to_port if icmp else flow.reply.from_port
        if server is not None and not self._may(
            server, "ingress", flow.reply.destination, flow.protocol, port
        ):
            return False
        if client is None or flow.reply.source in self._own:
            return True
        return self._may(client, "egress", flow.original.destination, flow.protocol, flow.original.to_port)

    def _may(self, guest: Port, way: str, peer: str, protocol: int, port: int) -> bool:
        address = IPv4Address(peer)
        if guest.network and address in IPv4Network(guest.network):
            return True
        groups = [self._state.groups[g] for g in guest.group_ids if g in self._state.groups]
        rules = (rule for group in groups for rule in getattr(group, way))
        return any(self._fits(rule, address, protocol, port) for rule in rules)

    def _fits(self, rule: Rule, peer: IPv4Address, protocol: int, port: int) -> bool:
        number = protocol_number(rule.protocol)
        if number not in (-1, protocol):
            return False
        if rule.group_id is not None and str(peer) not in self._members.get(rule.group_id, ()):
            return False
        if rule.cidr is not None and peer not in IPv4Network(rule.cidr, strict=False):
            return False
        return number == -1 or _fits_port(rule, protocol, port)


def _fits_port(rule: Rule, protocol: int, port: int) -> bool:
    if rule.from_port == -1:
        return True
    if protocol == 1:
        kind, code = divmod(port, 256)
        return rule.from_port == kind and rule.to_port in (-1, code)
    if protocol not in (6, 17):
        return True
    return rule.from_port <= port <= min(rule.to_port, LARGEST_PORT)
