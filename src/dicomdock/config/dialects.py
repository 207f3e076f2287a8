"""Dialect: how a server differs from PS3.18; and the known servers' dialects, as data.

Sources in the comments: OD orthanc-dicomweb, OB Orthanc Book, D4 dcm4chee-arc-light, GC Google's conformance
page, GQ Google's quotas, KH kheops, KD KheopsDocumentation, DS dcmjs dicomweb-server, SW Slicer's WebServer
module, AW AWS HealthImaging's developer guide, AZ Azure's conformance statement v2, IP IDC's proxy policy, SD
Static-DICOMWeb. What they leave open is learned while a client talks to the server (``session``) or by
``probe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal


@dataclass(frozen=True)
class Dialect:
    """A server's habits where servers differ; the defaults are those of PS3.18.

    Parameters
    ----------
    name : which built-in dialect this is, or ``standard``.
    key_style : how matching keys and fields are written in a query.
    wildcard : ``*`` and ``?`` are understood; else they are filtered locally.
    question_mark : ``?`` is understood where ``*`` is; else it is filtered locally.
    fuzzy : fuzzymatching is understood.
    order : orderby, which is not part of PS3.18, is honoured; ``sorts`` lists the attributes.
    offset : offset is honoured; else one page is all there is.
    page_limit : the most matches to ask for at once, by level (studies, series, instances).
    short_page_ends : a page shorter than asked for, without a warning, is known to be the last.
    match_keys : the matching keys that are honoured; others are filtered locally. Empty for all of PS3.18.
    value_lists : how several values of one key are written; ``none`` where each must be asked for alone.
    uid_lists : several UIDs may be asked for at once; else each alone.
    encoded_comma : a comma that is percent-encoded belongs to the value; else every comma divides values.
    encoded_characters : what is percent-encoded in a value (blanks, letters beyond ASCII) is decoded; else a
        wildcard stands for it.
    study_instances : the instances of a whole study can be listed at once; else series by series.
    nothing_found : HTTP statuses, besides 204 and 404, by which a search answers that nothing matches.
    fields : how includefield is written: repeated, comma list, or never sent.
    root_levels : levels that can be searched without naming the study.
    retrieve_level : the highest level that one request can retrieve; ``instance`` is ``bulk_retrieve=0``.
    whole_studies : only whole studies can be retrieved, neither a series nor an instance.
    any_transfer_syntax : ``transfer-syntax=*`` may be asked for.
    single_part : instances come only as a single ``application/dicom`` body.
    wado_uri : path or address of WADO-URI relative to the base URL; empty where there is none.
    metadata, rendered, thumbnail : the transaction exists.
    store : the store transaction exists.
    store_batch : bytes of an upload request at most; 0 for the setting's.
    delete_levels : what can be deleted.
    rejection : the code by which the server rejects what it does not delete; empty where it does not.
    parallel : requests side by side at most; 0 for the setting's.
    pinned : names of the habits that the user has set; testing the server leaves them alone.
    """

    name: str = "standard"
    key_style: Literal["keyword", "tag"] = "keyword"
    wildcard: bool = True
    question_mark: bool = True
    fuzzy: bool = True
    order: bool = False
    offset: bool = True
    page_limit: Mapping[str, int] = field(
        default_factory=lambda: {"studies": 200, "series": 1000, "instances": 1000}
    )
    short_page_ends: bool = False
    match_keys: tuple[str, ...] = ()
    value_lists: Literal["backslash", "comma", "none"] = "backslash"
    uid_lists: bool = True
    encoded_comma: bool = True
    encoded_characters: bool = True
    study_instances: bool = True
    nothing_found: tuple[int, ...] = ()
    fields: Literal["repeat", "comma", "never"] = "repeat"
    root_levels: tuple[str, ...] = ("studies", "series", "instances")
    retrieve_level: Literal["study", "series", "instance"] = "study"
    whole_studies: bool = False
    any_transfer_syntax: bool = True
    single_part: bool = False
    wado_uri: str = ""
    metadata: bool = True
    rendered: bool = True
    thumbnail: bool = True
    store: bool = True
    store_batch: int = 0
    delete_levels: tuple[str, ...] = ("study", "series", "instance")
    rejection: str = ""
    parallel: int = 0
    pinned: tuple[str, ...] = ()

    def sorts(self, order: Iterable[str]) -> bool:
        """Return whether the server sorts by all of these keywords; ``-`` before one turns its order."""
        keys = _SORT_KEYS.get(self.name)
        return self.order and (keys is None or all(key.removeprefix("-") in keys for key in order))


# By what orderby sorts; the rest of it is ignored without a word.
_SORT_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "dcm4chee": frozenset(  # D4 QueryBuilder.java
        {
            "AccessionNumber", "BodyPartExamined", "CompletionFlag", "ContentDate", "ContentTime",
            "InstanceNumber", "InstitutionName", "InstitutionalDepartmentName", "Laterality", "Modality",
            "PatientBirthDate",
            "PatientName", "PatientSex", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
            "PerformingPhysicianName", "ReferringPhysicianName", "SOPClassUID", "SOPInstanceUID",
            "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "StationName", "StudyDate",
            "StudyDescription", "StudyID", "StudyInstanceUID", "StudyTime", "VerificationFlag",
        }
    ),
}  # fmt: skip

STANDARD: Final = Dialect()

ORTHANC: Final = Dialect(
    name="orthanc",
    fuzzy=False,  # parsed, must be true or false, changes nothing (OD QidoRs.cpp:156, Status.txt)
    short_page_ends=True,  # no cap unless the site sets LimitFindResults (OC Configuration.json; seen)
    value_lists="comma",  # commas become the separator, backslashes are removed (OD QidoRs.cpp)
    encoded_comma=False,  # %2C is a separator too (OD QidoRs.cpp)
    encoded_characters=False,  # nothing is decoded: a blank finds nothing (both releases, seen)
    wado_uri="../wado",  # outside the plugin's root (OB plugins/dicomweb.rst)
    delete_levels=(),  # no DELETE routes (OD Plugin.cpp:660-735; 405 seen)
)

DCM4CHEE: Final = Dialect(
    name="dcm4chee",
    order=True,  # orderby=-StudyDate,... (D4 QueryAttributes.java)
    # 1000 as shipped, a cut answer says so by Warning 299 (D4 default-config.ldif:39, QidoRS.java:544)
    page_limit={"studies": 200, "series": 1000, "instances": 1000},
    short_page_ends=True,
    wado_uri="../wado",  # /aets/AET/wado beside /aets/AET/rs (D4 WadoURI.java)
    delete_levels=("study",),
    rejection="113039^DCM",  # hides series and instances, and studies before their deletion (D4 PamRS.java)
)

GOOGLE: Final = Dialect(
    name="google",
    wildcard=False,  # GC; OHIF/Viewers#489
    value_lists="none",  # exact match only (GC)
    uid_lists=False,
    # Everything else is answered with 400 (GC; wsidicom#141)
    match_keys=(
        "StudyInstanceUID",
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyDate",
        "SeriesInstanceUID",
        "Modality",
        "SOPInstanceUID",
    ),
    page_limit={"studies": 1000, "series": 5000, "instances": 5000},  # at most 5000, 5000, 50000 (GQ)
    short_page_ends=True,
    thumbnail=False,  # GC
    parallel=20,  # maintainers' advice (dicomweb-client#44)
)

KHEOPS: Final = Dialect(
    name="kheops",
    question_mark=False,  # passed on to SQL as it is (KH StudyQIDOParams.java)
    value_lists="none",  # modalities are compared whole (KH Studies.java)
    uid_lists=False,  # one UID (KH StudyQIDOParams.java)
    root_levels=("studies",),  # no global series or instances (KH QIDOResource.java)
    study_instances=False,  # limit and one of each series at most (seen)
    nothing_found=(502,),  # the 204 of the dcm4chee behind becomes a 502 (KH QIDOResource.java)
    wado_uri="wado",  # https://host/api/wado (KD)
    rendered=False,  # no route (KH nginx.conf)
    delete_levels=("study", "series"),  # KH Authorization
)

DCMJS: Final = Dialect(
    name="dcmjs",
    wildcard=False,  # exact equality (DS plugins/CouchDB.js)
    value_lists="none",
    uid_lists=False,
    study_instances=False,  # DS routes/qido.js
    fuzzy=False,
    offset=False,  # ignored (DS; dicomweb-server#19)
    match_keys=(
        "StudyInstanceUID",
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyID",
        "SeriesInstanceUID",
        "SeriesNumber",
        "Modality",
    ),
    fields="never",  # ignored (DS)
    root_levels=("studies",),  # DS routes/qido.js
    any_transfer_syntax=True,  # Accept is ignored, never transcodes (DS)
    wado_uri="./",  # GET /?objectUID=UID (DS)
    rendered=False,
    thumbnail=False,
    delete_levels=("study", "series"),
)

SLICER: Final = Dialect(
    name="slicer",
    wildcard=False,
    fuzzy=False,
    # PatientID is compared undecoded and cut at "=", so that some IDs never match: filtered locally.
    match_keys=("SeriesInstanceUID",),  # SW DICOMRequestHandler.py:86-97
    page_limit={"studies": 100, "series": 1000, "instances": 1000},  # pages can be longer (SW :103)
    fields="never",
    root_levels=("studies",),
    study_instances=False,  # [{}] (SW)
    retrieve_level="instance",  # no study or series retrieval (SW)
    any_transfer_syntax=False,
    single_part=True,  # only application/dicom (SW)
    # Metadata are read from the files, of objects without Rows too, whose list is a 500 (SW handleSeries).
    rendered=False,
    thumbnail=False,
    store=False,
    delete_levels=(),
)

AWS: Final = Dialect(
    name="aws",
    wildcard=False,  # neither wildcards nor lists are documented (AW)
    value_lists="none",
    uid_lists=False,
    fuzzy=False,
    offset=False,  # not among the documented parameters (AW)
    page_limit={"studies": 10000, "series": 10000, "instances": 10000},  # records at most (AW)
    root_levels=("studies",),  # hierarchical only (AW)
    retrieve_level="instance",  # study and series retrieval are not listed (AW)
    single_part=True,  # Accept application/dicom; transfer-syntax=... (AW)
    rendered=False,
    thumbnail=False,
    delete_levels=(),  # not by DICOMweb (AW)
    parallel=20,  # 50 calls a second, burst 100 (AW)
)

AZURE: Final = Dialect(
    name="azure",
    wildcard=False,  # AZ
    value_lists="none",  # one value a key (microsoft/dicom-server QueryParser.cs)
    uid_lists=False,
    page_limit={"studies": 200, "series": 200, "instances": 200},  # more is 400 (AZ)
    short_page_ends=True,
    thumbnail=False,  # AZ
)

IDC: Final = Dialect(
    name="idc",
    wildcard=False,  # a Google store behind (IP)
    value_lists=GOOGLE.value_lists,
    uid_lists=False,
    match_keys=GOOGLE.match_keys,
    page_limit=GOOGLE.page_limit,
    short_page_ends=True,
    thumbnail=False,
    store=False,  # read-only (IP)
    delete_levels=(),
    parallel=4,  # a daily quota for everyone (IP)
)

STATIC_WADO: Final = Dialect(
    name="static-wado",
    wildcard=False,
    fuzzy=False,
    offset=False,  # prebuilt files: every parameter is ignored (SD lib/controllers/server)
    match_keys=("StudyInstanceUID", "SeriesInstanceUID"),
    value_lists="none",
    uid_lists=False,  # one UID names a file (SD requestAdapters.mjs)
    study_instances=False,
    fields="never",
    root_levels=("studies",),
    retrieve_level="instance",
    delete_levels=(),  # SD
)

BUILT_IN: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            STANDARD,
            ORTHANC,
            DCM4CHEE,
            GOOGLE,
            KHEOPS,
            DCMJS,
            SLICER,
            AWS,
            AZURE,
            IDC,
            STATIC_WADO,
        )
    }
)

# Address shapes that belong to one server alone; "/dicom-web" or "/api" prove nothing.
_SHAPES: Final = (
    (re.compile(r"https?://[^/]+/(.*/)?aets/[^/]+/rs\Z"), DCM4CHEE),
    (re.compile(r"https://healthcare\.googleapis\.com/v1[^/]*/projects/"), GOOGLE),
    (re.compile(r"https://proxy\.imaging\.datacommons\.cancer\.gov/"), IDC),
    (re.compile(r"https://dicom-medical-imaging\.[^/]+\.amazonaws\.com(\.cn)?/datastore/"), AWS),
    (re.compile(r"https://[^/]+\.dicom\.azurehealthcareapis\.com/v\d"), AZURE),
    (re.compile(r"https?://[^/]*kheops[^/]*/api\Z"), KHEOPS),
    (re.compile(r"https?://[^/]+:2016/dicom\Z"), SLICER),
    (re.compile(r"https?://[^/]+:5985\Z"), DCMJS),
    (re.compile(r"https?://[^/]+:5000/dicomweb\Z"), STATIC_WADO),
)


@dataclass(frozen=True)
class Facts:
    """What a reading request showed of a server.

    Parameters
    ----------
    server : the Server header.
    orthanc : ``/info`` below the base answered as Orthanc's plugin does.
    kheops : the base was made of a Kheops share link.
    """

    server: str = ""
    orthanc: bool = False
    kheops: bool = False


def choose(url: str, facts: Facts = Facts()) -> Dialect:
    """Choose the built-in dialect of a base URL by what a probe saw, then by the shape of the address."""
    if facts.orthanc:
        return ORTHANC
    if facts.kheops:
        return KHEOPS
    return next((dialect for shape, dialect in _SHAPES if shape.match(url)), STANDARD)
