"""What the name service asks the CLC."""

from dataclasses import dataclass

from euca_box.messages.base import Op


@dataclass(frozen=True)
class AddressesInUse:
    """Addresses of instances that are not terminated."""

    private: frozenset[str]
    public: frozenset[str]


@dataclass(frozen=True)
class ListAddressesInUse(Op[AddressesInUse], role="clc", timeout=5):
    """Whose names there are."""
