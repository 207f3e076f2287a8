"""What the tests of storing send, and read of the results."""

import json
from dataclasses import replace

from dicomdock.sources import Part
from tests.dicomweb.awkward import JSON, Answer


def part(instance, *, known=True):
    """Return an instance as it comes from the wire: once."""
    chunks = iter([instance.data[:100], instance.data[100:]])
    return Part("application/dicom", lambda: chunks, resource=instance.resource if known else None)


def by_uid(results):
    """Return the results by SOP Instance UID."""
    return {result.sop_instance_uid: result for result in results}


def statuses(results, instances):
    """Return what became of each instance."""
    found = by_uid(results)
    assert len(found) == len(instances)
    return [found[one.instance].status for one in instances]


def item(instance, **reason):
    """Return an item of a store response, with the code of its ``failure`` or ``warning``."""
    tags = {"failure": "00081197", "warning": "00081196"}
    value = {"00081155": {"vr": "UI", "Value": [instance.instance]}}
    value.update({tags[name]: {"vr": "US", "Value": [code]} for name, code in reason.items()})
    return value


def store_answer(stored=(), failed=(), others=(), status=200):
    """Return an answer to a store, of such items."""
    body = {}
    for tag, items in (("00081199", stored), ("00081198", failed), ("0008119A", others)):
        if items:
            body[tag] = {"vr": "SQ", "Value": list(items)}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": JSON})


def small(settings, count=2):
    """Return settings whose batches hold so many small instances."""
    return replace(settings, store_batch=count * 2100, store_workers=2)
