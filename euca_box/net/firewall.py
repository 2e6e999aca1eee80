"""The rules that never change while a cloud runs, as nftables text: anti-spoof, groups, host protection, NAT.

The packet path. Guest ports are isolated and the bridge answers ARP for the whole subnet, so every packet of
a guest, also to its neighbour, enters the host at the bridge's own address and passes the inet hooks, where
connection tracking works. Nothing depends on br_netfilter, on or off (see Links.ensure_way_back). Egress is
judged in forward by the address that the guest dialled; ingress is judged in postrouting after source NAT, by
the address that the guest will see: one place for neighbours, the outside and the host. What comes from a
guest of another host was judged there as it left, and is judged here as it arrives. A drop is final in
nftables, whatever other tables accept; what they drop, we cannot save (see foreign.py).
"""

from euca_box.net.network import METADATA_ADDRESS, NetworkSettings, tunnel_of

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
    ether type ip iifname . ether saddr . ip saddr @ip4 th sport != 67 accept comment "nearly all packets"
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
{between}}}
"""

# No frame goes from port to port: it never passes the inet hooks.
_ISOLATED = """  chain between_ports {
    type filter hook forward priority 0; policy accept;
    iifname @guarded counter drop comment "isolated ports: never past the inet hooks"
    oifname @guarded counter drop
  }
"""

# The guests of a segment are on one link, also across hosts; but each host is the gateway of its own alone.
_SEGMENTS = """  set trunks { type ifname; }
  chain between_ports {
    type filter hook forward priority 0; policy accept;
    iifname @guarded udp sport 68 udp dport 67 drop comment "DHCP requests go to the host only"
    udp sport 67 udp dport 68 counter drop comment "only the host serves DHCP"
  }
  chain from_trunk {
    type filter hook input priority 0; policy accept;
    iifname @trunks drop
  }
  chain to_trunk {
    type filter hook output priority 0; policy accept;
    oifname @trunks drop
  }
"""

_INET = """
table inet {table}
delete table inet {table}
table inet {table} {{
  map in_of {{ type ipv4_addr : verdict; }}
  map out_of {{ type ipv4_addr : verdict; }}
  map private_of {{ type ipv4_addr : ipv4_addr; }}
  map public_of {{ type ipv4_addr : ipv4_addr; }}
  map remote_private_of {{ type ipv4_addr : ipv4_addr; }}
  set guest_links {{ type ifname; }}
  set remote {{ type ipv4_addr; }}
  set hosts {{ type ipv4_addr; }}
  set gateways {{ type ipv4_addr; }}

  chain dial_in {{
    type nat hook prerouting priority -100; policy accept;
    iifname @guest_links ip daddr {metadata} tcp dport 80 dnat ip to {gateway}:{metadata_port}
    dnat ip to ip daddr map @private_of
    iifname @guest_links dnat ip to ip daddr map @remote_private_of
  }}
  chain dial_from_host {{
    type nat hook output priority -100; policy accept;
    dnat ip to ip daddr map @private_of
  }}
  chain leave {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname @guest_links ct status dnat jump hairpin
    ip saddr {subnet} oifname "{tunnel}" jump to_remote
    ip saddr {subnet} oifname != @guest_links jump outward
  }}
  chain hairpin {{
    snat ip to ip saddr map @public_of
    snat ip to {gateway}
  }}
  chain to_remote {{
    ct status dnat snat ip to ip saddr map @public_of
    accept
  }}
  chain outward {{
{outward}    masquerade
  }}

  chain host_input {{
    type filter hook input priority -5; policy accept;
    iifname @guest_links jump guest_to_host
    iifname "{tunnel}" counter drop comment "guests of other hosts reach their own host only"
{input}  }}
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
{fit}    ct state established,related accept
    iifname != @guest_links oifname != @guest_links iifname != "{tunnel}" oifname != "{tunnel}" accept
    ct state invalid drop
{strict}    meta nfproto != ipv4 drop
    iifname "{tunnel}" oifname @guest_links ip saddr @remote accept comment "judged in to_guest"
    iifname @guest_links oifname @guest_links ip saddr @remote accept comment "from a trunk, where bridged"
    iifname @guest_links ip daddr @hosts jump to_host
    iifname @guest_links ip saddr vmap @out_of
    iifname @guest_links counter drop comment "no group lets it out"
    ct status dnat oifname @guest_links accept comment "from outside by public address only; see to_guest"
    counter drop
  }}
  chain to_host {{
    tcp dport {api_port} return
    counter drop comment "other hosts of this cloud are guarded as this one"
  }}
  chain to_guest {{
    type filter hook postrouting priority 200; policy accept;
    ct state established accept
    oifname != @guest_links accept
    icmp type redirect drop comment "the neighbour is on the link, but isolated"
    ct state related accept
    ip saddr {gateway} udp sport 67 udp dport 68 accept
    ip saddr @gateways udp sport 67 udp dport 68 accept
    ip daddr @remote accept comment "in a segment, bridged where br_netfilter calls: judged on its host"
    ip daddr vmap @in_of
    counter drop comment "no group lets it in"
  }}
}}
"""

# A connection that was cut would else be taken for a new one of its server's.
_NO_PICK_UP = """    ct state new tcp flags & (fin | syn | rst | ack) != syn drop
"""
_FIT = """    oifname "{tunnel}" tcp flags syn tcp option maxseg size set rt mtu
"""
_FROM_HOSTS_ONLY = """    udp dport {port} ip saddr != @hosts counter drop comment "tunnels of strangers"
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
        "tunnel": tunnel_of(settings.bridge),
        "between": _SEGMENTS if settings.mode == "MANAGED" else _ISOLATED,
        "fit": _FIT.format(tunnel=tunnel_of(settings.bridge)) if settings.tunnel else "",
        "strict": _NO_PICK_UP if settings.cut_revoked else "",
        "input": _FROM_HOSTS_ONLY.format(port=settings.tunnel.port) if settings.tunnel else "",
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
