"""The links that the documentation shows are links that we open."""

import html
import json
import re
import tomllib
from pathlib import Path

import pytest

from dicomdock.launch.link import parse

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("link", blocks("links.md", "text")[0].splitlines())
def test_the_examples_are_opened(link: str) -> None:
    request = parse(link)
    assert request.resources or request.options.find or request.token


def test_the_preset_is_toml() -> None:
    assert tomllib.loads(blocks("links.md", "toml")[0])["allow"]


def test_a_page_of_ones_own() -> None:
    (page,) = blocks("portals.md", "html")
    href = html.unescape(page.split('href="')[1].split('"')[0])
    request = parse(href)
    assert request.endpoint == "https://pacs.example.org/dicom-web"
    assert request.token is not None


def test_orthanc_explorers_buttons() -> None:
    plain, with_token = map(json.loads, blocks("portals.md", "json"))
    (button,) = plain["OrthancExplorer2"]["UiOptions"]["CustomButtons"]["study"]
    for url, token in ((button["Url"], None), (with_token["Url"], "t0k"), (with_token["Url"], "undefined")):
        link = url.replace("{StudyInstanceUID}", "1.2.3")
        link = link.replace("{study-resource-token/viewer-instant-link}", str(token))
        request = parse(link)
        assert request.endpoint == "https://pacs.example.org/orthanc/dicom-web"
        assert (request.token is not None) == (token == "t0k")


def test_dcm4chees_property() -> None:
    (block,) = blocks("portals.md", "properties")
    properties = dict(line.split("=", 1) for line in block.splitlines())
    link = properties["IID_STUDY_URL"]
    for name, value in {
        "studyUID": "1.2.3",
        "qidoBaseURL": "https://arc.test:8443",
        "qidoBasePath": "/dcm4chee-arc/aets/DCM4CHEE/rs",
    }.items():
        link = link.replace("{{" + name + "}}", value)
    assert (
        parse(link.replace("{{access_token}}", "a.b-c")).endpoint
        == "https://arc.test:8443/dcm4chee-arc/aets/DCM4CHEE/rs"
    )
    assert parse(link.replace("{{access_token}}", "access_token")).token is None
    assert parse(link).token is None
    assert properties["IID_URL_TARGET"] == "_self"
