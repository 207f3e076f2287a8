"""Programs that know nothing of us and follow PS3.18."""

from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicomtrolley.core import Query, QueryLevels
from dicomtrolley.qido_rs import QidoRS
from dicomtrolley.trolley import Trolley
from dicomtrolley.wado_rs import WadoRS
from dicomtrolley.wado_uri import WadoURI
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.sr.codedict import codes
from requests import Session

from tests import builders


@pytest.fixture
def stored(server):
    stored = builders.ct_series(4, rows=32, columns=48, spacing=(0.5, 0.5))
    server.add(*(made.data for made in stored))
    return stored


@pytest.fixture
def client(server):
    session = Session()
    yield DICOMwebClient(server.url, session=session)
    session.close()


def same(received, stored):
    """The same instances, in any order, with the same pixels."""
    by_uid = {made.instance: made.dataset for made in stored}
    assert sorted(dataset.SOPInstanceUID for dataset in received) == sorted(by_uid)
    for dataset in received:
        assert dataset.PixelData == by_uid[dataset.SOPInstanceUID].PixelData
        assert dataset.PatientName == by_uid[dataset.SOPInstanceUID].PatientName


def test_dicomweb_client_finds_and_retrieves(client, stored):
    study, series, instance = stored[0].study, stored[0].series, stored[0].instance
    (found,) = client.search_for_studies(search_filters={"PatientName": "Doe*"}, fields=["StudyDescription"])
    assert found["0020000D"]["Value"] == [study]
    assert len(client.search_for_series(study)) == 1
    assert len(client.search_for_instances(study, series, limit=3)) == 3
    assert len(client.search_for_instances(study, series, limit=1, get_remaining=True)) == 4
    same(client.retrieve_study(study), stored)
    same(list(client.iter_series(study, series)), stored)
    same([client.retrieve_instance(study, series, instance)], stored[:1])


def test_dicomweb_client_reads_frames_pictures_metadata_and_bulk_data(client, stored):
    named = stored[0].study, stored[0].series, stored[0].instance
    (frame,) = client.retrieve_instance_frames(*named, [1])
    assert frame == stored[0].dataset.PixelData
    picture = Image.open(BytesIO(client.retrieve_instance_rendered(*named, media_types=("image/png",))))
    assert picture.size == (48, 32)
    assert client.retrieve_series_rendered(*named[:2], media_types=("image/jpeg",))[:2] == b"\xff\xd8"
    assert len(client.retrieve_series_metadata(*named[:2])) == 4
    described = client.retrieve_instance_metadata(*named)
    assert described["00080018"]["Value"] == [named[2]]
    assert client.retrieve_bulkdata(described["7FE00010"]["BulkDataURI"]) == [stored[0].dataset.PixelData]
    loaded = pydicom.Dataset.from_json(
        described, bulk_data_uri_handler=lambda uri: bytes(client.retrieve_bulkdata(uri)[0])
    )
    assert loaded.PixelData == stored[0].dataset.PixelData


def test_dicomweb_client_stores_and_deletes(client, server):
    instances = builders.mr_series(3)
    answer = client.store_instances([pydicom.dcmread(BytesIO(made.data)) for made in instances])
    assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == {
        made.instance for made in instances
    }
    assert "FailedSOPSequence" not in answer
    same(client.retrieve_series(instances[0].study, instances[0].series), instances)
    client.delete_instance(instances[0].study, instances[0].series, instances[0].instance)
    assert len(client.search_for_instances(instances[0].study)) == 2
    client.delete_study(instances[0].study)
    assert client.search_for_studies() == []


def test_dicomtrolley_finds_and_downloads(server, stored):
    session = Session()
    trolley = Trolley(
        searcher=QidoRS(session, server.url), downloader=WadoRS(session, server.url, request_per_series=True)
    )
    found = trolley.find_study(Query(PatientName="Doe*", query_level=QueryLevels.INSTANCE))
    same(list(trolley.fetch_all_datasets([found])), stored)
    uri = Trolley(searcher=QidoRS(session, server.url), downloader=WadoURI(session, f"{server.root}/wado"))
    same(list(uri.fetch_all_datasets([found])), stored)
    session.close()


def test_pictures_are_read_as_the_window_says(client, stored):
    named = stored[0].study, stored[0].series, stored[0].instance
    shown = np.asarray(
        Image.open(
            BytesIO(
                client.retrieve_instance_rendered(
                    *named, media_types=("image/png",), params={"window": "-524,1000,linear"}
                )
            )
        )
    )
    values = stored[0].dataset.pixel_array - 1024.0
    expected = np.clip((values + 524.5) / 999 + 0.5, 0, 1) * 255
    assert np.abs(shown - expected).max() <= 1


@pytest.mark.slow
def test_the_requests_of_monai_labels_data_store(client, server, stored):
    """What ``monailabel/datastore/dicom.py`` and ``utils/dicom.py`` ask of a server, by its client."""
    study, series = stored[0].study, stored[0].series
    (image,) = client.search_for_series(search_filters={"Modality": "CT"})
    assert image["0020000E"]["Value"] == [series]
    (meta,) = client.search_for_series(search_filters={"SeriesInstanceUID": series})  # of any study
    info = pydicom.Dataset.from_json(meta)
    assert (info.StudyInstanceUID, info.Modality, info.PatientID) == (
        study,
        "CT",
        stored[0].dataset.PatientID,
    )
    assert info.RetrieveURL == f"{server.url}/studies/{study}/series/{series}"
    same(client.retrieve_series(study, series), stored)
    assert client.search_for_series(search_filters={"Modality": "SEG"}) == []
    mask = np.zeros((4, 32, 48), np.uint8)
    mask[1:3, 8:12, 9:20] = 1
    described = hd.seg.SegmentDescription(
        1, "liver", codes.SCT.Organ, codes.SCT.Liver, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    label = hd.seg.Segmentation(
        [made.dataset for made in stored],
        mask,
        hd.seg.SegmentationTypeValues.BINARY,
        [described],
        series_instance_uid=hd.UID(),
        series_number=300,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="another",
        manufacturer_model_name="another",
        software_versions="1",
        device_serial_number="1",
    )
    answer = client.store_instances([label])
    address = next(value for value in (str(one.value) for one in answer.iterall()) if "/series/" in value)
    assert address.split("/series/")[1].split("/")[0] == label.SeriesInstanceUID
    (found,) = client.search_for_series(search_filters={"Modality": "SEG"})
    (header,) = client.retrieve_series_metadata(study, found["0020000E"]["Value"][0])
    referenced = pydicom.Dataset.from_json(header, lambda _: b"").ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series  # so the data store knows which image is labelled
