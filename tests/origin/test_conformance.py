"""The conformance statement is what the program does."""

from dicomdock.origin.app import routes
from dicomdock.origin.conformance import main, table, updated
from dicomdock.origin.paths import Paths
from tests.conftest import PROJECT

PAGE = PROJECT / "docs" / "conformance.md"


def test_the_page_is_up_to_date():
    page = PAGE.read_text("utf-8")
    assert page == updated(page), "run: python -m dicomdock.origin.conformance docs/conformance.md"


def test_an_old_page_is_brought_up_to_date(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8").replace(table(), "| old |\n"), "utf-8")
    main([str(page)])
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")


def test_every_route_is_in_the_table():
    (paths,) = routes(lambda: None)
    assert isinstance(paths, Paths)
    for path, answers in paths.answers.items():
        shown = path.removeprefix("/dicom-web").replace(":path", "")
        for method in answers.keys() - {"HEAD"}:
            assert f"| {method} | `{shown}` |" in table()
