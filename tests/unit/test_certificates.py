"""The cloud's own authority, and the server's certificate under it."""

import socket
import ssl
import stat
import subprocess
import threading

import pytest

from euca_box.auth import certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificates.make_ca(folder / "ca.pem", folder / "ca.key")
    names = ["127.0.0.1", "localhost", "*.s3.example.com", "127.0.0.1"]
    certificates.issue(folder / "ca.pem", folder / "ca.key", folder / "tls.pem", folder / "tls.key", names)
    return folder


def shake_hands(folder, name, trusted=None):
    """A whole TLS handshake; what the client thinks of the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    client = ssl.create_default_context(cafile=str(trusted or folder / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
    ours, theirs = socket.socketpair()

    def serve():
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(ours, server_hostname=name).close()
    finally:
        ours.close()
        thread.join(5)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "bucket.s3.example.com"])
def test_clients_that_trust_the_authority_believe_the_server(made, name):
    shake_hands(made, name)


def test_another_name_or_another_authority_is_not_believed(made, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(made, "evil.example.com")
    certificates.make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(made, "localhost", tmp_path / "ca.pem")


def test_openssl_finds_the_chain_good_and_the_server_no_authority(made):
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "tls.pem"]
    assert subprocess.run(argv, cwd=made, capture_output=True, text=True).stdout == "tls.pem: OK\n"
    text = subprocess.run(
        ["openssl", "x509", "-in", "tls.pem", "-noout", "-text"], cwd=made, capture_output=True, text=True
    ).stdout
    assert "CA:FALSE" in text


def test_keys_are_readable_by_the_owner_only_and_nothing_half_made_is_left(made):
    for name, mode in (("ca.key", 0o600), ("tls.key", 0o600), ("ca.pem", 0o644), ("tls.pem", 0o644)):
        assert stat.S_IMODE((made / name).stat().st_mode) == mode
    assert list(made.glob("*.new")) == []


def test_a_certificate_covers_its_names_and_no_others(made, tmp_path):
    assert certificates.covers(made / "tls.pem", ["localhost", "127.0.0.1"])
    assert not certificates.covers(made / "tls.pem", ["localhost", "10.0.0.1"])
    assert not certificates.covers(tmp_path / "absent.pem", ["localhost"])
    (tmp_path / "noise.pem").write_bytes(b"noise")
    assert not certificates.covers(tmp_path / "noise.pem", [])


def test_a_certificate_that_soon_ends_covers_nothing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "SERVER_DAYS", 29)
    certificates.issue(
        made / "ca.pem", made / "ca.key", tmp_path / "t.pem", tmp_path / "t.key", ["localhost"]
    )
    assert not certificates.covers(tmp_path / "t.pem", ["localhost"])
