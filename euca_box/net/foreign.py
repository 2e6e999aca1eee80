"""Other programs' firewalls on this host.

What of theirs would drop our guests' traffic, and Docker's door for others.

An accept of ours never undoes a drop of theirs. Docker sets `policy drop` on the ip filter FORWARD chain and
leaves the chain DOCKER-USER to the administrator; only there we add our two rules, and only those we take
away again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from euca_box.net.network import NetworkSettings
from euca_box.net.nft import Nft

_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_FAMILIES = ("ip", "inet")
_LEGACY = Path("/proc/net/ip_tables_names")
_DOCKER = "ip filter DOCKER-USER"

Rules = dict[tuple[str, str, str], list[dict[str, Any]]]


def open_docker_door(nft: Nft, settings: NetworkSettings) -> None:
    """Let traffic from and to our bridge pass Docker's chain; our own table judges it. Raises NetError."""
    rules = _listed_rules(nft)
    if ("ip", "filter", "DOCKER-USER") not in rules:
        return
    for direction in ("iifname", "oifname"):
        if not _door_handles(rules, settings.bridge, direction):
            # In the form that iptables-nft writes, so that it can still read its table.
            nft.run(f'insert rule {_DOCKER} {direction} "{settings.bridge}" counter accept')


def close_docker_door(nft: Nft, settings: NetworkSettings) -> None:
    """Take our rules out again. Raises NetError."""
    rules = _listed_rules(nft)
    for direction in ("iifname", "oifname"):
        for handle in _door_handles(rules, settings.bridge, direction):
            nft.run(f"delete rule {_DOCKER} handle {handle}")


def find_foreign_drops(nft: Nft, settings: NetworkSettings) -> list[str]:
    """One sentence for each chain of others that drops by policy or by a last rule without condition.

    Raises NetError.
    """
    objects = nft.list_json("list ruleset")
    rules = _rules_by_chain(objects)
    found = [
        f"table {family} {table} chain {name} (hook {hook}) {how}: our guests' traffic may be lost there"
        for family, table, name, hook, how in _dropping_chains(objects, rules, settings.table_prefix)
        if not _passes_docker_door(rules, family, table, hook, settings.bridge)
    ]
    if _has_legacy_filter():
        found.append(
            "iptables-legacy has a filter table, which cannot be read here: its FORWARD chain may drop"
        )
    return found


def _dropping_chains(
    objects: list[dict[str, Any]], rules: Rules, own_prefix: str
) -> Iterator[tuple[str, str, str, str, str]]:
    for chain in (item["chain"] for item in objects if "chain" in item):
        family, table, name, hook = chain["family"], chain["table"], chain["name"], chain.get("hook")
        if hook not in _HOOKS or family not in _FAMILIES or table.startswith(own_prefix):
            continue
        last = rules.get((family, table, name), [])[-1:]
        if chain.get("policy") == "drop":
            yield family, table, name, hook, "drops by policy"
        elif last and _is_plain_drop(last[0]):
            yield family, table, name, hook, "drops what it does not accept"


def _is_plain_drop(rule: dict[str, Any]) -> bool:
    words = [key for statement in rule.get("expr", []) for key in statement if key not in ("counter", "log")]
    return len(words) == 1 and words[0] in ("drop", "reject")


def _passes_docker_door(rules: Rules, family: str, table: str, hook: str, bridge: str) -> bool:
    docker = (family, table, hook) == ("ip", "filter", "forward")
    return docker and all(_door_handles(rules, bridge, way) for way in ("iifname", "oifname"))


def _door_handles(rules: Rules, bridge: str, direction: str) -> list[int]:
    """Handles of rules in DOCKER-USER that say exactly: this interface, accept."""
    match = {"op": "==", "left": {"meta": {"key": direction}}, "right": bridge}
    handles = []
    for rule in rules.get(("ip", "filter", "DOCKER-USER"), []):
        statements = [statement for statement in rule.get("expr", []) if "counter" not in statement]
        if statements == [{"match": match}, {"accept": None}]:
            handles.append(int(rule["handle"]))
    return handles


def _listed_rules(nft: Nft) -> Rules:
    return _rules_by_chain(nft.list_json("list ruleset ip"))


def _rules_by_chain(objects: list[dict[str, Any]]) -> Rules:
    """Rules by (family, table, chain), in order; a chain without rules is there with none."""
    chains: Rules = {}
    for item in objects:
        if "chain" in item:
            chain = item["chain"]
            chains.setdefault((chain["family"], chain["table"], chain["name"]), [])
        elif "rule" in item:
            rule = item["rule"]
            chains.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
    return chains


def _has_legacy_filter() -> bool:
    try:
        return "filter" in _LEGACY.read_text().split()
    except OSError:
        return False
