"""Key pairs by the front door."""

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.api.cloud_box import filters, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), max_key_pairs=5) as box:
        yield box


@pytest.fixture
def ec2(box):
    yield box.ec2()
    for user in ("alice", "mallory"):
        for key in box.ec2(user).describe_key_pairs()["KeyPairs"]:
            box.ec2(user).delete_key_pair(KeyPairId=key["KeyPairId"])


def key_pair(ec2, name):
    [found] = ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"]
    return found


@pytest.mark.parametrize(("kind", "bits"), [("rsa", "2048"), ("ed25519", "256")])
def test_create_key_pair_gives_a_private_key_that_ssh_can_use(ec2, tmp_path, kind, bits):
    made = ec2.create_key_pair(KeyName="a key", KeyType=kind, TagSpecifications=tagged("key-pair", a="b"))
    path = tmp_path / "key.pem"
    path.write_text(made["KeyMaterial"])
    path.chmod(0o600)
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True
    ).stdout
    found = key_pair(ec2, "a key")
    assert found["PublicKey"].split()[:2] == public.split()[:2]
    told = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=True).stdout
    assert told.startswith(bits)
    assert (found["KeyPairId"], found["KeyType"]) == (made["KeyPairId"], kind)
    assert found["KeyFingerprint"] == made["KeyFingerprint"]
    assert found["Tags"] == made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert found["CreateTime"].tzinfo is not None


def test_the_private_key_is_kept_nowhere(box, ec2):
    made = ec2.create_key_pair(KeyName="secret", KeyType="ed25519")
    line = made["KeyMaterial"].splitlines()[2].encode()
    for path in box.data_dir.rglob("*"):
        if path.is_file():
            assert line not in path.read_bytes(), path
    assert "PublicKey" not in ec2.describe_key_pairs(KeyNames=["secret"])["KeyPairs"][0]


def test_fingerprints_are_those_that_the_manual_has_clients_compute(ec2, tmp_path):
    """EC2 user guide, Verify the fingerprint of your key pair."""
    made = ec2.create_key_pair(KeyName="rsa")
    private = serialization.load_pem_private_key(made["KeyMaterial"].encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    der = tmp_path / "key.der"
    der.write_bytes(
        private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    told = subprocess.run(["openssl", "sha1", "-c", der], capture_output=True, text=True, check=True).stdout
    assert made["KeyFingerprint"] == told.split()[-1]
    imported = ec2.import_key_pair(KeyName="imported", PublicKeyMaterial=public)
    der.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    told = subprocess.run(["openssl", "md5", "-c", der], capture_output=True, text=True, check=True).stdout
    assert imported["KeyFingerprint"] == told.split()[-1]


def test_import_key_pair_takes_an_ed25519_key_with_its_comment(ec2, tmp_path):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@host", "-f", tmp_path / "k"], check=True
    )
    line = (tmp_path / "k.pub").read_bytes()
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=b"  " + line + b"\n\n")
    found = key_pair(ec2, "mine")
    assert (found["PublicKey"], found["KeyType"]) == (line.decode().strip(), "ed25519")
    told = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "k.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert told.split()[1] == "SHA256:" + found["KeyFingerprint"].rstrip("=")


def openssh(private):
    return private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )


