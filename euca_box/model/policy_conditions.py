"""The Condition element of a policy: operators and how they compare what a request has.

Source: IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple
context keys or values". A value of the request that is not of the operator's kind matches nothing.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial

from euca_box.model.policy_text import Context, Pattern, parse_pattern

Test = Callable[[str, Context], bool]  # does a value of the request match this value of the policy?
_FOR_ALL, _FOR_ANY = "forallvalues:", "foranyvalue:"
_KEY = re.compile(r"[A-Za-z0-9-]+:[^\s:][^\s]*(?: [^\s]+)*")


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key: any of the values is enough."""

    operator: str  # in lower case, without prefix, suffix and negation
    key: str  # in lower case
    values: tuple[str, ...]
    tests: tuple[Test, ...]
    negated: bool = False
    if_exists: bool = False
    quantifier: str = ""

    def holds(self, context: Context) -> bool:
        given = context.get(self.key)
        if self.operator == "null":
            return any((given is None) == (value.lower() == "true") for value in self.values)
        if not given:
            if self.quantifier:
                return self.quantifier == _FOR_ALL or self.if_exists
            return self.if_exists or self.negated
        found = [any(test(value, context) for test in self.tests) != self.negated for value in given]
        if self.quantifier == _FOR_ALL or (self.negated and not self.quantifier):
            return all(found)
        return any(found)

    @property
    def is_fixed(self) -> bool:
        """Does it hold for values that stand in the policy only, and for no request without the key?"""
        if self.negated or self.if_exists or self.quantifier == _FOR_ALL or self.operator == "null":
            return False
        if self.operator == "ipaddress":
            return all(_is_narrow(value) for value in self.values)
        return not any(set(value) & set("*?$") for value in self.values)


def parse_conditions(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """Raises ValueError with the reason."""
    name = operator.lower()
    quantifier = next((q for q in (_FOR_ALL, _FOR_ANY) if name.startswith(q)), "")
    plain = name.removeprefix(quantifier)
    if_exists = plain.endswith("ifexists")
    plain = plain.removesuffix("ifexists")
    positive = _NEGATIONS.get(plain, plain)
    if positive == "null":
        if if_exists or not all(value.lower() in ("true", "false") for value in values):
            raise ValueError("Null takes true or false")
        return Condition("null", key.lower(), tuple(values), ())
    make = _OPERATORS.get(positive)
    if make is None:
        raise ValueError(f"Invalid Condition type : {operator}")
    if not _KEY.fullmatch(key):
        raise ValueError(f"Policy has an invalid condition key: {key}")
    tests = tuple(make(value, variables=variables) for value in values)
    return Condition(positive, key.lower(), tuple(values), tests, plain in _NEGATIONS, if_exists, quantifier)


def _text_test(value: str, *, variables: bool, wildcards: bool = False, ignore_case: bool = False) -> Test:
    pattern = parse_pattern(value, variables=variables, wildcards=wildcards, ignore_case=ignore_case)
    return pattern.matches


def _arn_test(value: str, *, variables: bool) -> Test:
    if value == "*":
        return lambda text, _: text.count(":") >= 5
    parts = value.split(":", 5)
    if len(parts) != 6:
        raise ValueError(f"{value} is no ARN")
    patterns = [parse_pattern(part, variables=variables) for part in parts]
    return partial(_matches_arn, patterns)


def _matches_arn(patterns: list[Pattern], text: str, context: Context) -> bool:
    parts = text.split(":", 5)
    if len(parts) != 6:
        return False
    return all(p.matches(part, context) for p, part in zip(patterns, parts, strict=True))


def _ordered(read: Callable[[str], float], holds: Callable[[float, float], bool]) -> Callable[..., Test]:
    def make(value: str, *, variables: bool) -> Test:
        wanted = read(value)

        def test(text: str, context: Context) -> bool:
            try:
                return holds(read(text), wanted)
            except ValueError:
                return False

        return test

    return make


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", text.strip(), re.ASCII):
        raise ValueError(f"{text} is no number")
    return float(text)


def _moment(text: str) -> float:
    """Seconds since 1970 of a W3C date or of such a number."""
    if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text} is no date") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _bool_test(value: str, *, variables: bool) -> Test:
    if variables and "${" in value:
        return _text_test(value, variables=True, ignore_case=True)
    if value.lower() not in ("true", "false"):
        raise ValueError(f"{value} is neither true nor false")
    return _text_test(value, variables=False, ignore_case=True)


def _binary_test(value: str, *, variables: bool) -> Test:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError(f"{value} is not base64") from None
    return lambda text, _: text == value


def _network(value: str) -> "ipaddress.IPv4Network | ipaddress.IPv6Network":
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value} is no address and no range of addresses") from None


def _ip_test(value: str, *, variables: bool) -> Test:
    network = _network(value)

    def test(text: str, context: Context) -> bool:
        address = _address(text)
        return address is not None and address in network

    return test


@lru_cache(maxsize=1024)
def _address(text: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_narrow(value: str) -> bool:
    """S3 user guide, "The meaning of public": a range as wide as half the Internet fixes nothing."""
    network = _network(value)
    return network.prefixlen >= (8 if network.version == 4 else 32)


_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda a, b: a == b,
    "lessthan": lambda a, b: a < b,
    "lessthanequals": lambda a, b: a <= b,
    "greaterthan": lambda a, b: a > b,
    "greaterthanequals": lambda a, b: a >= b,
}
_OPERATORS: dict[str, Callable[..., Test]] = {
    "stringequals": _text_test,
    "stringequalsignorecase": partial(_text_test, ignore_case=True),
    "stringlike": partial(_text_test, wildcards=True),
    "arnequals": _arn_test,
    "arnlike": _arn_test,
    "bool": _bool_test,
    "binaryequals": _binary_test,
    "ipaddress": _ip_test,
    **{f"numeric{name}": _ordered(_number, holds) for name, holds in _ORDERS.items()},
    **{f"date{name}": _ordered(_moment, holds) for name, holds in _ORDERS.items()},
}
_NEGATIONS = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "notipaddress": "ipaddress",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
}
