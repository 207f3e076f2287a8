"""Cohorts of a bucket: its series by the heads of their objects, and their way into the archive."""

from __future__ import annotations

import itertools
import os.path
from dataclasses import dataclass, field, replace

from dicomdock.archive import Archive
from dicomdock.archive.storage.bucket import Bucket, BucketObject
from dicomdock.cohort.makers import FIELDS, Made, few
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import OBJECT_STORES, checked_url
from dicomdock.config.validation import Wrong
from dicomdock.dicom.charset import decode_text
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.header import CHARSET, Header, Wanted
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound, WireError

_WANTED = Wanted.of(FIELDS[:3])


@dataclass
class _Series:
    item: Item
    prefix: str
    instances: set[str] = field(default_factory=set)


def is_bucket(address: str) -> bool:
    """Return whether an address is one of an object store."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme in OBJECT_STORES


def from_bucket(url: str) -> Made:
    """List the series of a bucket; of each object a few kilobytes are read.

    Parameters
    ----------
    url : ``s3://BUCKET/PREFIX``, ``gs://`` or ``az://``, which names no credentials.

    Raises
    ------
    NotFound
        It holds no DICOM file.
    InvalidInput
        The URL cannot be one.
    ArchiveError
        There is no such bucket, it cannot be reached, or refused.
    """
    root, below = _parts(url)
    made = Made()
    found: dict[Resource, _Series] = {}
    others: list[str] = []
    for one in Bucket(root).objects(below, _WANTED):
        resource = _series_of(one)
        if resource is None or one.header is None:
            if not one.key.endswith("/") and one.size:  # what consoles write as a folder
                others.append(f"{root}/{one.key} is not a DICOM instance.")
            continue
        folder = os.path.dirname(one.key)  # noqa: PTH120 - a key, no path
        series = found.setdefault(resource, _Series(_item(resource, root, one.header), folder))
        series.prefix = _common(series.prefix, folder)
        series.instances.add(one.header.resource().instance or "")
    for series in found.values():
        made.add(replace(series.item, instances=len(series.instances), prefix=series.prefix))
    made.problems.extend(few(others))
    if not made.items:
        raise NotFound(" ".join((f"{url} holds no DICOM instance.", *made.problems)))
    return made


def copied(bucket: Bucket, archive: Archive, item: Item) -> Outcome:
    """Copy the instances of a series that the archive does not have, each verified to be whole.

    Raises
    ------
    NoSpace
        The disk is full.
    ArchiveError
        The bucket or the archive cannot be used.
    """
    present, met = set(archive.present(item.resource)), set[str]()
    failures, remarks = list[str](), list[str]()
    received = size = 0
    with archive.writer(origin=bucket.url) as writer:
        for one in bucket.objects(item.prefix):
            if _series_of(one) != item.resource or one.header is None:
                continue
            instance = one.header.resource().instance or ""
            if instance in present and instance not in met:
                met.add(instance)
                continue
            try:
                result = writer.add(bucket.part(one), item.resource)
            except WireError as error:
                failures.append(f"{bucket.url}/{one.key}: {error}")
                continue
            if result.status == "conflict":
                other = f"has the UID of another file, {instance}; it was not stored."
                remarks.append(f"{bucket.url}/{one.key} {other}")
                continue
            met.add(instance)
            remarks.extend(f"{bucket.url}/{one.key} is stored. {remark}" for remark in result.remarks)
            received += result.status != "identical"
            size += result.size
        writer.flush()
    count = len(archive.present(item.resource))
    counts = {"instances": count, "received": received, "bytes": size}
    if not count and not failures:
        failures.append(f"{bucket.url}/{item.prefix} does not hold it.")
    elif not failures and count < (item.instances or 0):
        failures.append(f"The bucket holds {count} of its {item.instances} instances.")
    said = " ".join((*few(failures), *few(remarks)))
    return Outcome(item.resource, "failed" if failures else "done", said, counts)


def _parts(url: str) -> tuple[str, str]:
    """Return the URL of the bucket, and the prefix."""
    try:
        scheme, _, rest = checked_url(url).partition("://")
    except Wrong:
        raise InvalidInput(
            "A bucket is named as s3://BUCKET/PREFIX, gs:// or az://; credentials belong in the environment."
        ) from None
    bucket, _, below = rest.partition("/")
    return f"{scheme}://{bucket}", below


def _series_of(one: BucketObject) -> Resource | None:
    if one.header is None:
        return None
    resource = one.header.resource()
    return Resource(resource.study, resource.series)


def _item(series: Resource, server: str, header: Header) -> Item:
    charset = header.raw.get(CHARSET, b"")
    values = [header.raw.get(int(tag_of(keyword), 16), b"") for keyword in FIELDS[:3]]
    patient, modality, description = (decode_text(one, "LO", charset).strip(" \0") for one in values)
    return Item(series, server, patient, modality, description)


def _common(one: str, two: str) -> str:
    """Return the folder that two folders lie in."""
    return "/".join(
        first
        for first, second in itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(one.split("/"), two.split("/"), strict=False)
        )
    )
