"""The archive from the command line: what comes in, what goes out, what stays and what is damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.builders import Made, changed, ct_series, mr_series, write


@pytest.fixture
def made(run, tmp_path) -> list[Made]:
    made = ct_series(3)
    assert run("import", *write(tmp_path / "made", made)).code == 0
    return made


def kept(settings) -> list[Path]:
    return sorted(settings.archive.rglob("*.dcm"))


def test_a_folder_is_searched_through_and_nothing_is_lost_silently(run, tmp_path):
    folder = tmp_path / "cd"
    made = ct_series(2)
    write(folder / "a" / "b", made)
    (folder / "readme.txt").write_text("no DICOM")
    (folder / "broken.dcm").write_bytes(made[0].data[:300])
    imported = run("import", folder, "--json")
    assert imported.code == 3
    document = imported.json
    assert document["instances"] == {"stored": 2, "identical": 0, "conflicts": 0, "failed": 1}
    assert (document["files"], document["skipped"]) == (4, 1)
    assert document["failures"][0]["path"] == str(folder / "broken.dcm")
    assert document["studies"] == [made[0].study]
    again = run("import", folder / "a", "--json")
    assert (again.code, again.json["instances"]["identical"]) == (0, 2)


def test_other_bytes_under_a_known_uid_wait_for_a_word(run, made, tmp_path):
    (other,) = write(tmp_path / "other", [changed(made[0], PatientID="P9")])
    assert run("import", other).code == 1
    assert run("verify").code == 0
    assert run("list", "PatientID=P9", "--json").json["matches"] == []
    assert run("import", other, "--replace").code == 0
    assert run("export", str(made[0].resource), tmp_path / "out").code == 0
    (file,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert file.read_bytes() == other.read_bytes()


def test_a_zip_file_holds_the_very_bytes(run, made, tmp_path):
    exported = run("export", "PatientID=P1", tmp_path / "out.zip", "--zip", "--json")
    assert exported.json["instances"] == 3
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {archive.read(name) for name in archive.namelist()} == {one.data for one in made}
    assert run("export", made[0].study, tmp_path / "out.zip", "--zip").code == 2
    assert run("export", "1.2.404", tmp_path / "none").code == 1


def test_what_is_removed_is_gone(run, made, settings):
    assert run("remove", str(made[0].resource), "--json").json == {"removed": 1}
    assert len(kept(settings)) == 2
    assert run("remove", "PatientID=P1").code == 0
    assert kept(settings) == []
    assert run("remove", made[0].study).code == 1


def test_what_exists_nowhere_else_is_removed_by_force_only(run, settings):
    from dicomdock.archive import Archive
    from dicomdock.sources import Part

    made = ct_series(1)[0]
    with Archive.open(settings) as archive, archive.writer(made_here=True) as writer:
        writer.add(Part("application/dicom", lambda: iter([made.data])))
    refused = run("remove", made.study)
    assert refused.code == 2
    assert "--force" in refused.err
    assert run("remove", made.study, "--force").code == 0


def test_damage_is_found_and_named(run, made, settings):
    changed_file, gone = kept(settings)[:2]
    changed_file.write_bytes(changed_file.read_bytes() + b"x")
    gone.unlink()
    proved = run("verify", "--json")
    assert proved.code == 1
    assert {name: proved.json[name] for name in ("intact", "missing", "changed")} == {
        "intact": 1,
        "missing": 1,
        "changed": 1,
    }
    assert {item["path"] for item in proved.json["findings"]} == {str(changed_file), str(gone)}
    assert str(gone) in proved.err


def test_only_what_a_server_has_and_nobody_pinned_is_evicted(run, hospital, tmp_path):
    far, pinned, near = (
        ct_series(1, PatientID="far"),
        mr_series(1, PatientID="pinned"),
        ct_series(1, PatientID="near"),
    )
    hospital.add(far[0].data, pinned[0].data)
    assert run("pull", "PatientID=far").code == run("pull", "PatientID=pinned").code == 0
    assert run("import", *write(tmp_path / "near", near)).code == 0
    assert run("pin", pinned[0].study).code == 0
    evicted = run("evict", "--limit", "1", "--json")
    assert evicted.json["removed"] == [f"{far[0].study}/{far[0].series}"]
    left = {match["PatientID"] for match in run("list", "--json").json["matches"]}
    assert left == {"pinned", "near"}
    assert run("unpin", pinned[0].study).code == 0
    assert run("evict", "--limit", "1B", "--json").json["freed"] > 0
    assert run("evict", "--limit", "much").code == 2


def test_below_a_study_the_list_says_where_things_are(run, hospital, made, tmp_path):
    far = ct_series(2, PatientID="far")
    hospital.add(*(one.data for one in far))
    assert run("pull", "PatientID=far").code == 0
    (series,) = run("list", far[0].study, "--json").json["matches"]
    assert (series["SeriesInstanceUID"], series["from"], series["made_here"]) == (
        far[0].series,
        ["hospital"],
        False,
    )
    assert series["bytes"] == sum(len(one.data) for one in far)
    assert run("push", made[0].study, "--server", "hospital").code == 0
    instances = run("list", f"{made[0].study}/{made[0].series}", "--json").json["matches"]
    assert [one["sent"] for one in instances] == [["hospital"]] * 3
    assert "from: hospital" in run("list", far[0].study).out
    named = run("list", "Doe")
    assert (named.code, named.out.strip()) == (0, "Nothing was found.")
    assert "'Doe' was read as a UID" in named.err


def test_several_places_are_searched_at_once(run, hospital, made):
    far = ct_series(1, PatientID="far")
    hospital.add(far[0].data)
    run("server", "add", "down", "http://127.0.0.1:9/dicom-web", "--untested")
    found = run("search", "--all", "--json")
    assert found.code == 3
    results = {result["server"]: result for result in found.json["results"]}
    assert [match["PatientID"] for match in results["local"]["matches"]] == ["P1"]
    assert [match["PatientID"] for match in results["hospital"]["matches"]] == ["far"]
    assert "127.0.0.1:9" in results["down"]["error"]
    nothing = run("search", "PatientID=nobody", "--all").out
    assert "Nothing was found. Whether down has something is not known." in nothing
    assert run("search", "--local", "--json").json["server"] == "local"


def test_a_name_without_an_alphabetic_group_is_listed_by_its_first(run, tmp_path):
    """PS3.18 §F.2.2: a person name has up to three groups, and none of them must be there."""
    written = write(
        tmp_path, [*ct_series(1, PatientName="=山田^太郎"), *ct_series(1, PatientName="==やまだ^たろう")]
    )
    assert run("import", *written).code == 0
    listed = run("list").out
    assert "山田^太郎" in listed
    assert "やまだ^たろう" in listed
    assert "{" not in listed
