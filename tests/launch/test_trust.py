"""Who may open studies here: the user's own servers, remembered origins, nobody else without a question."""

import stat
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.errors import AuthenticationError, InvalidInput, LaunchError
from dicomdock.launch.link import LaunchRequest, parse
from dicomdock.launch.trust import (
    Allowed,
    Ask,
    ChooseServer,
    Decision,
    JustRefused,
    Question,
    QuestionBox,
    Refused,
    TrustedOrigin,
    TrustStore,
    decide,
    request_profile,
    use_server,
)
from dicomdock.transfer.linked import connect_link
from dicomdock.web.url import literal, reach
from tests.servers.canned import Answer, answering

HOSPITAL = ServerProfile("hospital", "https://pacs.test/dicom-web/", Login("basic", "al"), ca_file="/ca.pem")


def link(endpoint: str, token: str = "t0k", study: str = "1.2") -> LaunchRequest:
    text = f"slicer://viewer/?studyUID={study}&access_token={token}&dicomweb_endpoint="
    return parse(text + quote(endpoint, safe=""))


def nowhere(host: str, port: int) -> list[str]:
    raise AssertionError("nothing may be looked up before the user agreed")


def public(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> TrustStore:
    return TrustStore(settings, tmp_path / "etc-trust.toml")


def asked(decision: Decision) -> Question:
    assert isinstance(decision, Ask), decision
    return decision.question


def test_an_unknown_origin_is_asked_about_before_any_byte_is_sent(store: TrustStore) -> None:
    request = link("https://PACS.example:8443/dw")
    question = asked(decide(request, [HOSPITAL], store, resolve=nowhere))
    assert (question.scheme, question.host, question.port) == ("https", "pacs.example", 8443)
    assert (question.origin, question.resources, question.warnings) == ("https://pacs.example:8443", 1, ())
    decision = decide(request, [HOSPITAL], store, agreed=question, resolve=public)
    assert isinstance(decision, Allowed)
    assert decision.profile == ServerProfile("pacs.example:8443", "https://pacs.example:8443/dw")
    assert not decision.stored_login
    assert decision.addresses == ("93.184.216.34",)
    # Once is once, and for that origin only.
    assert isinstance(decide(request, [], store, resolve=nowhere), Ask)
    assert isinstance(decide(link("https://other.example"), [], store, agreed=question, resolve=nowhere), Ask)


def test_a_remembered_origin_passes(store: TrustStore) -> None:
    store.add("pacs.example:8443")
    decision = decide(link("https://pacs.example:8443/any/path"), [], store, resolve=lambda *_: ["10.0.0.7"])
    assert isinstance(decision, Allowed)
    assert isinstance(decide(link("https://pacs.example/any/path"), [], store, resolve=nowhere), Ask)


def test_the_users_own_server_gets_its_login_and_a_link_with_a_token_does_not(store: TrustStore) -> None:
    without = decide(link("https://pacs.test/dicom-web", token=""), [HOSPITAL], store, resolve=nowhere)
    assert without == Allowed(HOSPITAL, stored_login=True)
    decision = decide(link("https://pacs.test/dicom-web"), [HOSPITAL], store, resolve=nowhere)
    assert decision == Allowed(replace(HOSPITAL, login=Login()), stored_login=False)


@pytest.mark.parametrize(
    "endpoint", ["https://pacs.test/other", "https://pacs.test", "https://pacs.test/dicom-web/x"]
)
def test_another_address_on_the_same_host_is_asked_about_and_gets_no_stored_login(
    store: TrustStore, endpoint: str
) -> None:
    """Cloud hosts are shared by everybody's projects: the origin alone does not make it the user's server."""
    question = asked(decide(link(endpoint, token=""), [HOSPITAL], store, resolve=nowhere))
    decision = decide(link(endpoint, token=""), [HOSPITAL], store, agreed=question, resolve=public)
    assert isinstance(decision, Allowed)
    assert (decision.stored_login, decision.profile.login) == (False, Login())
    assert decision.profile.name != HOSPITAL.name


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://pacs.test/dicom-web",
        "https://pacs.test:444/dicom-web",
        "https://pacs.test.evil.example/dicom-web",
    ],
)
def test_a_look_alike_of_the_users_server_never_gets_its_login(store: TrustStore, endpoint: str) -> None:
    store.add(endpoint)
    decision = decide(link(endpoint, token=""), [HOSPITAL], store, resolve=public)
    assert isinstance(decision, Allowed)
    assert (decision.stored_login, decision.profile.login) == (False, Login())


