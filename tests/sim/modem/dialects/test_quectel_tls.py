"""TLS inside the modem (EC2x&EG9x SSL Application Note), against a server in the simulated internet."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from host_tools.sim.network.hosts import VirtualHost

PEM = serialization.Encoding.PEM
HOST = "secure.example"


def certificate(name, issuer=None):
    """A certificate and key in PEM, signed by `issuer` or by itself."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    return made, key


def pem(pair):
    private = pair[1].private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return pair[0].public_bytes(PEM), private


@pytest.fixture(scope="module")
def authority():
    return certificate("an authority")


@pytest.fixture(scope="module")
def server_context(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    for name, octets in zip(("cert", "key"), pem(certificate(HOST, authority)), strict=True):
        (folder / name).write_bytes(octets)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


class UpperCase(VirtualHost):
    """Answers in upper case, after a handshake."""

    def __init__(self, context):
        self.context, self.names, self.suites = context, [], []
        context.sni_callback = lambda _, name, __: self.names.append(name)

    def accept(self, connection, syn):
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.context.wrap_bio(arriving, leaving, server_side=True)
        told = []

        def go_on():
            arriving.write(connection.read())
            try:
                if not told:
                    session.do_handshake()
                    told.append(session.cipher()[0])
                    self.suites += told
                while data := session.read(4096):
                    if data == b"bye":
                        session.unwrap()
                    session.write(data.upper())
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                connection.close()
            connection.send(leaving.read())

        connection.on_readable = go_on
        connection.on_peer_closed = connection.close
        return True


@pytest.fixture
def secure(rig, server_context):
    rig.online()
    rig.host = UpperCase(server_context)
    rig.internet.add_host(HOST, rig.host)
    return rig


def upload(rig, name, octets):
    assert rig.send(f'AT+QFUPL="{name}",{len(octets)},10').endswith("CONNECT\r\n")
    return rig.payload(octets)


def test_a_dialogue(secure):
    """As TinyGSM's secure client of BG96 has it."""
    for line in ('"sslversion",0,3', '"ciphersuite",0,0X0035', '"seclevel",0,0', '"sni",0,1'):
        assert secure.send(f"AT+QSSLCFG={line}") == "\r\nOK\r\n"
    assert secure.send(f'AT+QSSLOPEN=1,0,2,"{HOST}",443,0') == "\r\nOK\r\n"
    assert secure.run(3) == "\r\n+QSSLOPEN: 2,0\r\n"
    assert secure.host.suites == ["AES256-SHA"]
    assert secure.host.names == [HOST]
    assert secure.send("AT+QSSLSEND=2,5") == "\r\n> "
    assert secure.payload(b"hello") == "\r\nSEND OK\r\n"
    assert secure.run(1) == '\r\n+QSSLURC: "recv",2\r\n'
    assert secure.send("AT+QSSLRECV=2,0") == "\r\n+QSSLRECV: 5,0,5\r\n\r\nOK\r\n"
    assert secure.send("AT+QSSLRECV=2,3") == "\r\n+QSSLRECV: 3\r\nHEL\r\n\r\nOK\r\n"
    assert secure.send("AT+QSSLRECV=2,1500") == "\r\n+QSSLRECV: 2\r\nLO\r\n\r\nOK\r\n"
    assert secure.send("AT+QSSLRECV=2,1500") == "\r\n+QSSLRECV: 0\r\n\r\nOK\r\n"
    row = '\r\n+QSSLSTATE: 2,"SSLClient","203.0.113.2",443,49153,2,1,2,0,"uart1",0\r\n\r\nOK\r\n'
    assert secure.send("AT+QSSLSTATE=1,2") == secure.send("AT+QSSLSTATE") == row
    assert secure.send("AT+QSSLCLOSE=2") == "\r\nOK\r\n"
    assert secure.send("AT+QSSLSTATE=1,2") == "\r\nOK\r\n"


def test_the_handshake_and_the_records_are_traffic(secure):
    before = sum(secure.modem.data.counter.octets)
    secure.send(f'AT+QSSLOPEN=1,1,0,"{HOST}",443')
    secure.run(3)
    shaken = sum(secure.modem.data.counter.octets) - before
    assert shaken > 1500, "certificates"
    secure.send("AT+QSSLSEND=0,1000")
    secure.payload(b"x" * 1000)
    secure.run(2)
    assert sum(secure.modem.data.counter.octets) - before - shaken > 2 * (1000 + 20)


def test_pushed_and_closed_by_the_server(secure):
    secure.send(f'AT+QSSLOPEN=1,0,0,"{HOST}",443,1')
    assert secure.run(3) == "\r\n+QSSLOPEN: 0,0\r\n"
    secure.send("AT+QSSLSEND=0")
    assert secure.payload(b"hi\x1a") == "\r\nSEND OK\r\n"
    assert secure.run(1) == '\r\n+QSSLURC: "recv",0,2\r\nHI\r\n'
    secure.send("AT+QSSLSEND=0,3")
    secure.payload(b"bye")
    assert '+QSSLURC: "closed",0' in secure.run(2)
    assert secure.send("AT+QSSLSEND=0,3") == "\r\nERROR\r\n"
    assert secure.send("AT+QSSLCLOSE=0") == "\r\nOK\r\n"


@pytest.mark.parametrize(("known", "result"), [(True, 0), (False, 566)])
def test_the_chain_is_verified(secure, authority, known, result):
    trusted = pem(authority if known else certificate("somebody else"))[0]
    assert f"+QFUPL: {len(trusted)}," in upload(secure, "UFS:ca.pem", trusted)
    secure.send('AT+QSSLCFG="seclevel",1,1')
    secure.send('AT+QSSLCFG="cacert",1,"UFS:ca.pem"')
    secure.send(f'AT+QSSLOPEN=1,1,0,"{HOST}",443')
    assert f"+QSSLOPEN: 0,{result}" in secure.run(5)


def test_what_cannot_be_opened(secure):
    def error(line):
        assert secure.send(line) == "\r\nERROR\r\n"
        return secure.send("AT+QIGETERROR").split(": ")[1].split(",")[0]

    secure.send('AT+QSSLCFG="seclevel",1,1')
    assert error(f'AT+QSSLOPEN=1,1,0,"{HOST}",443') == "552", "no certificate to verify with"
    assert error(f'AT+QSSLOPEN=1,6,0,"{HOST}",443') == "552"
    assert error(f'AT+QSSLOPEN=2,0,0,"{HOST}",443') == "561"
    assert error("AT+QSSLSEND=4,1") == "550"
    secure.send('AT+QSSLOPEN=1,0,0,"no.such.name",443')
    assert "+QSSLOPEN: 0,565" in secure.run(3)
    assert error(f'AT+QSSLOPEN=1,0,0,"{HOST}",443') == "563"
    secure.send('AT+QSSLOPEN=1,0,1,"server.example",443')
    assert "+QSSLOPEN: 1,566" in secure.run(5), "no TLS there"
    assert secure.send('AT+QSSLCFG="sslversion",0') == '\r\n+QSSLCFG: "sslversion",0,4\r\n\r\nOK\r\n'
    assert secure.send('AT+QSSLCFG="colour",0') == "\r\n+CME ERROR: 50\r\n"
    assert secure.send('AT+QSSLCFG="ciphersuite",0,0X9999') == "\r\n+CME ERROR: 50\r\n"


def test_a_session_that_ends_takes_its_clients_along(secure):
    secure.send(f'AT+QSSLOPEN=1,0,0,"{HOST}",443')
    secure.run(3)
    assert secure.send("AT+QIDEACT=1") == "\r\nOK\r\n"
    assert secure.send("AT+QSSLSTATE") == "\r\nOK\r\n"


def test_files(rig):
    assert "+QFUPL: 5,3358" in upload(rig, "UFS:a.pem", b"abc:1")
    assert rig.send('AT+QFUPL="a.pem",5') == "\r\n+CME ERROR: 407\r\n"
    assert rig.send("AT+QFLST") == '\r\n+QFLST: "UFS:a.pem",5\r\n\r\nOK\r\n'
    assert rig.send('AT+QFDWL="a.pem"') == "\r\nCONNECT\r\nabc:1\r\n+QFDWL: 5,3358\r\n\r\nOK\r\n"
    rig.modem.reset()
    rig.run(12)
    rig.send("ATE0")
    assert rig.send('AT+QFDEL="UFS:a.pem"') == "\r\nOK\r\n"
    assert rig.send('AT+QFDEL="UFS:a.pem"') == "\r\n+CME ERROR: 405\r\n"
    rig.send('AT+QFUPL="b.pem",5,1')
    assert rig.run(2) == "\r\n+CME ERROR: 421\r\n"
