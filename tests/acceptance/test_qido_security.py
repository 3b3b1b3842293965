"""How a DICOMweb service is reached: login, TLS, redirects; and what is never shown or sent."""

from __future__ import annotations

import ssl
from base64 import b64encode

import pytest

from tests.support.certificates import Authority
from tests.support.node import Node
from tests.support.qido_server import QidoServer, Reply, good

STUDIES = [{"StudyInstanceUID": "1.2.1", "StudyDate": "20240101", "StudyTime": "101500"}]
ASKED = ("find", "web", "--study", "1.2.1")


@pytest.fixture
def node_at(cli, tmp_path, migrated_sqlite_url):
    def configure(server, **more):
        peer = {"url": getattr(server, "url", server), **more}
        return Node(cli, tmp_path / "node", migrated_sqlite_url, settings={"peers": {"web": peer}})

    return configure


def wants(authorization):
    def script(server, search):
        if search.headers.get("authorization") != authorization:
            return Reply(status=401)
        return good(server, search)

    return script


def basic(login):
    return f"Basic {b64encode(login.encode()).decode()}"


def test_a_login_is_by_password_or_token_from_the_file_or_the_environment(node_at, tmp_path, cli):
    secret = tmp_path / "secret"
    secret.write_text("pass:wörd\n")
    with QidoServer(STUDIES, wants(basic("reader:pass:wörd"))) as server:
        node = node_at(server, credentials={"user": "reader", "password_file": str(secret)})
        assert node("find", "web", "--study", "1.2.1").code == 0
        secret.write_text("another\n")
        refused = node("find", "web", "--study", "1.2.1")
        assert refused.code == 3
        assert "HTTP 401 Unauthorized: it does not accept the login of" in refused.stderr
        assert "another" not in refused.stderr
        secret.write_text("two\nlines")
        assert "a password or a token is needed, on one line" in node(*ASKED).stderr
        secret.unlink()
        assert f"{secret}: cannot be read: No such file" in node(*ASKED).stderr
        server.script = wants("Bearer abc.def")
        node = node_at(server)
        variable = {"DICOM_NODE__PEERS__WEB__CREDENTIALS__TOKEN": "abc.def"}
        assert cli(*ASKED, "--config", node.config, env=variable).code == 0


def test_a_token_that_is_renewed_in_its_file_is_used_for_the_next_question(node_at, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("first")

    def script(server, search):
        expected = "Bearer first" if search.number == 1 else "Bearer second"
        secret.write_text("second")
        assert search.headers["authorization"] == expected
        return good(server, search, most=1)

    studies = [{**STUDIES[0], "StudyInstanceUID": uid} for uid in ("1.2.1", "1.2.2")]
    with QidoServer(studies, script) as server:
        node = node_at(server, credentials={"token_file": str(secret)})
        assert node("find", "web", "--study", "1.2.1", "--study", "1.2.2").code == 0
        assert len(server.asked) == 3


def test_the_login_goes_to_no_other_server(node_at):
    with QidoServer(STUDIES) as other:

        def script(_server, _search):
            return Reply(status=307, headers={"Location": f"{other.url}/studies"})

        with QidoServer(STUDIES, script) as server:
            node = node_at(server, credentials={"token": "abc"})
            done = node(*ASKED)
    assert done.code == 3
    assert "which is not followed with our login" in done.stderr
    assert other.asked == []


def tls_of(identity, *, clients=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if clients is not None:
        context.load_verify_locations(clients.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_tls_is_with_the_authority_the_name_and_the_certificate_of_the_configuration(
    node_at, tmp_path
):
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    service = theirs.issue("service", names="DNS:pacs.example.org")
    client = ours.issue("node", usage="clientAuth")
    shown = {"certificate": str(client.certificate), "key": str(client.key)}
    known = {"ca": str(theirs.certificate), "server_name": "pacs.example.org"}
    with QidoServer(STUDIES, tls=tls_of(service, clients=ours)) as server:
        assert node_at(server, tls=known | shown)("find", "web", "--study", "1.2.1").code == 0
        stranger = node_at(server, tls={"server_name": "pacs.example.org", **shown})(*ASKED)
        assert stranger.code == 3
        assert "its certificate is not accepted: unable to get local issuer" in stranger.stderr
        name = node_at(server, tls={"ca": str(theirs.certificate), **shown})(*ASKED)
        assert "its certificate is not accepted: IP address mismatch" in name.stderr
        assert node_at(server, tls=known)(*ASKED).code != 0  # it wants a certificate of ours
        plain = node_at(server.url.replace("https", "http"))(*ASKED)
        assert plain.code != 0


def test_what_is_secret_is_not_shown(node_at, cli):
    node = node_at("http://127.0.0.1:1/dicom-web", credentials={"user": "u", "password": "hid den"})
    for words in (("config", "show"), ("config", "show", "--json"), ("config", "check")):
        shown = node(*words)
        assert shown.code == 0
        assert "hid den" not in shown.stdout + shown.stderr
    assert '"password": "***"' in node("config", "show", "--json").stdout
    unreachable = node(*ASKED)
    assert "web at 127.0.0.1:1: nobody answers at that address and port" in unreachable.stderr
    assert "hid den" not in unreachable.stderr


@pytest.mark.parametrize(
    ("peer", "problem"),
    [
        ({"url": "https://me:hidden@pacs/dicom-web"}, "give credentials.user and credentials.pass"),
        ({"url": "pacs/dicom-web"}, "the base URL of a DICOMweb service is needed, such as"),
        ({"url": "https://pacs/?key=hidden"}, "a base URL is needed, without ? and #"),
        (
            {"url": "https://p", "credentials": "hidden"},
            "a section is needed, with the keys user, password",
        ),
        ({"url": "https://p", "credentials": {"user": "u"}}, "a login needs user, and password"),
        (
            {"url": "https://p", "credentials": {"password": "hidden", "user": "u", "token": "h"}},
            "give user and password, or a token, not both",
        ),
        ({"url": "https://p", "credentials": {"token": "hidden hid"}}, "a token has visible ASCII"),
        ({"url": "http://p", "tls": {"enabled": True}}, "tls.enabled is never plain text"),
        ({"url": "https://p", "aetitle": "PACS"}, "peers.web.host: is needed"),
        ({"credentials": {"token": "hidden"}}, "peers.web.aetitle: is needed"),
    ],
)
def test_a_peer_s_url_and_login_are_checked_and_not_repeated(node_at, peer, problem):
    node = node_at(peer.get("url", ""), **{k: v for k, v in peer.items() if k != "url"})
    checked = node("config", "check")
    assert checked.code == 2, checked
    assert problem in checked.stderr
    assert "hidden" not in checked.stderr


def test_what_goes_over_dimse_says_so_at_a_peer_with_a_url_alone(node_at, tmp_path):
    with QidoServer(STUDIES) as server:
        node = node_at(server)
        echoed = node.json("echo", "web")
        assert (echoed["peer"], echoed["url"]) == ("web", server.url)
        assert echoed["url_milliseconds"] > 0
        assert "answered a search in" in node.ok("echo", "web").stdout
        assert server.asked[-1].parameters == {"limit": "1", "offset": "0"}
        for command in (("probe", "web"), ("send", "web", tmp_path)):
            node.ok("find", "web", "--study", "1.2.1")
            refused = node(*command)
            assert refused.code == 2
            assert "what goes over DIMSE, as send and probe do, needs its aetitle" in refused.stderr
        server.script = wants("nobody")
        assert "it wants a login" in node("echo", "web").stderr
