"""The rules that never change while a cloud runs, as nftables text: anti-spoof, groups, host protection, NAT.

The packet path. Guest ports are isolated and the bridge answers ARP for the whole subnet, so every packet of
a guest, also to its neighbour, enters the host at the bridge's own address and passes the inet hooks, where
connection tracking works. Nothing depends on br_netfilter, on or off (see Links.ensure_way_back). Egress is
judged in forward by the address that the guest dialled; ingress is judged in postrouting after source NAT, by
the address that the guest will see: one place for neighbours, the outside and the host. A drop is final in
nftables, whatever other tables accept; what they drop, we cannot save (see foreign.py).
"""

from euca_box.net.network import METADATA_ADDRESS, NetworkSettings, way_back

# One element for each (port, MAC) and (port, MAC, address): a guest speaks as itself or not at all. Ports are
# told by name, because `meta ibrname` needs a module that not every kernel has (nft_meta_bridge).
_BRIDGE = """
table bridge {table}
delete table bridge {table}
table bridge {table} {{
  set guarded {{ type ifname; }}
  set mac {{ type ifname . ether_addr; }}
  set ip4 {{ type ifname . ether_addr . ipv4_addr; }}
  chain from_port {{
    type filter hook prerouting priority -300; policy accept;
    iifname @guarded jump guest
  }}
  chain guest {{
    iifname . ether saddr != @mac counter drop comment "forged source MAC"
    ether type vmap {{ arp : jump guest_arp, ip : jump guest_ip }}
    counter drop comment "IPv6, VLAN, LLDP, anything else"
  }}
  chain guest_arp {{
    iifname . arp saddr ether . arp daddr ip @ip4 drop comment "own address: proxy ARP would contest it"
    arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 iifname . arp saddr ether . arp saddr ip @ip4 accept
    arp operation request arp saddr ip 0.0.0.0 iifname . arp saddr ether @mac accept comment "RFC 5227 probe"
    counter drop
  }}
  chain guest_ip {{
    ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
    udp sport 67 counter drop comment "only the host serves DHCP"
    iifname . ether saddr . ip saddr @ip4 accept
    counter drop comment "forged source address"
  }}
  chain between_ports {{
    type filter hook forward priority 0; policy accept;
    iifname @guarded counter drop comment "isolated ports: never past the inet hooks"
    oifname @guarded counter drop
  }}
}}
"""

_INET = """
table inet {table}
delete table inet {table}
table inet {table} {{
  map in_of {{ type ipv4_addr : verdict; }}
  map out_of {{ type ipv4_addr : verdict; }}
  map private_of {{ type ipv4_addr : ipv4_addr; }}
  map public_of {{ type ipv4_addr : ipv4_addr; }}

  chain dial_in {{
    type nat hook prerouting priority -100; policy accept;
    iifname {{ "{bridge}", "{back}" }} ip daddr {metadata} tcp dport 80 dnat ip to {gateway}:{metadata_port}
    dnat ip to ip daddr map @private_of
  }}
  chain dial_from_host {{
    type nat hook output priority -100; policy accept;
    dnat ip to ip daddr map @private_of
  }}
  chain leave {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname {{ "{bridge}", "{back}" }} ct status dnat jump hairpin
    ip saddr {subnet} oifname != {{ "{bridge}", "{back}" }} jump outward
  }}
  chain hairpin {{
    snat ip to ip saddr map @public_of
    snat ip to {gateway}
  }}
  chain outward {{
{outward}    masquerade
  }}

  chain host_input {{
    type filter hook input priority -5; policy accept;
    iifname {{ "{bridge}", "{back}" }} jump guest_to_host
  }}
  chain guest_to_host {{
    ct state established,related accept
    udp sport 68 udp dport 67 accept
    ip daddr {gateway} udp dport 53 accept
    ip daddr {gateway} tcp dport 53 accept
    ip daddr {gateway} tcp dport {metadata_port} ct original ip daddr {metadata} accept
    tcp dport {api_port} accept
    counter drop
  }}
  chain forward {{
    type filter hook forward priority -5; policy accept;
    iifname != {{ "{bridge}", "{back}" }} oifname != {{ "{bridge}", "{back}" }} accept
    ct state established,related accept
    ct state invalid drop
    meta nfproto != ipv4 drop
    iifname {{ "{bridge}", "{back}" }} ip saddr vmap @out_of
    iifname {{ "{bridge}", "{back}" }} counter drop comment "no group lets it out"
    ct status dnat accept comment "from outside by public address only; judged in to_guest"
    counter drop
  }}
  chain to_guest {{
    type filter hook postrouting priority 200; policy accept;
    oifname != {{ "{bridge}", "{back}" }} accept
    icmp type redirect drop comment "the neighbour is on the link, but isolated"
    ct state established,related accept
    ip saddr {gateway} udp sport 67 udp dport 68 accept
    ip daddr vmap @in_of
    counter drop comment "no group lets it in"
  }}
}}
"""


def base_ruleset(settings: NetworkSettings) -> str:
    """Both tables without any guest, replacing whatever is in them.

    To be run together with the guests' part.
    """
    outward = ""
    if settings.uplink is not None:
        outward = f'    oifname "{settings.uplink}" snat ip to ip saddr map @public_of\n'
    values = {
        "table": settings.table,
        "bridge": settings.bridge,
        "back": way_back(settings.bridge),
        "subnet": settings.subnet,
        "gateway": settings.gateway,
        "metadata": METADATA_ADDRESS,
        "metadata_port": settings.metadata_port,
        "api_port": settings.api_port,
        "outward": outward,
    }
    return _BRIDGE.format(**values) + _INET.format(**values)


def removal(table: str) -> str:
    """Takes both tables of this name away, whether they are there or not."""
    lines = (f"table {family} {table}\ndelete table {family} {table}" for family in ("bridge", "inet"))
    return "\n".join(lines) + "\n"
