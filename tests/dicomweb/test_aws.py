"""AWS signatures, checked by our own reading of the specification, before an imitation of HealthImaging."""

from __future__ import annotations

import hashlib
import hmac
import sys
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from dicomdock.config.dialects import Dialect
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client, connect
from dicomdock.dicomweb.auth import auth_for
from dicomdock.dicomweb.auth.aws import AwsAuth
from dicomdock.errors import AuthenticationError, MissingDependency, ProfileError
from dicomdock.web.transport import Http
from tests.builders import ct_series
from tests.dicomweb.clients import login_fields, parts_of
from tests.servers.canned import Answer, answering
from tests.servers.imitations import Aws

KEY, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token=="
REGION = "eu-west-2"


def signature_is_right(request, secret=SECRET, region=REGION) -> bool:
    """Check a request as AWS does: from what came over the wire, and nothing else."""
    kind, _, rest = request.headers.get("Authorization", "").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return False
    given = dict(pair.strip().split("=", 1) for pair in rest.split(","))
    headers = {name.lower(): " ".join(value.split()) for name, value in request.headers.items()}
    signed = given["SignedHeaders"].split(";")
    date = headers["x-amz-date"]
    scope = f"{date[:8]}/{region}/medical-imaging/aws4_request"
    if given["Credential"] != f"{KEY}/{scope}" or not {"host", "x-amz-date"} <= set(signed):
        return False
    digest = hashlib.sha256(request.body).hexdigest()
    if headers["x-amz-content-sha256"] != digest:
        return False
    url = urlsplit(request.path)
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(url.query, keep_blank_values=True)
    )
    canonical = "\n".join(
        [
            request.method,
            quote(url.path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{headers[name]}" for name in signed),
            "",
            given["SignedHeaders"],
            digest,
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for piece in scope.split("/"):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), given["Signature"])


@dataclass
class SignedAws(Aws):
    """The imitation, for those whose signature is right."""

    every: int = 0
    refused: list = field(default_factory=list)

    def guard(self, request, path):
        if signature_is_right(request):
            return super().guard(request, path)
        self.refused.append(request)
        return Answer(403, b'{"message": "The request signature we calculated does not match"}')


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    """Keep the tests away from the credentials of whoever runs them, and from the machine's role."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws():
    server = SignedAws()
    with answering(server) as canned:
        yield server, f"{canned.url}{Aws.base}"


def profile_at(url, **options):
    dialect = replace(Dialect(), retrieve_level="instance", root_levels=("studies",), single_part=True)
    return ServerProfile("pacs", url, Login("aws", options={"region": REGION, **options}), dialect)


def test_every_request_is_signed(aws, settings):
    server, url = aws
    series = ct_series(3)
    profile = profile_at(url)
    Secrets(settings).set("pacs", profile.origin, f"{KEY}:{SECRET}:{SESSION}")
    with connect(profile, settings) as client:
        assert len(list(client.store(parts_of(series)))) == 3
        pages = list(client.search(Query.from_params("studies", [("PatientName", "Doe^J*"), ("limit", "5")])))
        assert [match for page in pages for match in page.matches]
        whole = Resource(series[0].study, series[0].series)
        found = [b"".join(one.chunks()) for one in client.retrieve(whole)]
        assert sorted(found) == sorted(one.data for one in series)
    assert server.refused == []
    assert {request.headers["X-Amz-Security-Token"] for request in server.asked} == {SESSION}


def test_awkward_addresses_are_signed_as_they_are_sent(settings):
    queries = [
        [("PatientName", "Ruiz^Añá O'Neil*")],
        [("includefield", "b"), ("includefield", "a"), ("PatientID", "")],
        [("x", "a+b/c=d&e,f~g")],
    ]
    with answering(lambda request: Answer(200 if signature_is_right(request) else 403)) as canned:
        profile = profile_at(f"{canned.url}/datastore/1")
        auth = AwsAuth(profile, f"{KEY}:{SECRET}")
        with Http(profile.endpoint, auth, settings.connection) as http:
            for query in queries:
                http.request("GET", "/studies", query=query).close()
            for path in ("/studies/1.2/series/3/instances/4/frames/1,2", "/studies/1.2%20x"):
                http.request("GET", path).close()
    assert len(canned.asked) == 5


def test_a_wrong_key_is_refused_in_words(aws, settings):
    _, url = aws
    client = Client(profile_at(url), settings=settings, auth=AwsAuth(profile_at(url), f"{KEY}:wrong-wrong"))
    with client, pytest.raises(AuthenticationError, match="AWS signature for eu-west-2") as caught:
        list(client.search(Query()))
    assert "wrong-wrong" not in str(caught.value)


@pytest.mark.parametrize("how", ["environment", "file"])
def test_keys_are_found_where_awss_own_tools_keep_them(how, aws, settings, home, monkeypatch):
    server, url = aws
    options = {}
    if how == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    else:
        (home / ".aws").mkdir()
        text = f"[research]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        (home / ".aws/credentials").write_text(text)
        options = {"profile": "research"}
    with connect(profile_at(url, **options), settings) as client:
        list(client.search(Query()))
    assert server.asked
    assert server.refused == []


def test_what_is_missing_is_reported(settings, monkeypatch):
    with pytest.raises(AuthenticationError, match="--aws-profile"):
        auth_for(profile_at("http://127.0.0.1:9"), Secrets(settings), settings)
    with pytest.raises(ProfileError, match="nobody"):
        auth_for(profile_at("http://127.0.0.1:9", profile="nobody"), Secrets(settings), settings)
    with pytest.raises(ProfileError, match="--region"):
        AwsAuth(ServerProfile("pacs", "https://pacs.example", Login("aws")), f"{KEY}:{SECRET}")
    with pytest.raises(ProfileError, match="ACCESS_KEY:SECRET_KEY") as caught:
        AwsAuth(profile_at("http://127.0.0.1:9"), "only-one-thing")
    assert "only-one-thing" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dicomdock\[aws\]'"):
        AwsAuth(profile_at("http://127.0.0.1:9"), f"{KEY}:{SECRET}")


def test_the_address_tells_the_region():
    url = "https://dicom-medical-imaging.us-east-1.amazonaws.com/datastore/0123"
    auth = AwsAuth(ServerProfile("pacs", url, Login("aws")), f"{KEY}:{SECRET}:{SESSION}")
    fields = login_fields(auth, f"{url}/studies")
    assert "/us-east-1/medical-imaging/aws4_request" in fields["Authorization"]
    assert not any(word in repr(auth) + auth.describe() + repr(vars(auth)) for word in (SECRET, SESSION))