def test_http_needs_loopback_or_the_users_word(store: TrustStore) -> None:
    decision = decide(link("http://pacs.lan:8042/dw"), [], store, resolve=nowhere)
    assert isinstance(decision, Refused)
    assert "dicomdock trust add http://pacs.lan:8042" in decision.reason
    store.add("http://pacs.lan:8042")
    assert isinstance(decide(link("http://pacs.lan:8042/dw"), [], store, resolve=public), Allowed)
    for host in ("127.0.0.1", "localhost", "[::1]", "orthanc.localhost"):
        question = asked(decide(link(f"http://{host}:8042/dw"), [], store, resolve=nowhere))
        (warning,) = question.warnings
        assert "this machine itself" in warning
        decision = decide(link(f"http://{host}:8042/dw"), [], store, agreed=question, resolve=nowhere)
        assert isinstance(decision, Allowed)
        assert decision.addresses == (("127.0.0.1", "::1") if "localhost" in host else None)


def test_the_connection_goes_to_the_addresses_that_were_judged(settings: Settings, store: TrustStore) -> None:
    """A name server that gives another address a moment later gains nothing: it is not asked again."""
    with answering(lambda _: Answer(200, b"[]", {"Content-Type": "application/dicom+json"})) as server:
        endpoint = server.url.replace("127.0.0.1", "pacs.test")
        store.add(endpoint)
        request = link(endpoint)
        looked_up: list[str] = []
        decision = decide(request, [], store, resolve=lambda host, _: looked_up.append(host) or ["127.0.0.1"])
        assert isinstance(decision, Allowed)
        with connect_link(request, decision, settings) as client:
            list(client.search(Query("studies", {"StudyInstanceUID": "1.2"})))
        assert server.asked[0].headers["Authorization"] == "Bearer t0k"
        assert looked_up == ["pacs.test"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_link_whose_token_is_refused_says_what_helps(
    settings: Settings, store: TrustStore, status: int
) -> None:
    with answering(lambda _: Answer(status)) as server:
        store.add(server.url)
        request = link(server.url)
        decision = decide(request, {}, store)
        assert isinstance(decision, Allowed)
        with (
            connect_link(request, decision, settings) as client,
            pytest.raises(AuthenticationError) as caught,
        ):
            list(client.search(Query("studies")))
    remedy = "this link has expired: go back to the page that it came from and click it again"
    assert remedy in str(caught.value)
    assert "t0k" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
     "[2002:a9fe:a9fe::]", "[::169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16",
     "0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "169.254.0.1."],
)  # fmt: skip
def test_addresses_that_are_never_a_server_are_refused_even_if_listed(store: TrustStore, host: str) -> None:
    store.add(f"https://{host}")
    assert isinstance(decide(link(f"https://{host}/dw"), [], store, resolve=nowhere), Refused)


@pytest.mark.parametrize(
    "host",
    [
        *("2852039166", "0xa9fea9fe", "0xA9.254.1.1", "0251.0376.1.1", "169.254.43518", "127.1"),
        *("１６９.254.169.254", "169。254。169。254"),
    ],
)
def test_addresses_in_disguise_are_not_even_read(host: str) -> None:
    with pytest.raises(LaunchError, match="unusual way"):
        link(f"http://{host}/dw")


def test_http_on_the_users_own_host_is_warned_about(store: TrustStore) -> None:
    own = ServerProfile("old", "http://pacs.lan/dw")
    question = asked(decide(link("http://pacs.lan/other"), [own], store, resolve=nowhere))
    assert question.warnings == (
        "The connection is not encrypted: others on the way can read the study and the link's token.",
    )


def test_private_addresses_are_asked_about_by_name(store: TrustStore) -> None:
    question = asked(decide(link("https://192.168.1.20/dw"), [], store, resolve=nowhere))
    assert question.private == ("192.168.1.20",)
    assert question.warnings[0].startswith("192.168.1.20 is an address of your own network")


def test_a_name_that_stands_for_a_private_address_is_asked_about_again(store: TrustStore) -> None:
    request = link("https://innocent.example/dw")
    first = asked(decide(request, [], store, resolve=nowhere))
    second = asked(decide(request, [], store, agreed=first, resolve=lambda *_: ["10.0.0.7"]))
    assert second.private == ("10.0.0.7",)
    assert second.warnings[-1].startswith("innocent.example stands for 10.0.0.7, an address of your own")
    assert isinstance(decide(request, [], store, agreed=second, resolve=lambda *_: ["10.0.0.7"]), Allowed)
    assert isinstance(decide(request, [], store, agreed=second, resolve=lambda *_: ["10.0.0.8"]), Ask)


def test_a_name_that_stands_for_a_metadata_service_is_refused(store: TrustStore) -> None:
    store.add("https://rebind.example")
    decision = decide(
        link("https://rebind.example"), [], store, resolve=lambda *_: ["93.184.216.34", "169.254.169.254"]
    )
    assert isinstance(decision, Refused)


def test_foreign_letters_are_shown_as_punycode_and_reported(store: TrustStore) -> None:
    question = asked(decide(link("https://pаcs.test/dw"), [], store, resolve=nowhere))  # a Cyrillic a
    assert question.host == "xn--pcs-6cd.test"
    assert "imitate" in question.warnings[0]


