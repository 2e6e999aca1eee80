"""Query parameters <-> messages <-> XML, against the names of the EC2 model, without a server."""

import gc
import typing
import xml.etree.ElementTree as ET
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.api.ec2 import decode, encode, shapes
from euca_box.messages import ec2_images, ec2_instances
from euca_box.messages.base import Done, reply_type
from euca_box.messages.registry import EC2_ACTIONS
from euca_box.model.errors import (
    EucaError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnknownParameter,
    UnsupportedOperation,
)


def decoded(action, *pairs):
    return decode.decode(EC2_ACTIONS[action], shapes.actions()[action].request, decode.tree_of(pairs))


@pytest.mark.parametrize("action", EC2_ACTIONS)
def test_every_field_of_a_request_has_a_name_in_the_model(action):
    assert_known(EC2_ACTIONS[action], shapes.actions()[action].request, action)


def assert_known(kind, members, path):
    known = {member.name: member for member in members}
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        assert field.name in known, f"{path}.{field.name} cannot be sent by a client"
        member, hint = known[field.name], inner(hints[field.name])
        while member.item is not None:
            member = member.item
        if is_dataclass(hint):
            assert_known(hint, member.members, f"{path}.{field.name}")


def inner(hint):
    """X of `X | None` and of `tuple[X, ...]`."""
    arguments = [a for a in typing.get_args(hint) if a not in (type(None), Ellipsis)]
    return inner(arguments[0]) if arguments else hint


@pytest.mark.parametrize("action", EC2_ACTIONS)
def test_every_reply_can_be_written_with_the_names_of_the_model(action):
    """Compiling the encoder raises TypeError for a field that the model does not know."""
    kind = reply_type(EC2_ACTIONS[action])
    if kind is not Done:
        assert callable(encode._structure_encoder(kind, shapes.actions()[action].response))


# Requests


def test_lists_structures_and_numbers_are_read_by_their_wire_names():
    op = decoded(
        "RunInstances",
        ("ImageId", "emi-1"), ("MinCount", "1"), ("MaxCount", "12"), ("SecurityGroup.2", "b"),
        ("SecurityGroup.10", "c"), ("SecurityGroup.1", "a"), ("Placement.AvailabilityZone", "z1"),
        ("TagSpecification.1.ResourceType", "instance"), ("TagSpecification.1.Tag.3.Key", "k"),
        ("EbsOptimized", "true"),
    )  # fmt: skip
    assert (op.image_id, op.min_count, op.max_count) == ("emi-1", 1, 12)
    assert op.security_groups == ("a", "b", "c")
    assert (op.placement.availability_zone, op.ebs_optimized) == ("z1", True)
    assert op.tag_specifications[0].tags[0].key == "k"


def test_a_list_of_one_may_come_without_its_number():
    assert decoded("DescribeInstances", ("InstanceId", "i-1")).instance_ids == ("i-1",)
    assert decoded("GetConsoleOutput", ("InstanceId.1", "i-1")).instance_id == "i-1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("false", False),
        ("False", False),
        ("0", False),
        ("", False),
    ],
)
def test_booleans_have_few_spellings(text, value):
    assert decoded("DescribeInstances", ("DryRun", text)).dry_run is value


@pytest.mark.parametrize("text", ["yes", "2", "tru", " true", "truе", "null"])
def test_other_spellings_of_a_boolean_are_refused(text):
    with pytest.raises(InvalidParameterValue):
        decoded("DescribeInstances", ("DryRun", text))


@pytest.mark.parametrize("text", ["", "-", "+1", "1.0", "1e3", "0x10", " 1", "٣", "²", "9" * 19, "--1"])
def test_other_spellings_of_an_integer_are_refused(text):
    with pytest.raises(InvalidParameterValue):
        decoded("DescribeInstances", ("MaxResults", text))


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([(".".join("a" * 11), "x")], UnknownParameter),
        ([("Filter." * 9 + "x", "x")], UnknownParameter),
        ([("", "x")], UnknownParameter),
        ([(".", "x")], UnknownParameter),
        ([("InstanceId.", "x")], UnknownParameter),
        ([("InstanceId.-1", "x")], UnknownParameter),
        ([("InstanceId.1e3", "x")], UnknownParameter),
        ([("InstanceId.²", "x")], UnknownParameter),
        ([("InstanceId.1", "x"), ("InstanceId.1", "x")], InvalidParameterCombination),
        ([("InstanceId", "x"), ("InstanceId.1", "x")], InvalidParameterCombination),
        ([("InstanceId.1", "x"), ("InstanceId", "x")], InvalidParameterCombination),
        ([("InstanceId.1.x", "x")], InvalidParameterValue),
        ([("Filter.1", "x")], InvalidParameterValue),
        ([("Filter.1.Value.1", "x")], MissingParameter),
        ([("Filter.1.Name", "n"), ("Filter.1.Colour", "x")], UnknownParameter),
    ],
)
def test_what_does_not_fit_the_shape_is_refused(pairs, error):
    with pytest.raises(error):
        decoded("DescribeInstances", *pairs)


