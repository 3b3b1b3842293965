"""TLS: who is let in, what is spoken, and what never is."""

import asyncio
import contextlib
import gc
import logging
import shutil
import socket
import ssl
import threading
import time
import weakref
from asyncio import sslproto
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from node.config.sections import ClientCertificates
from node.dicom.status import Status
from node.errors import ConfigurationError, PeerRefused, PeerUnreachable
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import Peer, Services, Timeouts
from node.net.scp.limits import Limits
from node.net.scu.requestor import associate
from node.net.transport.tls import (
    AcceptorTLS,
    Renewing,
    RequestorTLS,
    is_for,
    names_of,
)
from node.upperlayer import AssociateAccept, ContextResult
from node.upperlayer.associate_pdus import encode_accept
from node.upperlayer.framing import PDUType, frame
from tests.support.acceptors import acceptor
from tests.support.certificates import Authority
from tests.support.images import dataset_bytes
from tests.support.node import Node
from tests.support.peers import dcmtk
from tests.support.processes import free_port
from tests.support.rawpeer import EXPLICIT, RawPeer, associate_request
from tests.support.waiting import wait_until_async

CT = Path(get_testdata_file("CT_small.dcm", download=False))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def rogue(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("rogue"), "Rogue CA")


@pytest.fixture(scope="session")
def server(authority):
    return authority.issue("PACS", names="DNS:pacs.example.org,IP:127.0.0.1")


@pytest.fixture(scope="session")
def me(authority):
    return authority.issue("ME", names="DNS:ct1,URI:urn:ae:CT2")


@pytest.fixture(scope="session")
def stranger(rogue):
    return rogue.issue("ME")


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


def with_tls(authority, server, services=None, *, tls=None, **changes):
    spoken = AcceptorTLS(
        certificate=server.certificate, key=server.key, ca=authority.certificate, **(tls or {})
    )
    return acceptor(services, tls=spoken, **changes)


def _settings(authority, server):
    return AcceptorTLS(certificate=server.certificate, key=server.key, ca=authority.certificate)


def peer_at(port, authority=None, identity=None, *, calling="ME", **tls):
    spoken = None
    if authority is not None:
        mine = {"certificate": identity.certificate, "key": identity.key} if identity else {}
        spoken = RequestorTLS(ca=authority.certificate, **mine, **tls)
    return Peer(
        name="pacs",
        aetitle="PACS",
        host="127.0.0.1",
        port=port,
        calling_aetitle=calling,
        timeouts=Timeouts(connect=2, acse=2, dimse=5, network=5),
        tls=spoken,
    )


async def echo(peer):
    async with associate(peer, Service.ECHO) as association:
        await association.echo()


