"""How a cluster is named, and that TLS and login reach it."""

import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.errors import BadStoreSettings
from connectors.store.cassandra.session import Session
from connectors.store.cassandra.settings import CassandraSettings, Tls, password_of
from streams.errors import StoreUnavailable


@pytest.mark.parametrize(
    ("url", "hosts", "keyspace"),
    [
        ("cassandra://a:9999", [("a", 9999)], "sixfold"),
        ("cassandra://a,b:9043/views", [("a", 9042), ("b", 9043)], "views"),
        ("cassandra://10.0.0.1/", [("10.0.0.1", 9042)], "sixfold"),
    ],
)
def test_an_address_names_hosts_and_a_keyspace(url, hosts, keyspace):
    settings = CassandraSettings.of_url(url)
    assert (settings.hosts, settings.keyspace) == (hosts, keyspace)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kafka://a", "no address of Cassandra"),
        ("cassandra://", "no address of Cassandra"),
        ("cassandra://a:b", "'a:b' is no address"),
        ("cassandra://a,,b", "'' is no address"),
        ("cassandra://a/Views", "'Views' cannot be a keyspace"),
        ("cassandra://a/x; DROP", "cannot be a keyspace"),
    ],
)
def test_what_is_no_address_is_refused(url, message):
    with pytest.raises(BadStoreSettings, match=message):
        CassandraSettings.of_url(url)


def test_a_password_comes_from_a_file_and_is_not_shown(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    settings = CassandraSettings.of_url("cassandra://a", user="u", password=password_of(str(file)))
    assert settings.password == "secret"
    assert "secret" not in repr(settings)
    with pytest.raises(BadStoreSettings, match=r"password: .*missing"):
        password_of(str(tmp_path / "missing"))


def test_files_of_tls_that_are_missing_are_named():
    with pytest.raises(BadStoreSettings, match=r"TLS files of the store \(/nowhere/ca\.pem\)"):
        Tls(ca="/nowhere/ca.pem").context()


# A server that asks for a login


ERROR, STARTUP, AUTHENTICATE, OPTIONS, SUPPORTED, AUTH_RESPONSE = 0x00, 0x01, 0x03, 0x05, 0x06, 0x0F


class Server(threading.Thread):
    """Speaks as much CQL as it takes to refuse a login (native protocol v4, sections 2 and 4).

    Attributes:
        logins: what it was told.
        names: whom the certificates of clients were for.
    """

    def __init__(self, context: ssl.SSLContext | None = None):
        super().__init__(daemon=True)
        self.logins: set[bytes] = set()
        self.names: set[str] = set()
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError, EOFError), client:
                if self._context is None:
                    self._serve(client)
                    continue
                with self._context.wrap_socket(client, server_side=True) as encrypted:
                    for ((_, name),) in encrypted.getpeercert()["subject"]:
                        self.names.add(name)
                    self._serve(encrypted)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.join()

    def _serve(self, client):
        client.settimeout(5)
        with client.makefile("rb") as stream:
            while True:
                header = stream.read(9)
                if len(header) < 9:
                    raise EOFError
                version, _, stream_id, opcode, length = struct.unpack(">BBhBi", header)
                kind, said = self._answer(version, opcode, stream.read(length))
                client.sendall(struct.pack(">BBhBi", 0x84, 0, stream_id, kind, len(said)) + said)

    def _answer(self, version, opcode, body):
        if version != 4:
            return ERROR, struct.pack(">i", 0x000A) + text("unsupported protocol version")
        if opcode == OPTIONS:
            return SUPPORTED, b"\0\2" + several("CQL_VERSION", "3.4.5") + several("COMPRESSION")
        if opcode == STARTUP:
            return AUTHENTICATE, text("org.apache.cassandra.auth.PasswordAuthenticator")
        assert opcode == AUTH_RESPONSE
        self.logins.add(body[4:])
        return ERROR, struct.pack(">i", 0x0100) + text("Wrong password")


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def several(name: str, *values: str) -> bytes:
    return text(name) + struct.pack(">H", len(values)) + b"".join(map(text, values))


@contextmanager
def serving(context=None):
    server = Server(context)
    server.start()
    try:
        yield server
    finally:
        server.close()


def certificate(directory, name, issuer=None):
    """A certificate for 127.0.0.1, with its key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = (subject, key) if issuer is None else issuer
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    files = str(directory / f"{name}.pem"), str(directory / f"{name}.key")
    encoding = serialization.Encoding.PEM
    (directory / f"{name}.pem").write_bytes(made.public_bytes(encoding))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return (subject, key), files


def connect(server, **others):
    Session(CassandraSettings([("127.0.0.1", server.port)], **others))


def test_a_login_that_is_refused_says_which_settings_to_check():
    with serving() as server:
        with pytest.raises(BadStoreSettings, match=r"Wrong password.*check store\.user"):
            connect(server, user="ann", password="guess")
        assert server.logins == {b"\0ann\0guess"}


def test_connections_are_encrypted_and_clients_show_their_certificate(tmp_path):
    authority, (ca, _) = certificate(tmp_path, "authority")
    _, (servers, servers_key) = certificate(tmp_path, "server", authority)
    _, (ours, our_key) = certificate(tmp_path, "client", authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(servers, servers_key)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(context) as server:
        with pytest.raises(BadStoreSettings, match="Wrong password"):
            connect(server, user="ann", password="guess", tls=Tls(ca, ours, our_key))
        assert server.logins == {b"\0ann\0guess"}
        assert server.names == {"client"}
        with pytest.raises(BadStoreSettings, match="check the TLS settings"):
            connect(server, user="ann", password="other", tls=Tls())  # an authority unknown to us
        assert server.logins == {b"\0ann\0guess"}


def test_a_cluster_that_is_not_there_says_what_to_look_at():
    with serving() as server:
        port = server.port
    with pytest.raises(StoreUnavailable, match="is Cassandra up, and is it at this address"):
        Session(CassandraSettings([("127.0.0.1", port)], timeout_s=1))
