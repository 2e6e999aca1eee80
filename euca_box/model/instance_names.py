"""The names of instances: by their addresses, as EC2 names them, or as Eucalyptus 1.6 does with its DNS."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

INTERNAL = "eucalyptus.internal"
_ADDRESS = re.compile(r"euca-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})")


@dataclass(frozen=True, slots=True)
class InstanceNames:
    """`domain` is the cloud's in the DNS; empty: it has none, and public addresses have no names."""

    domain: str = ""

    @property
    def internal(self) -> str:
        """The domain of private names."""
        return INTERNAL if self.domain else "ec2.internal"

    @property
    def public_zone(self) -> str:
        return f"eucalyptus.{self.domain}"

    @property
    def walrus(self) -> str:
        """Buckets are names in this one."""
        return f"walrus.{self.domain}"

    def host(self, private_ip: str) -> str:
        """`ip-172-31-0-5` as on AWS, or `euca-172-31-0-5`; also of an id where there is no address."""
        return ("euca-" if self.domain else "ip-") + private_ip.replace(".", "-")

    def private(self, private_ip: str | None) -> str:
        return f"{self.host(private_ip)}.{self.internal}" if private_ip else ""

    def public(self, public_ip: str | None) -> str:
        if not public_ip or not self.domain:
            return public_ip or ""
        return f"{self.host(public_ip)}.{self.public_zone}"


def address_in(label: str) -> str | None:
    """`euca-172-31-0-5` -> its address; None for another name, or one that is written in another way."""
    found = _ADDRESS.fullmatch(label)
    if found is None:
        return None
    try:
        address = str(IPv4Address(".".join(found.groups())))
    except AddressValueError:
        return None
    return address if label == "euca-" + address.replace(".", "-") else None