async def test_both_sides_show_certificates_and_objects_arrive_as_they_are(authority, server, me):
    received = []

    async def store(request, dataset):
        received.append(dataset)
        return Status.SUCCESS

    dataset = dcmread(CT)
    pairs = [(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    async with with_tls(authority, server, Services(store=whole(store))) as pacs:
        async with associate(
            peer_at(pacs.port, authority, me), Service.ECHO, storage=pairs
        ) as association:
            await association.echo()
            for _ in range(3):
                assert await association.store(CT) == Status.SUCCESS
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert received == [dataset_bytes(CT)] * 3


async def test_without_a_certificate_of_the_authority_nobody_is_let_in(authority, server, stranger):
    async with with_tls(authority, server) as pacs:
        for identity in (None, stranger):
            with pytest.raises(PeerUnreachable):
                await echo(peer_at(pacs.port, authority, identity))
        await wait_until_async(lambda: pacs.open_connections == 0)


@pytest.mark.parametrize("clients", [ClientCertificates.OPTIONAL, ClientCertificates.IGNORED])
async def test_client_certificates_need_not_be_asked_for(clients, authority, server, me):
    async with with_tls(authority, server, tls={"clients": clients}) as pacs:
        await echo(peer_at(pacs.port, authority))
        await echo(peer_at(pacs.port, authority, me))


async def test_a_calling_title_can_be_bound_to_the_names_of_a_certificate(authority, server, me):
    async with with_tls(authority, server, tls={"bind_aetitle": True}) as pacs:
        for title in ("ME", "CT1"):
            await echo(peer_at(pacs.port, authority, me, calling=title))
        with pytest.raises(PeerRefused) as refused:
            await echo(peer_at(pacs.port, authority, me, calling="OTHER"))
        assert refused.value.rejection == (1, 1, 3)


@pytest.mark.parametrize("title", ["<unsupported>", ""])
async def test_what_python_writes_for_a_name_that_it_does_not_read_is_no_name(
    title, authority, server
):
    kerberos = "otherName:1.3.6.1.5.2.2;UTF8:somebody"
    identity = authority.issue("SOMEBODY", names=f"{kerberos},DNS:ct1")
    async with with_tls(authority, server, tls={"bind_aetitle": True}) as pacs:
        await echo(peer_at(pacs.port, authority, identity, calling="CT1"))
        context = peer_at(pacs.port, authority, identity, check_name=False).tls.context()
        reader, writer = await asyncio.open_connection("127.0.0.1", pacs.port, ssl=context)
        writer.write(associate_request(calling=title))
        assert (await RawPeer(reader, writer).rejection()).reason == 3
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


def test_the_names_of_a_certificate_are_its_common_names_and_alternative_ones():
    certificate = {
        "subject": ((("organizationName", "Hospital"),), (("commonName", "PACS"),)),
        "subjectAltName": (("DNS", "ct1"), ("URI", "urn:ae:CT2"), ("IP Address", "10.1.2.3")),
    }
    assert names_of(certificate) == {"PACS", "ct1", "urn:ae:CT2"}
    assert is_for(certificate, "CT1")
    assert not is_for(certificate, "pacs")
    assert not is_for(certificate, "10.1.2.3")
    assert not is_for({}, "PACS")


async def test_plain_text_is_never_spoken_at_a_port_with_tls(authority, server):
    async with with_tls(authority, server, tls={"handshake": 1.0}) as pacs:
        with pytest.raises(PeerUnreachable):
            await echo(peer_at(pacs.port))
        async with await RawPeer.connect(pacs.port) as peer:
            peer.send(associate_request())
            assert (await peer.ends())[:1] in (b"", b"\x15")  # a TLS alert at most
        await wait_until_async(lambda: pacs.open_connections == 0)


async def _greet(port, hello):
    async with await RawPeer.connect(port) as peer:
        peer.send(hello)
        if hello.startswith(b"\x16"):
            peer.reset()
        await peer.ends()


async def _shake_hands(port, authority, identity=None, ciphers=None):
    context = peer_at(port, authority, identity, check_name=False).tls.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if ciphers:
        context.set_ciphers(ciphers)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", port, ssl=context)


FAILURES = {
    "dicom": "what it sends is no TLS; it looks like an A-ASSOCIATE-RQ in plain text",
    "http": "what it sends is no TLS; it looks like an HTTP request",
    "noise": "what it sends is no TLS",
    "half": "it hung up during the handshake",
    "stalled": "the handshake was not finished within 0.5 s",
    "old": "it offers no cipher that is allowed here",
    "nobody": "it shows no certificate",
    "stranger": "its certificate is not accepted: unable to get local issuer certificate",
}


@pytest.mark.parametrize("who", FAILURES)
async def test_a_handshake_that_fails_is_a_warning_with_its_reason_and_the_address(
    who, authority, server, stranger, caplog
):
    hello = {
        "dicom": associate_request(),
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "noise": b"\x7f" * 100,
        "half": b"\x16\x03\x01\x02\x00\x01",
    }
    async with with_tls(authority, server, tls={"handshake": 0.5}) as pacs:
        if who in hello:
            await _greet(pacs.port, hello[who])
        elif who == "stalled":
            async with await RawPeer.connect(pacs.port) as peer:
                peer.send(hello["half"])
                await peer.ends()
        elif who == "old":
            await _shake_hands(pacs.port, authority, ciphers="AES128-SHA")
        else:
            await _shake_hands(pacs.port, authority, stranger if who == "stranger" else None)
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert [record.getMessage() for record in caplog.records] == [
        f"The TLS handshake with 127.0.0.1 failed: {FAILURES[who]}"
    ]


async def test_who_only_looks_whether_the_port_is_open_is_not_complained_of(
    authority, server, caplog
):
    async with with_tls(authority, server, tls={"handshake": 0.2}) as pacs:
        async with await RawPeer.connect(pacs.port):
            pass
        async with await RawPeer.connect(pacs.port) as silent:
            assert await silent.ends() == b""
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert caplog.records == []


async def test_plain_text_is_never_spoken_to_a_peer_with_tls(authority, me):
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(1))
        writer.close()

    plain = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with plain:
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(PeerUnreachable, match="with TLS"):
            await echo(peer_at(port, authority, me))
    assert heard == [b"\x16"]  # a TLS handshake, once


async def test_a_peer_s_certificate_is_checked_and_so_is_its_name(authority, rogue, me, server):
    async with with_tls(authority, server) as pacs:
        with pytest.raises(PeerRefused, match="its certificate is not accepted"):
            await echo(peer_at(pacs.port, rogue, me))
        with pytest.raises(PeerRefused, match="its certificate is not accepted.*other"):
            await echo(peer_at(pacs.port, authority, me, server_name="other.example.org"))
        await echo(peer_at(pacs.port, authority, me, server_name="pacs.example.org"))
        await echo(
            peer_at(pacs.port, authority, me, server_name="other.example.org", check_name=False)
        )


async def test_what_is_older_or_weaker_than_bcp_195_is_refused(authority, server):
    tls = {"clients": ClientCertificates.IGNORED}
    async with with_tls(authority, server, tls=tls) as pacs:

        async def versions(**options):
            context = ssl.create_default_context(cafile=str(authority.certificate))
            for name, value in options.items():
                if name == "ciphers":
                    context.set_ciphers(value)
                else:
                    setattr(context, name, value)
            _, writer = await asyncio.open_connection("127.0.0.1", pacs.port, ssl=context)
            found = writer.get_extra_info("ssl_object")
            spoken = found.version(), found.cipher()[0]
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            return spoken

        for context in (RequestorTLS().context(), Renewing(_settings(authority, server)).current()):
            assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        twelve = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        assert (await versions())[0] == "TLSv1.3"
        assert await versions(**twelve) == ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
        for weak in ("AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await versions(ciphers=weak, **twelve)
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_stalled_handshakes_hold_up_nobody_and_are_ended_at_their_deadline(
    authority, server, me
):
    async with with_tls(
        authority, server, tls={"handshake": 3.0}, limits=Limits(unnegotiated=400)
    ) as pacs:
        stalled = [await RawPeer.connect(pacs.port, source="127.0.0.9") for _ in range(300)]
        for peer in stalled[:100]:
            peer.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        await wait_until_async(lambda: pacs.open_connections == 300)
        began = time.monotonic()
        for _ in range(5):
            before = time.monotonic()
            await echo(peer_at(pacs.port, authority, me))
            assert time.monotonic() - before < 1
        assert pacs.open_connections >= 300 or time.monotonic() - began > 2
        await asyncio.gather(*(peer.ends(15) for peer in stalled))
        await wait_until_async(lambda: pacs.open_connections == 0)
        for peer in stalled:
            await peer.close()


async def test_a_peer_that_does_not_end_tls_is_left_without_an_error(
    authority, server, me, monkeypatch, caplog
):
    monkeypatch.setattr("node.net.transport.connection._TICK", 0.02)
    monkeypatch.setattr("node.net.scu.link._TO_CLOSE", 0.3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    left = threading.Event()
    accept = AssociateAccept(
        called_aetitle="PACS",
        calling_aetitle="ME",
        contexts=(ContextResult(id=1, result=0, transfer_syntax=EXPLICIT),),
    )

    def answer(listening):
        with listening.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as sock:
            sock.recv(4096)
            sock.sendall(frame(PDUType.ASSOCIATE_AC, encode_accept(accept)))
            sock.recv(4096)
            sock.sendall(frame(PDUType.RELEASE_RP, bytes(4)))
            assert left.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = asyncio.create_task(asyncio.to_thread(answer, listening))
        async with associate(peer_at(listening.getsockname()[1], authority, me), Service.ECHO):
            pass
        left.set()
        await answering
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "hello",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""],
    ids=["other", "part", "none"],
)
async def test_a_handshake_that_fails_leaves_no_buffers_behind(authority, server, hello):
    """And for one that is not even begun, none are made."""
    made, alive = [], weakref.WeakSet()

    class Watched(sslproto.SSLProtocol):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(1)
            alive.add(self)

    async with with_tls(authority, server) as pacs:
        gc.disable()  # they are not to wait for it
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sslproto, "SSLProtocol", Watched)
                peer = await RawPeer.connect(pacs.port)
                peer.send(hello)
                await wait_until_async(lambda: made if hello else pacs.open_connections)
                if not hello.startswith(b"GET"):
                    peer.reset()
                assert await peer.ends() == b""
                await wait_until_async(lambda: pacs.open_connections == 0)
                peer.reset()
            await wait_until_async(lambda: not alive, describe=lambda: list(alive))
            assert len(made) == bool(hello)
        finally:
            gc.enable()


