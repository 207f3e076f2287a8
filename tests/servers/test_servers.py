"""The real servers start, let in whom they should, and can be emptied."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.builders import ct_series
from tests.conftest import unavailable
from tests.servers import canned, nginx
from tests.servers.orthanc import Orthanc
from tests.servers.tiny_pacs import TinyPacs

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("which", ["orthanc", "orthanc_next"])
def test_orthanc_keeps_what_it_is_given_and_can_be_emptied(request: pytest.FixtureRequest, which: str):
    server: Orthanc = request.getfixturevalue(which)
    assert server.instance_count() == 0
    made = ct_series(2)
    server.add(*(instance.data for instance in made))
    assert server.stored_bytes(made[0].instance) == made[0].data
    asked = urllib.request.Request(f"{server.url}/studies", headers=server.headers)
    with urllib.request.urlopen(asked) as answer:
        assert made[0].study.encode() in answer.read()
    server.clean()
    assert server.instance_count() == 0


def test_orthanc_asks_for_a_login(orthanc: Orthanc):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{orthanc.url}/studies")
    caught.value.close()
    assert caught.value.code == 401


def test_tiny_pacs_answers_an_empty_search_with_204(tiny_pacs: TinyPacs):
    with urllib.request.urlopen(f"{tiny_pacs.url}/studies") as answer:
        assert answer.status == 204


def test_nginx_stands_before_another_server(tmp_path):
    if nginx.missing():
        unavailable("nginx", nginx.missing())
    with (
        canned.answering(lambda request: canned.Answer(body=request.path.encode())) as behind,
        nginx.before(behind.url, tmp_path, inside='add_header X-Gate "nginx";') as url,
        urllib.request.urlopen(f"{url}/dicom-web/studies?limit=1") as answer,
    ):
        assert answer.headers["X-Gate"] == "nginx"
        assert answer.read() == b"/dicom-web/studies?limit=1"
