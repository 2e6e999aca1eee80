"""The private addresses of a subnet: the lowest that is free and has rested."""

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from euca_box.roles.cc.private_pool import PrivatePool

SUBNET = IPv4Network("172.31.0.0/28")
ALL = [f"172.31.0.{n}" for n in range(4, 15)]


def pool(rows=()):
    made = PrivatePool(SUBNET, "172.31.0.1")
    made.load(rows)
    return made


def test_the_first_four_the_last_and_the_gateway_are_nobodys():
    given_out, left = [], PrivatePool(SUBNET, "172.31.0.7")
    while (ip := left.lowest(0.0)) is not None:
        left.take(ip)
        given_out.append(ip)
    assert given_out == [ip for ip in ALL if ip != "172.31.0.7"]


def test_one_that_was_given_back_rests():
    left = pool([("172.31.0.4", None, 60.0), ("172.31.0.5", "i-1", 0.0)])
    assert left.lowest(59.0) == "172.31.0.6"
    assert left.lowest(60.0) == "172.31.0.4"
    left.release("172.31.0.5", 100.0)
    left.take("172.31.0.4")
    assert left.lowest(99.0) == "172.31.0.6"
    assert left.lowest(100.0) == "172.31.0.5"


def test_one_that_was_wanted_by_name_does_not_come_again_before_it_has_rested():
    left = pool()
    left.take("172.31.0.4")
    left.release("172.31.0.4", 50.0)
    assert left.lowest(10.0) == "172.31.0.5"
    assert left.lowest(50.0) == "172.31.0.4"
    left.take("172.31.0.4")
    assert left.lowest(51.0) == "172.31.0.5"


@given(st.lists(st.tuples(st.sampled_from(["lowest", "named", "back", "wait"]), st.integers(0, 10))))
def test_it_agrees_with_a_table_that_looks_at_all(steps):
    left, owned, rests, now = pool(), set(), {}, 0.0
    for step, number in steps:
        if step == "wait":
            now += number
        elif step == "back" and ALL[number] in owned:
            owned.discard(ALL[number])
            rests[ALL[number]] = now + 5
            left.release(ALL[number], now + 5)
        elif step == "named" and ALL[number] not in owned:
            owned.add(ALL[number])
            left.take(ALL[number])
        free = [ip for ip in ALL if ip not in owned and rests.get(ip, 0.0) <= now]
        assert left.lowest(now) == (free[0] if free else None)
        if step == "lowest" and free:
            owned.add(free[0])
            left.take(free[0])