async def test_a_handshake_under_way_does_not_hold_up_a_stop(authority, server):
    async with with_tls(authority, server) as pacs:
        async with await RawPeer.connect(pacs.port) as peer:
            await wait_until_async(lambda: pacs.open_connections == 1)
            async with asyncio.timeout(2):
                await pacs.stop()
            assert await peer.ends() == b""
            assert pacs.open_connections == 0


async def test_new_files_are_in_force_without_a_restart_and_broken_ones_are_not(
    authority, server, me, tmp_path, monkeypatch
):
    monkeypatch.setattr("node.net.transport.tls._LOOK", 0.0)
    certificate, key = tmp_path / "node.pem", tmp_path / "node.key"

    def install(identity):
        for source, target in ((identity.certificate, certificate), (identity.key, key)):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    async def name():
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.check_hostname = False
        context.load_cert_chain(me.certificate, me.key)
        _, writer = await asyncio.open_connection("127.0.0.1", pacs.port, ssl=context)
        names = names_of(writer.get_extra_info("peercert"))
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        return names

    install(server)
    tls = AcceptorTLS(certificate=certificate, key=key, ca=authority.certificate)
    async with acceptor(tls=tls) as pacs:
        assert "PACS" in await name()
        certificate.write_text("rubbish")
        assert "PACS" in await name()
        install(authority.issue("RENEWED"))
        assert await name() == {"RENEWED"}
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_files_that_cannot_be_used_are_named(authority, server, tmp_path):
    missing = tmp_path / "none.pem"
    tls = AcceptorTLS(certificate=missing, key=server.key, ca=authority.certificate)
    with pytest.raises(ConfigurationError, match=r"none\.pem.*No such file"):
        acceptor(tls=tls)
    with pytest.raises(ConfigurationError, match=r"none\.pem: .*No such file"):
        RequestorTLS(ca=missing).context()