def test_a_link_without_a_server_needs_a_choice(store: TrustStore) -> None:
    request = parse("https://pacs.test/viewer?StudyInstanceUIDs=1.2")
    cloud = ServerProfile("cloud", "https://cloud.test")
    assert decide(request, [cloud, HOSPITAL], store) == ChooseServer(
        ("hospital", "cloud"), "https://pacs.test:443", ("hospital",)
    )
    assert isinstance(decide(request, [], store), Refused)
    assert use_server(request, HOSPITAL) == Allowed(HOSPITAL, stored_login=True)


def test_a_server_that_cannot_send_a_whole_study_is_asked_for_instances(store: TrustStore) -> None:
    request = parse("slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://a.test&bulk_retrieve=0")
    assert request_profile(request).dialect.retrieve_level == "instance"


def test_the_store_keeps_lists_and_revokes(settings: Settings, store: TrustStore) -> None:
    assert store.origins() == ()
    assert store.add("PACS.example.org") == "https://pacs.example.org:443"
    store.add("https://pacs.example.org:443/some/path")
    store.add("http://[::1]:8042")
    assert [entry.origin for entry in store.origins()] == [
        "https://pacs.example.org:443",
        "http://[::1]:8042",
    ]
    assert stat.S_IMODE((settings.config / "trust.toml").stat().st_mode) == 0o600
    assert TrustStore(settings, store.system).trusts("https://pacs.example.org:443")
    assert store.revoke("pacs.example.org")
    assert not store.revoke("pacs.example.org")
    assert [entry.origin for entry in store.origins()] == ["http://[::1]:8042"]
    for bad in ("", "*", "file:///etc", "https://a b", "https://user@host"):
        with pytest.raises(InvalidInput):
            store.add(bad)


def test_a_preset_for_the_machine_counts_and_is_not_the_users_to_revoke(store: TrustStore) -> None:
    store.system.write_text('allow = ["https://portal.example", "https://portal.example"]\n')
    assert store.origins() == (TrustedOrigin("https://portal.example:443", "system"),)
    with pytest.raises(LaunchError, match="administrator"):
        store.revoke("https://portal.example")


@pytest.mark.parametrize("text", ["allow = 3", "allow = [3]", 'allow = ["*"]', "allow = [", "\xff"])
def test_a_broken_list_stops_links_instead_of_letting_them_pass(store: TrustStore, text: str) -> None:
    store.system.write_text(text, "latin-1")
    with pytest.raises(LaunchError, match=r"etc-trust\.toml"):
        decide(link("https://a.test"), [], store)


def ask(origin: str) -> Ask:
    return Ask(Question(origin, "https", origin[8:], 443, 1))


def test_a_flood_makes_one_question() -> None:
    box = QuestionBox()
    for number in range(20):
        box.put(ask("https://a.test"), link("https://a.test", study=f"1.{number}"))
    for token in ("old", "new"):
        box.put(ask("https://a.test"), link("https://a.test", token, study="1.19"))
    with pytest.raises(LaunchError, match="Too many"):
        box.put(ask("https://a.test"), link("https://a.test", study="1.20"))
    (question,) = box.waiting()
    assert len(question.requests) == 20
    assert isinstance(question.decision, Ask)
    assert question.decision.question.resources == 20
    assert question.requests[-1].token == link("https://a.test", "new").token
    assert box.take(question.key) == question
    assert box.take(question.key) is None


def test_questions_about_many_servers_are_bounded() -> None:
    box = QuestionBox()
    for number in range(8):
        box.put(ask(f"https://{number}.test"), link(f"https://{number}.test"))
    with pytest.raises(LaunchError, match="Too many"):
        box.put(ask("https://9.test"), link("https://9.test"))
    assert len(box.waiting()) == 8


def test_a_refused_server_is_quiet_for_a_minute() -> None:
    now = [0.0]
    box = QuestionBox(lambda: now[0])
    box.put(ask("https://a.test"), link("https://a.test"))
    box.take("https://a.test", refused=True)
    with pytest.raises(LaunchError, match="just refused"):
        box.put(ask("https://a.test"), link("https://a.test"))
    now[0] = 61
    assert box.put(ask("https://a.test"), link("https://a.test")).requests


def test_a_refusal_can_be_taken_back() -> None:
    box = QuestionBox(lambda: 0.0)
    for study in ("1.1", "1.2"):
        box.put(ask("https://a.test"), link("https://a.test", study=study))
    refused = box.take("https://a.test", refused=True)
    assert refused is not None
    with pytest.raises(JustRefused) as caught:
        box.put(ask("https://a.test"), link("https://a.test"))
    assert caught.value.key == refused.key
    assert box.ask_again(refused) == refused
    assert box.waiting() == (refused,)


def test_kinds_of_addresses() -> None:
    import ipaddress

    kinds = {"8.8.8.8": "public", "10.1.2.3": "private", "100.64.0.1": "private",
             "127.9.9.9": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback", "fd12::1": "private",
             "2606:4700::1": "public", "::ffff:10.0.0.1": "private"}  # fmt: skip
    assert {text: reach(ipaddress.ip_address(text)) for text in kinds} == kinds
    assert literal("pacs.test") is None
