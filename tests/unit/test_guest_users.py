"""Users of guests: numbers that no account has, one for each instance, where there are so many."""

import os
from types import SimpleNamespace

import pytest

from euca_box.drivers import guest_uids
from euca_box.roles.nc.guest_users import SPAN, choose_uid

FIRST = 1_900_000_000


def node(*taken, first=FIRST):
    residents = {str(n): SimpleNamespace(uid=uid) for n, uid in enumerate(taken)}
    return SimpleNamespace(settings=SimpleNamespace(first_uid=first), residents=residents)


def test_two_instances_whose_ids_meet_have_two_users():
    first = choose_uid(node(), "i-00000007")
    assert first == FIRST + 7
    assert choose_uid(node(first, None), f"i-{SPAN + 7:08x}") == FIRST + 8


@pytest.mark.parametrize("instance_id", ["i-ffffffff", "i-0123456789abcdef0"])
def test_every_id_has_a_user_in_the_range(instance_id):
    assert FIRST <= choose_uid(node(), instance_id) < FIRST + SPAN < 2**31


def test_without_a_range_all_run_as_one():
    assert choose_uid(node(first=0), "i-00000007") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users to give")
@pytest.mark.parametrize(
    ("uid_map", "first"),
    [("         0          0 4294967295\n", FIRST), ("0 100000 65536\n", 0), ("0 0 1000\n1000 0 65536\n", 0)],
    ids=["a host", "a container", "a container with two ranges"],
)
def test_a_user_namespace_without_the_numbers_has_one_user_for_all(tmp_path, uid_map, first):
    (tmp_path / "uid_map").write_text(uid_map)
    assert guest_uids(FIRST, tmp_path / "uid_map") == first
    assert guest_uids(0, tmp_path / "uid_map") == 0