@pytest.mark.peers
async def test_dcmtk_speaks_tls_with_us(authority, server, me, stranger):
    async def store(request, dataset):
        return Status.SUCCESS

    async with with_tls(authority, server, Services(store=whole(store))) as pacs:

        def dcmtk_run(program, identity, *args):
            return dcmtk.run(
                program,
                *("+tls", identity.key, identity.certificate, "+cf", authority.certificate),
                *("-aet", "ME", "-aec", "PACS", "127.0.0.1", str(pacs.port), *args),
            )

        for program, files in (("echoscu", ()), ("storescu", (CT,))):
            done = await asyncio.to_thread(dcmtk_run, program, me, *files)
            assert done.code == 0, done
            done = await asyncio.to_thread(dcmtk_run, program, stranger, *files)
            assert done.code != 0, done
        await wait_until_async(lambda: pacs.open_connections == 0)


def test_a_node_with_tls_is_spoken_to_with_tls(cli, tmp_path, sqlite_url, authority, me):
    identity = authority.issue("NODE", names="IP:127.0.0.1")
    port = free_port()
    tls = {
        "enabled": True,
        "ca": str(authority.certificate),
        "certificate": str(me.certificate),
        "key": str(me.key),
    }
    at = {"aetitle": "NODE", "host": "127.0.0.1", "port": port, "calling_aetitle": "ME"}
    node = Node(
        cli,
        tmp_path / "node",
        sqlite_url,
        port=port,
        settings={
            "node": {
                "tls": {
                    "certificate": str(identity.certificate),
                    "key": str(identity.key),
                    "ca": str(authority.certificate),
                    "bind_aetitle": True,
                }
            },
            "peers": {"secure": {**at, "tls": tls}, "plain": at},
        },
    )
    node.ok("db", "init")
    with node.running() as process:
        node.ok("echo", "secure")
        assert node("echo", "plain").code == 3
        assert node.json("status")["running"] is True
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            process.wait_for_line("handshake with 127.0.0.1 failed: .*looks like an HTTP request")
        process.wait_for_line("handshake with 127.0.0.1 failed: .* A-ASSOCIATE-RQ in plain text")


@pytest.mark.parametrize("why", ["usage", "authority"])
def test_a_node_whose_certificate_is_no_client_s_says_so_and_that_it_is_running(
    why, cli, tmp_path, sqlite_url, authority
):
    usage = "serverAuth" if why == "usage" else "serverAuth,clientAuth"
    others = Authority(tmp_path / "others") if why == "authority" else authority
    identity = authority.issue(f"NODE-{why}", names="IP:127.0.0.1", usage=usage)
    tls = {
        "certificate": str(identity.certificate),
        "key": str(identity.key),
        "ca": str(others.certificate),
    }
    node = Node(cli, tmp_path / "node", sqlite_url, settings={"node": {"tls": tls}})
    node.ok("db", "init")

    def says():
        done = node.ok("status")
        found = "not accept its own certificate" in done.stderr and "clientAuth" in done.stderr
        return found, " is running" in done.stdout

    assert says() == (True, False)
    with node.running():
        assert says() == (True, True)
