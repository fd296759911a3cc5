"""The TLS options of a URL: what PyMySQL makes of them, and what a server with a certificate sees."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from dfsync.model.errors import DfsyncError
from dfsync.target.config.url import parse_url
from dfsync.target.connection import connect, make_engine
from dfsync.target.embedded import EmbeddedServer

BASE = "mysql://app:secret@db.example.com/shop"


def connection(query: str) -> pymysql.Connection:
    """What PyMySQL would connect with, given what `create_engine` hands to it."""
    url = parse_url(f"{BASE}?{query}", "--target")
    return pymysql.connect(**url.get_dialect()().create_connect_args(url)[1], defer_connect=True)


def refusal(query: str) -> str:
    with pytest.raises(DfsyncError) as caught:
        parse_url(f"{BASE}?{query}", "--target")
    return str(caught.value)


@dataclass(frozen=True)
class Certificates:
    """A CA, the certificate of `localhost` from it, and another CA."""

    folder: Path

    def paths(self) -> dict[str, Path]:
        files = {"ca": "ca.pem", "pair": "server.pem", "other": "other.pem"}
        return {"folder": self.folder, **{key: self.folder / file for key, file in files.items()}}


def certificate(path: Path, name: str, issuer: Path | None = None) -> None:
    """A file with a key and its certificate, from the CA in the file `issuer` or from itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, signed_by = key, named
    if issuer is not None:
        signer_key = serialization.load_pem_private_key(issuer.read_bytes(), None)
        assert isinstance(signer_key, ec.EllipticCurvePrivateKey)
        signer, signed_by = signer_key, x509.load_pem_x509_certificate(issuer.read_bytes()).subject
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(signed_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem, traditional = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(
        key.private_bytes(pem, traditional, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    paths = made.paths()
    certificate(paths["ca"], "dfsync test CA")
    certificate(paths["other"], "another CA")
    certificate(paths["pair"], "localhost", paths["ca"])
    return made


@pytest.fixture(scope="module")
def tls_server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    paths = certificates.paths()
    tls = ("--ssl", f"--ssl-ca={paths['ca']}", f"--ssl-cert={paths['pair']}", f"--ssl-key={paths['pair']}")
    with EmbeddedServer(tmp_path_factory.mktemp("tls") / "mariadb", options=tls) as server:
        yield make_url(server.url)


class TestOptions:
    @pytest.mark.parametrize(
        ("query", "encrypted", "verified", "named"),
        [
            ("ssl_ca={ca}", True, True, True),
            ("ssl_capath={folder}", True, True, True),
            ("ssl_ca={ca}&ssl_verify_cert=true", True, True, True),
            ("ssl_ca={ca}&ssl_verify_identity=true", True, True, True),
            ("ssl_ca={ca}&ssl_verify_identity=false", True, True, False),
            ("ssl_ca={ca}&ssl_check_hostname=0", True, True, False),
            ("ssl_ca={ca}&ssl_disabled=false", True, True, True),
            ("ssl_ca={ca}&ssl_cert={pair}&ssl_key={pair}", True, True, True),
            ("ssl_verify_cert=yes", True, True, True),
            ("ssl_verify_identity=on", True, True, True),
            ("ssl_verify_cert=true&ssl_verify_identity=false", True, True, False),
            ("ssl_verify_cert=false", True, False, False),
            ("ssl_check_hostname=false", True, False, False),
            ("ssl_cert={pair}", True, False, False),
            ("ssl_cipher=ECDHE%2BAESGCM", True, False, False),
        ],
    )
    def test_tls(self, certificates: Certificates, query: str, encrypted: bool, verified: bool, named: bool) -> None:
        made = certificates.paths()
        connected = connection(query.format(**made))
        assert connected._ssl_required is encrypted
        assert (connected.ctx.verify_mode == ssl.CERT_REQUIRED) is verified
        assert connected.ctx.check_hostname is named

    def test_no_tls_when_it_is_disabled(self) -> None:
        assert connection("ssl_disabled=true").ssl is False

    def test_as_the_server_likes_when_nothing_is_said(self) -> None:
        assert connection("ssl_disabled=false").ssl is True
        assert connection("ssl_disabled=false")._ssl_required is False

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("ssl_disabled=true&ssl_ca={ca}", "either ssl_disabled or ssl_ca"),
            ("ssl_disabled=true&ssl_verify_cert=true", "either ssl_disabled or ssl_verify_cert"),
            ("ssl_verify_cert=false&ssl_ca={ca}", "either ssl_verify_cert=false or ssl_ca"),
            ("ssl_verify_cert=false&ssl_verify_identity=true", "ssl_verify_cert=false or ssl_verify_identity"),
            ("ssl_check_hostname=false&ssl_verify_identity=true", "ssl_check_hostname=false or ssl_verify_identity"),
            ("ssl_verify_identity=false&ssl_check_hostname=true", "ssl_verify_identity=false or ssl_check_hostname"),
            ("ssl_key={pair}", "ssl_key without its certificate"),
        ],
    )
    def test_tls_contradictions(self, certificates: Certificates, query: str, says: str) -> None:
        made = certificates.paths()
        assert says in refusal(query.format(**made))

    def test_verification_needs_somebody_to_trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.setenv(name, "/no/such")
        assert "knows no certificate authority" in refusal("ssl_verify_cert=true")


class TestForReal:
    def cipher(self, server: URL, query: dict[str, str]) -> str:
        """The cipher of a connection made with these options; empty where it is plain text."""
        engine = create_engine(parse_url(server.update_query_dict(query), "--target"))
        try:
            with engine.connect() as connection:
                return str(connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1])
        finally:
            engine.dispose()

    def test_the_right_ca_and_name(self, tls_server: URL, certificates: Certificates) -> None:
        assert self.cipher(tls_server, {"ssl_ca": str(certificates.paths()["ca"])})

    def test_a_client_certificate(self, tls_server: URL, certificates: Certificates) -> None:
        ca, pair = (str(certificates.paths()[key]) for key in ("ca", "pair"))
        assert self.cipher(tls_server, {"ssl_ca": ca, "ssl_cert": pair, "ssl_key": pair})

    @pytest.mark.parametrize("extra", [{}, {"ssl_verify_identity": "false"}, {"ssl_verify_cert": "true"}])
    def test_the_wrong_ca(self, tls_server: URL, certificates: Certificates, extra: dict[str, str]) -> None:
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            self.cipher(tls_server, {"ssl_ca": str(certificates.paths()["other"]), **extra})

    def test_a_failure_is_told_in_plain_words(self, tls_server: URL, certificates: Certificates) -> None:
        query = {"ssl_ca": str(certificates.paths()["other"])}
        engine = make_engine(parse_url(tls_server.update_query_dict(query), "--target"))
        with pytest.raises(DfsyncError, match="the TLS connection failed, and plain text is not tried in its place"):
            connect(engine)

    @pytest.mark.parametrize("query", [{"ssl_verify_cert": "true"}, {"ssl_verify_identity": "true"}])
    def test_a_ca_that_this_machine_does_not_trust(self, tls_server: URL, query: dict[str, str]) -> None:
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            self.cipher(tls_server, query)

    def test_the_wrong_name(self, tls_server: URL, certificates: Certificates) -> None:
        ca = str(certificates.paths()["ca"])
        renamed = tls_server.set(host="db.example.com")
        with pytest.raises(OperationalError, match="Hostname mismatch"):
            self.cipher(renamed, {"ssl_ca": ca})
        assert self.cipher(renamed, {"ssl_ca": ca, "ssl_verify_identity": "false"})

    def test_without_verification(self, tls_server: URL) -> None:
        assert self.cipher(tls_server, {"ssl_verify_cert": "false"})
        assert self.cipher(tls_server, {"ssl_disabled": "true"}) == ""

    def test_a_server_without_tls_gets_nothing(self, server_url: str, certificates: Certificates) -> None:
        plain = make_url(server_url).set(database="information_schema")
        with create_engine(plain).connect() as connection:
            offered = connection.execute(text("SHOW STATUS LIKE 'Ssl_server_not_after'")).one()[1]
        if offered:
            pytest.skip("the test server offers TLS")
        for query in ({"ssl_ca": str(certificates.paths()["ca"])}, {"ssl_verify_cert": "false"}):
            with pytest.raises(OperationalError, match="SSL is required"):
                self.cipher(plain, query)
