"""The settings that say who may call, and how TLS is spoken."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from node.config import Config
from node.config.load import load
from node.net.scp.access import why_not
from node.ops.peers import senders_of
from node.ops.receiving.listening import access_of
from node.ops.tls import acceptor_tls, requestor_tls, to_ourselves

PEER = {"aetitle": "PACS", "host": "pacs.example.org", "port": 104}


def access(*, known_only=False, **settings):
    config = Config(node={"known_peers_only": known_only}, peers={"pacs": {**PEER, **settings}})
    return access_of(config)


def what(rights):
    return (rights.store, rights.query, rights.retrieve, rights.commit)


def test_a_peer_may_store_under_its_own_title_unless_it_is_said_and_nothing_else():
    rights = access().rights("PACS", "10.1.2.3")
    assert what(rights) == (True, False, False, False)
    rights = access(may_store=["PACS_ST"], may_query="PACS").rights("PACS", "10.1.2.3")
    assert what(rights) == (False, True, False, False)
    assert access(may_store="PACS_ST,CT1").rights("CT1", "10.1.2.3").store
    rights = access(may_store=[], may_retrieve=["PACS"]).rights("PACS", "10.1.2.3")
    assert what(rights) == (False, False, True, False)
    rights = access(may_commit=["PACS"], may_store=[]).rights("PACS", "10.1.2.3")
    assert what(rights) == (False, False, False, True)
    assert rights.peers == ("pacs",)


def test_of_peers_that_share_a_title_each_is_named_for_what_it_may():
    rights = {
        "viewer": {"may_query": ["SHR"], "may_store": []},
        "getter": {"may_retrieve": ["SHR"], "may_store": []},
        "sender": {"may_store": ["SHR"]},
        "keeper": {"may_commit": ["SHR"], "may_query": ["SHR"], "may_store": []},
    }
    peers = {
        name: {"aetitle": name.upper(), "host": "pacs", "port": 104, **one}
        for name, one in rights.items()
    }
    found = access_of(Config(peers=peers)).rights("SHR", "10.1.2.3")
    assert what(found) == (True, True, True, True)
    assert found.peers == tuple(rights)
    assert found.querying == ("viewer", "keeper")
    assert (found.retrieving, found.committing) == (("getter",), ("keeper",))


def test_a_peer_that_may_nothing_may_nothing_and_its_title_stays_where_it_is():
    for nothing in ({"may_store": [], "may_query": []}, {"may_store": "", "may_query": ""}):
        allowed = access(networks=["10.1.0.0/16"], **nothing)
        rights = allowed.rights("PACS", "10.1.2.3")
        assert (rights.store, rights.query) == (False, False)
        assert allowed.rights("PACS", "10.2.0.1") is None


def test_a_peer_s_own_title_is_bound_though_it_stores_and_queries_under_others():
    allowed = access(networks=["10.1.0.0/16"], may_store=["PACS_ST"], may_query=["PACS_QR"])
    rights = allowed.rights("PACS", "10.1.2.3")
    assert (rights.store, rights.query) == (False, False)
    for title in ("PACS", "PACS_ST", "PACS_QR"):
        assert allowed.rights(title, "10.2.0.1") is None
    assert what(allowed.rights("STRANGER", "10.2.0.1")) == (True, False, False, False)


def test_a_peer_calls_from_its_networks_only():
    allowed = access(networks=["10.1.0.0/16", "192.0.2.7", "fd00::/8"])
    for address in ("10.1.2.3", "192.0.2.7", "fd00::1"):
        assert allowed.rights("PACS", address)
    for address in ("10.2.0.1", "192.0.2.8", "fe80::1"):
        assert allowed.rights("PACS", address) is None


def test_it_is_said_why_somebody_may_not_call():
    allowed = access(networks=["10.1.0.0/16"], may_query=["PACS_QR"])
    where = "peers.pacs, which may call from 10.1.0.0/16 only"
    assert allowed.why_not_at_all("PACS_QR") == f"PACS_QR is {where}"
    closed = access(known_only=True)
    known_only = "and node.known_peers_only is on"
    assert closed.why_not_at_all("OTHER") == f"no peer has the AE title OTHER, {known_only}"
    assert closed.why_not_at_all("pacs") == (
        f"no peer has the AE title pacs; peers.pacs has PACS, {known_only}"
    )


def test_it_is_said_which_key_would_give_a_right():
    def why(allowed, aetitle, *lacking):
        return why_not(aetitle, lacking, allowed.rights(aetitle, "127.0.0.1"))

    assert why(access(), "PACS", "query", "retrieve") == (
        "it is peers.pacs, without that right;"
        " peers.pacs.may_query: [PACS], peers.pacs.may_retrieve: [PACS] would give it"
    )
    assert why(access(may_query=["QR"]), "STRANGER", "query") == (
        "no peer has that AE title; peers.<name>.may_query would give it to one"
    )
    assert why(access(may_query=["QR"]), "qr", "query") == (
        "no peer has that AE title; peers.pacs has QR; peers.<name>.may_query would give it to one"
    )
    near = {**PEER, "aetitle": "SHR"}
    far = {**near, "may_query": ["SHR"], "networks": ["10.1.0.0/16"]}
    shared = access_of(Config(peers={"near": near, "far": far, "other": far | {"may_query": []}}))
    assert why(shared, "SHR", "query") == (
        "it is peers.near, without that right; peers.near.may_query: [SHR] would give it;"
        " the right has peers.far, which may call from 10.1.0.0/16 only"
    )


def test_strangers_may_call_unless_only_peers_may():
    assert access().rights("STRANGER", "10.1.2.3").store
    assert access(known_only=True).rights("STRANGER", "10.1.2.3") is None


@pytest.mark.parametrize("network", ["10.1.2.3/16", "here", "10.1.2.300"])
def test_what_is_no_network_is_refused_with_an_example(network):
    with pytest.raises(ValidationError, match=r"such as 10\.1\.2\.3 or 10\.1\.0\.0/16"):
        Config(peers={"pacs": {**PEER, "networks": [network]}})


def test_networks_are_read_from_text_as_an_environment_variable_has_it():
    peer = Config(peers={"pacs": {**PEER, "networks": "10.1.0.0/16, 192.0.2.7"}}).peer("pacs")
    assert peer.networks == (ip_network("10.1.0.0/16"), ip_network("192.0.2.7/32"))


def test_without_a_certificate_there_is_no_tls():
    config = Config(peers={"pacs": PEER})
    assert acceptor_tls(config.node.tls) is None
    assert to_ourselves(config.node.tls) is None
    assert requestor_tls(config.peer("pacs").tls) is None


def test_tls_is_spoken_as_configured():
    config = Config(
        node={"tls": {"certificate": "node.pem", "ca": "ca.pem", "bind_aetitle": True}},
        peers={"pacs": {**PEER, "tls": {"enabled": True, "ca": "ca.pem", "server_name": "x"}}},
    )
    ours = acceptor_tls(config.node.tls)
    assert (ours.certificate, ours.key, ours.ca) == (
        Path("node.pem"),
        Path("node.pem"),
        Path("ca.pem"),
    )
    assert ours.bind_aetitle
    theirs = requestor_tls(config.peer("pacs").tls)
    assert (theirs.ca, theirs.server_name, theirs.check_name) == (Path("ca.pem"), "x", True)


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"certificate": "a.pem"}, "give ca"),
        (
            {"certificate": "a.pem", "client_certificates": "ignored", "bind_aetitle": True},
            "bind_aetitle needs client_certificates: required",
        ),
        ({"certificate": "a.pem", "client_certificates": "perhaps"}, "required"),
    ],
)
def test_tls_that_makes_no_sense_is_refused(tls, message):
    with pytest.raises(ValidationError, match=message):
        Config(node={"tls": tls})


def test_a_peer_with_a_url_alone_calls_nobody_and_is_moved_from():
    peers = {"pacs": PEER, "web": {"url": "https://pacs.example.org/dicom-web/"}}
    config = Config(peers=peers)
    assert config.peer("web").url == "https://pacs.example.org/dicom-web"
    assert [peer.name for peer in config.find_peers] == ["pacs", "web"]
    assert [peer.name for peer in config.move_peers] == ["pacs", "web"]
    assert senders_of(config).of("web") == {"web"}
    assert access_of(config).rights("PACS", "10.1.2.3").store
    closed = access_of(Config(peers=peers, node={"known_peers_only": True, "host": "10.0.0.7"}))
    here = [closed.rights("web", address) for address in ("127.0.0.1", "::1", "10.0.0.7")]
    assert [(one.store, one.query) for one in here] == [(True, False)] * 3
    assert closed.rights("web", "10.0.0.8") is None
    assert [peer.name for peer in Config(peers=peers, move={"peers": "web"}).move_peers] == ["web"]
    peers["web"]["retrieve"] = "move"
    with pytest.raises(ValidationError, match=r"retrieve: move goes over DIMSE, and needs aetitle"):
        Config(peers=peers, move={"peers": ["web"]})


def notes(peer, *, name="viewer", node="{}", find="{}", more=""):
    written = f"{name}: {{aetitle: VIEWER, host: h, port: 104, {peer}}}"
    text = f"node: {node}\nfind: {find}\npeers:\n  {written}\n{more}"
    path = Path("node.yaml")
    path.write_text(text)
    return [note for note in load(path, environ={}).notes if "send as" not in note]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


PACS = "  pacs: {aetitle: PACS, host: h, port: 104}\n"
RIGHT = "; right if viewer calls itself so as well"


@pytest.mark.parametrize(
    ("rights", "note"),
    [
        ("may_query: [VIEWER], may_retrieve: VIEWER, may_commit: VIEWER", None),
        ("may_store: [WS], may_query: [WS]", None),
        (
            "may_query: VIEWR",
            f"may_query: no peer has the AE title VIEWR (did you mean 'VIEWER'?){RIGHT}",
        ),
        (
            "may_query: X, may_retrieve: X",
            f"may_query, may_retrieve: no peer has the AE title X{RIGHT}",
        ),
        (
            "may_retrieve: viewer",
            f"may_retrieve: no peer has the AE title viewer; peers.viewer has VIEWER{RIGHT}",
        ),
        ('may_commit: "*"', "may_commit: * stands for no others: each AE title has to be named"),
        ("may_query: PACS", "may_query: PACS is not its own AE title, but that of peers.pacs"),
        (
            "only_modalities: [CTT]",
            "only_modalities: the standard has no modality CTT (PS3.3 C.7.3.1.1.1)"
            " (did you mean 'CT'?)",
        ),
    ],
)
def test_rights_that_nobody_may_have_are_noted(folder, rights, note):
    assert notes(rights, more=PACS) == ([f"peers.viewer.{note}"] if note else [])


def test_rights_without_effect_are_noted(folder):
    assert notes("may_query: VIEWER", node="{allowed_calling: [PACS]}") == [
        "peers.viewer.may_query: VIEWER may not call at all: it is not in node.allowed_calling"
    ]
    web = "  web: {url: 'https://pacs.example.org', may_query: [WEB]}\n"
    assert notes("", more=web) == [
        "peers.web.may_query: without its aetitle it has no rights; it has a url alone"
    ]
    (note,) = notes("", name="here")
    assert note.startswith("peers.here: `query here` asks that peer, ")


def test_a_viewer_that_is_asked_by_every_cycle_is_noted(folder):
    every, rights = "{every: 1h}", "may_query: VIEWER"
    assert notes(rights, find=every, more=PACS) == [
        "peers.viewer may ask this node, and find.every asks all peers: if it only asks, say whom:"
        " find.peers: [pacs]"
    ]
    (alone,) = notes(rights, find=every)
    assert alone.endswith("if it only asks, leave find.every out")
    assert notes(rights, more=PACS) == []
    assert notes(rights, find="{every: 1h, peers: [pacs]}", more=PACS) == []
    assert notes(f"{rights}, profile: {{cap: 100}}", find=every, more=PACS) == []
    assert notes("", find=every, more=PACS) == []
