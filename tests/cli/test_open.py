"""``open``: a link's study comes here, from the server it may be asked of, with the login that is meant."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.builders import ct_series
from tests.servers.nginx import before
from tests.servers.orthanc import Orthanc


def slicer_link(endpoint: str, study: str, token: str = "") -> str:
    link = f"slicer://viewer/?studyUID={study}&dicomweb_endpoint={quote(endpoint, safe='')}"
    return f"{link}&access_token={token}" if token else link


@pytest.fixture
def study(orthanc: Orthanc) -> str:
    made = ct_series(2)
    orthanc.add(*(instance.data for instance in made))
    return made[0].study


@pytest.fixture
def portal(orthanc: Orthanc, tmp_path):
    """Yield the address of a server that is opened by the token of its links, and by nothing else."""
    login = orthanc.headers["Authorization"]
    folder = tmp_path / "nginx"
    folder.mkdir()
    gate = 'if ($http_authorization != "Bearer t0ken") { return 401; }'
    with before(orthanc.root, folder, inside=f'{gate}\nproxy_set_header Authorization "{login}";') as url:
        yield f"{url}/dicom-web"


def test_a_link_to_a_known_server_uses_its_login(run, hospital, study):
    opened = run("open", slicer_link(hospital.url, study), "--no-view")
    assert opened.code == 0, opened.err
    assert f"{study} is in" in opened.out
    assert run("list", "--json").json["matches"][0]["StudyInstanceUID"] == study


def test_a_link_from_a_site_nobody_knows_is_not_followed(run, portal, study):
    refused = run("open", slicer_link(portal, study, "t0ken"))
    assert refused.code == 1
    assert "--yes" in refused.err
    assert run("list", "--json").json["matches"] == []


def test_a_token_opens_what_its_link_names(run, portal, study, home):
    opened = run("open", "-", "--yes", "--json", stdin=slicer_link(portal, study, "t0ken"))
    assert opened.code == 0, opened.err
    assert opened.json["instances"]["received"] == 2
    assert "t0ken" not in opened.out + opened.err
    held = [path for path in home.rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()]
    assert held == []


def test_a_token_that_opens_nothing_is_reported(run, portal, study):
    refused = run("open", slicer_link(portal, study, "0ther"), "--yes")
    assert refused.code == 4
    assert "0ther" not in refused.err


def test_a_link_without_a_server_asks_the_default_one(run, hospital, study):
    opened = run("open", f"https://viewer.example/viewer?StudyInstanceUIDs={study}")
    assert opened.code == 0, opened.err
    assert "hospital" in opened.err


@pytest.mark.parametrize(
    "link", ["", "slicer://viewer/", "mailto:alice@example.org", "slicer://viewer/?studyUID=../1"]
)
def test_what_is_not_a_link_is_refused(run, link):
    refused = run("open", link)
    assert refused.code in (1, 2)
    assert refused.err.strip()