@pytest.mark.parametrize(
    "material",
    [
        b"",
        b"hello",
        b"ssh-rsa",
        b"ssh-rsa AAAA",
        b"ssh-rsa " + base64.b64encode(b"\xff" * 300),
        b"x" * 70_000,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        openssh(ec.generate_private_key(ec.SECP256R1())),
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ),
    ],
    ids=["nothing", "a word", "no key", "a short key", "noise", "long", "PEM", "ecdsa", "a private key"],
)
def test_import_key_pair_refuses_what_is_no_rsa_or_ed25519_public_key(ec2, material):
    assert refused(ec2.import_key_pair, KeyName="k", PublicKeyMaterial=material) == ("InvalidKey.Format", 400)
    assert ec2.describe_key_pairs()["KeyPairs"] == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"KeyName": ""}, "InvalidParameterValue"),
        ({"KeyName": "k" * 256}, "InvalidParameterValue"),
        ({"KeyName": "k\nk"}, "InvalidParameterValue"),
        ({"KeyName": "schlüssel"}, "InvalidParameterValue"),
        ({"KeyName": "taken"}, "InvalidKeyPair.Duplicate"),
        ({"KeyType": "dsa"}, "InvalidParameterValue"),
        ({"KeyFormat": "ppk"}, "UnsupportedOperation"),
        ({"TagSpecifications": tagged("instance", a="b")}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
    ids=lambda v: str(v) if isinstance(v, dict) else "",
)
def test_create_key_pair_refuses_and_makes_nothing(ec2, more, code):
    ec2.create_key_pair(KeyName="taken", KeyType="ed25519")
    assert refused(ec2.create_key_pair, **{"KeyName": "fresh", **more})[0] == code
    assert [k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]] == ["taken"]


def test_a_name_is_free_again_when_its_key_is_deleted(ec2):
    first = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    assert refused(ec2.import_key_pair, KeyName="k", PublicKeyMaterial=openssh_of(first))[0] == (
        "InvalidKeyPair.Duplicate"
    )
    assert refused(ec2.delete_key_pair, KeyName="k", DryRun=True)[0] == "DryRunOperation"
    assert ec2.delete_key_pair(KeyName="k")["KeyPairId"] == first["KeyPairId"]
    second = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    assert second["KeyPairId"] != first["KeyPairId"]


def openssh_of(made):
    return openssh(serialization.load_ssh_private_key(made["KeyMaterial"].encode(), None))


def test_delete_key_pair_of_an_absent_key_is_no_error(ec2):
    assert ec2.delete_key_pair(KeyName="absent")["Return"] is True
    assert ec2.delete_key_pair(KeyPairId="key-00000000")["Return"] is True
    assert refused(ec2.delete_key_pair) == ("MissingParameter", 400)


def test_another_account_has_its_own_names_and_sees_none_of_ours(box, ec2):
    mine = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    other = box.ec2("mallory")
    assert other.describe_key_pairs()["KeyPairs"] == []
    assert refused(other.describe_key_pairs, KeyNames=["k"])[0] == "InvalidKeyPair.NotFound"
    assert refused(other.describe_key_pairs, KeyPairIds=[mine["KeyPairId"]])[0] == "InvalidKeyPair.NotFound"
    other.delete_key_pair(KeyPairId=mine["KeyPairId"])
    theirs = other.create_key_pair(KeyName="k", KeyType="ed25519")
    assert theirs["KeyPairId"] != mine["KeyPairId"]
    assert key_pair(ec2, "k")["KeyPairId"] == mine["KeyPairId"]


def test_filters_find_a_key_by_name_id_fingerprint_and_tag(ec2):
    made = ec2.create_key_pair(KeyName="one", KeyType="ed25519", TagSpecifications=tagged("key-pair", t="v"))
    ec2.create_key_pair(KeyName="two", KeyType="ed25519")
    tag = [{"Name": "tag:t", "Values": ["v"]}]
    for wanted in (
        filters(key_name="o*"),
        filters(key_pair_id=made["KeyPairId"]),
        filters(fingerprint=made["KeyFingerprint"]),
        filters(tag_key="t"),
        tag,
    ):
        assert [k["KeyName"] for k in ec2.describe_key_pairs(Filters=wanted)["KeyPairs"]] == ["one"]
    assert refused(ec2.describe_key_pairs, Filters=filters(colour="x"))[0] == "InvalidParameterValue"
    assert refused(ec2.describe_key_pairs, KeyNames=["one", "no"])[0] == "InvalidKeyPair.NotFound"
    assert refused(ec2.describe_key_pairs, DryRun=True) == ("DryRunOperation", 412)


def test_an_account_has_at_most_so_many_key_pairs(ec2):
    for n in range(5):
        ec2.create_key_pair(KeyName=f"k{n}", KeyType="ed25519")
    assert refused(ec2.create_key_pair, KeyName="k5") == ("KeyPairLimitExceeded", 400)