def test_a_member_of_the_model_that_we_do_not_have_is_named_as_unsupported():
    with pytest.raises(UnsupportedOperation, match=r"HibernationOptions|LaunchTemplate"):
        decoded("RunInstances", ("LaunchTemplate.LaunchTemplateId", "lt-1"))


def wire_names(members, depth=0):
    """Every parameter name of the model down to three levels, with list numbers."""
    for member in members:
        yield member.wire
        if depth < 3:
            item = member.item
            prefix = f"{member.wire}.1" if item else member.wire
            if item:
                yield prefix
            below = item.members if item else member.members
            yield from (f"{prefix}.{name}" for name in wire_names(below, depth + 1))


NAMES = sorted({n for action in EC2_ACTIONS for n in wire_names(shapes.actions()[action].request)})
VALUES = ["", "1", "-1", "true", "x", "aGk=", "emi-12345678", "2026-01-01T00:00:00Z", "instance"]
names = st.one_of(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(["Filter", "1", "2", "Name", "", "Tag", "x"]), max_size=14).map(".".join),
    st.text(max_size=20),
)
values = st.one_of(st.sampled_from(VALUES), st.text(max_size=20))


@given(action=st.sampled_from(sorted(EC2_ACTIONS)), pairs=st.lists(st.tuples(names, values), max_size=12))
def test_any_parameters_give_a_message_or_an_error_for_the_client(action, pairs):
    outcome = attempted(action, pairs)
    if isinstance(outcome, EucaError):
        assert outcome.http_status == 400
    else:
        assert type(outcome) is EC2_ACTIONS[action]


def attempted(action, pairs):
    try:
        return decoded(action, *pairs)
    except EucaError as error:
        return error


@given(st.text(alphabet=".0123456789abAB", max_size=60))
def test_no_name_is_slow_or_deep(name):
    with pytest.raises(EucaError):
        decoded("DescribeRegions", (name, "x"))


# Replies


@given(st.text(st.characters(codec=None)))
def test_any_text_stands_in_xml_without_what_xml_forbids(text):
    document = f"<a>{encode.escaped(text)}</a>".encode()
    forbidden = set(encode._FORBIDDEN)
    assert (ET.fromstring(document).text or "") == "".join(c for c in text if ord(c) not in forbidden)


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_an_error_document_can_always_be_read(code, message):
    root = ET.fromstring(encode.error_response(code, message, "r-1"))
    assert [e.tag for e in root] == ["Errors", "RequestID"]


def test_absent_values_are_left_out_and_an_empty_list_is_an_empty_wrapper():
    reply = ec2_images.DescribeImagesResult((image("emi-1"),))
    root = ET.fromstring(written("DescribeImages", reply))
    tags = [e.tag.rpartition("}")[2] for e in root.find("{*}imagesSet/{*}item")]
    assert "kernelId" not in tags
    assert "tagSet" in tags
    assert list(root.find(".//{*}tagSet")) == []


def test_times_are_utc_with_milliseconds():
    reply = ec2_instances.GetConsoleOutputResult("i-1", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "")
    root = ET.fromstring(written("GetConsoleOutput", reply))
    assert root.findtext("{*}timestamp") == "2026-01-02T03:04:05.678Z"
    assert [e.tag for e in root].count("{http://ec2.amazonaws.com/doc/2016-11-15/}output") == 1


def test_an_action_without_a_result_answers_true():
    assert ET.fromstring(written("RebootInstances", Done())).findtext("{*}return") == "true"


def test_the_text_of_a_record_is_forgotten_with_the_record():
    """A listing that changes all the time must not grow the process."""
    encoder = encode._structure_encoder(
        ec2_images.Image, shapes.actions()["DescribeImages"].response[1].item.members
    )
    kept = next(c.cell_contents for c in encoder.__closure__ if isinstance(c.cell_contents, dict))
    gc.collect()
    before = len(kept)
    records = [image(f"emi-{n}") for n in range(50)]
    texts = [encoder(record) for record in records]
    assert [encoder(record) for record in records] == texts
    assert len(kept) == before + 50
    del records
    gc.collect()
    assert len(kept) == before


def written(action, reply):
    return encode.response(action, shapes.actions()[action].response, "2016-11-15", "r-1", reply)


def image(image_id):
    return ec2_images.Image(image_id, "b/k", "available", "1", True, "x86_64", "machine", "2026-01-01")


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ("InstanceIds", "instance_ids"),
        ("CidrIpv4", "cidr_ipv4"),
        ("Return", "return_"),
        ("SizeInMiB", "size_in_mi_b"),
        ("DefaultVCpus", "default_v_cpus"),
        ("VPCId", "vpc_id"),
    ],
)
def test_a_field_is_the_member_in_snake_case(member, field):
    assert shapes.field_name(member) == field
