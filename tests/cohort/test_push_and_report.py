"""A cohort is sent, and a page says what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock import Archive, archive, connect
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part
from dicomdock.transfer.deidentified import make_deidentifier
from tests.builders import ct_series
from tests.origin.running import serving
from tests.transfer.conftest import ended

SERIES = [Resource("1.2.777.1", f"1.2.777.1{number}") for number in (1, 2)]
AWAY = Resource("1.2.777.1", "1.2.777.13")


@pytest.mark.slow
def test_a_cohort_is_sent_as_it_is_and_as_copies_and_reported(settings: Settings, tmp_path: Path):
    other = replace(settings, archive=tmp_path / "server", state=tmp_path / "server-state")
    key = tmp_path / "key"
    key.write_text("0" * 64)
    deidentifier = make_deidentifier(settings, "basic", key)
    with archive.Archive.open(other) as there, serving(there) as server, Archive.open(settings) as here:
        load_profiles(settings).with_profile(ServerProfile("trial", server.url)).save(settings)
        with here.writer() as writer:
            for series in SERIES:
                made = ct_series(2, StudyInstanceUID=series.study, SeriesInstanceUID=series.series)
                for one in made:
                    writer.add(Part("application/dicom", lambda data=one.data: iter((data,))))
        items = [Item(one, "", "<b>Doe</b>", "CT", "<script>alert(1)</script>") for one in (*SERIES, AWAY)]
        Cohorts(settings).save("c", items, {})
        cohort = here.cohort("c")
        with connect("trial", settings) as client:
            copies = ended(cohort.pushing(client, deidentifier=deidentifier))
        assert [one.state for one in copies.outcomes] == ["done", "done", "failed"]
        assert all(there.present(deidentifier.resource(one)) for one in SERIES)
        assert not any(there.present(one) for one in SERIES)
        with connect("trial", settings) as client:
            assert ended(cohort.pushing(client)).count("done") == 2
        assert all(there.present(one) == here.present(one) for one in SERIES)
        with connect("trial", settings) as client:
            assert ended(cohort.pushing(client)).now == 1  # that which is not here

        page = tmp_path / "report.html"
        cohort.report(page)
        text = page.read_text("utf-8")
        assert "<script" not in text
        assert "<b>Doe" not in text
        assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
        assert text.count("data:image/jpeg;base64,") == 2
        assert text.count("It is not in the archive; pull the cohort first.") == 2  # one row in each task
        assert '<td>push trial basic</td><td class="number">2</td><td class="number">1</td>' in text
        with pytest.raises(InvalidInput, match="exists already"):
            cohort.report(page)
