"""Pages of Describe actions."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.model.errors import InvalidNextToken, InvalidParameterCombination, InvalidParameterValue
from euca_box.model.paging import page


def paged(records, **asked):
    asked = {"max_results": None, "next_token": None, **asked}
    return page(sorted(records), lambda r: r, **asked)


def test_without_a_size_all_come_at_once():
    assert paged(["a", "b"]) == (["a", "b"], None)


@given(st.sets(st.text("abcdef:é", min_size=1, max_size=6), max_size=60), st.integers(5, 50))
def test_pages_together_are_the_whole_and_the_last_has_no_token(records, size):
    seen, token = [], None
    for _ in range(100):
        shown, token = paged(records, max_results=size, next_token=token)
        assert len(shown) <= size
        seen += shown
        if token is None:
            break
    assert seen == sorted(records)


def test_old_records_are_seen_once_when_others_come_and_go_meanwhile():
    records = {f"r{n:02}" for n in range(0, 40, 2)}
    seen, token, n = [], None, 1
    while True:
        shown, token = paged(records, max_results=5, next_token=token)
        seen += shown
        if token is None:
            break
        records = (records | {f"r{n:02}", f"r{40 - n:02}"}) - {seen[-1]}  # even the one the token names
        n += 2
    assert len(seen) == len(set(seen))
    assert {f"r{n:02}" for n in range(0, 40, 2)} <= set(seen)


@pytest.mark.parametrize("size", [-1, 0, 4, 1001])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InvalidParameterValue):
        paged([], max_results=size)


def test_a_page_of_named_ids_is_refused():
    with pytest.raises(InvalidParameterCombination):
        paged(["a"], max_results=5, ids_given=True)


@given(st.text(st.characters(codec=None), max_size=30))
def test_a_token_that_we_did_not_give_is_refused(text):
    with pytest.raises(InvalidNextToken):
        paged(["a"], max_results=5, next_token=text)


@pytest.mark.parametrize("inner", [b"", b"after", b"before:x", b"\xff:x", b"After:x"])
def test_a_token_with_another_content_is_refused(inner):
    with pytest.raises(InvalidNextToken):
        paged(["a"], max_results=5, next_token=base64.urlsafe_b64encode(inner).decode())
