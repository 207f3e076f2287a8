"""The archive in a bucket of a gateway that keeps objects as files in folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.cohort.bucket import from_bucket
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotFound
from tests.builders import ct_series, mr_series, write
from tests.conftest import unavailable
from tests.servers import s3
from tests.servers.s3 import S3

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    if not s3.GATEWAY.exists():
        unavailable("JuiceFS", s3.INSTALL_GATEWAY)
    folder = tmp_path / "gateway"
    folder.mkdir()
    with s3.running_gateway(folder) as server:
        for name, value in {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}.items():
            monkeypatch.setenv(name, value)
        yield server


def test_nothing_is_lost_and_nothing_is_left(gateway: S3, settings: Settings, tmp_path: Path) -> None:
    stored = replace(settings, object_store=f"s3://{s3.BUCKET}/some/prefix")
    series, other = ct_series(5), mr_series(2)
    study = Resource(series[0].study)
    write(tmp_path / "in", [*series, *other])
    with Archive.open(stored) as archive:
        for _ in range(2):  # what was removed can come again
            *_, report = archive.import_paths([tmp_path / "in"])
            assert report.failed == ()
            assert [b"".join(one.chunks()) for one in archive.retrieve(study)] == [one.data for one in series]
            assert Counter(one.status for one in archive.verify()) == {"intact": 7}
            assert len(from_bucket(f"s3://{s3.BUCKET}/some").items) == 2
            assert archive.remove(study) == 5
            assert Counter(one.status for one in archive.verify()) == {"intact": 2}
        archive.remove(Resource(other[0].study))
        assert list(archive.verify()) == []
    with pytest.raises(NotFound):
        from_bucket(f"s3://{s3.BUCKET}")
    with Archive.open(replace(stored, state=tmp_path / "another")) as archive:  # with an index of its own
        assert list(archive.verify()) == []
