"""Building the face store: duplicates, persons, split, crops; and fetching: archives, hashes. All on synthetic material."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from kfd_export.face_detection import Face
from kfd_train import faces as store
from kfd_train import sources
from kfd_train.photographs import PHOTOGRAPHS

torch.set_num_threads(1)


def stored(
    source: str, photo: str, direction: int, *, size: float = 100, person: str | None = None, shift: float = 0.0
) -> store.StoredFace:
    """A face whose embedding is a unit vector along ``direction``, moved a little by ``shift``."""
    embedding = np.zeros(128)
    embedding[direction] = 1.0
    embedding[127] = shift
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    landmarks = 300 + size / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    image = np.zeros((600, 700, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(700)[None] % 256, np.arange(600)[:, None] % 256
    return store.StoredFace(source, photo, person, landmarks, "hog", embedding, None, image)


def test_of_two_copies_the_larger_stays():
    faces = [stored("a", "1", 0, size=60), stored("a", "2", 0, size=90, shift=0.1), stored("a", "3", 0, shift=0.4), stored("b", "1", 5)]
    assert [(f.source, f.photo) for f in store.without_duplicates(faces)] == [("a", "2"), ("a", "3"), ("b", "1")]


def test_persons_and_groups():
    faces = [
        stored("a", "1", 0), stored("a", "1", 0, shift=0.3),  # alike, but in one photograph: two persons
        stored("a", "2", 1), stored("b", "9", 1, shift=0.3),  # one person in two photographs
        stored("b", "9", 2), stored("c", "1", 3, person="x"), stored("c", "2", 4, person="x"), stored("c", "3", 3, person="y"),
    ]  # fmt: skip
    store.assign_groups(faces)
    assert [f.identity for f in faces] == [0, 1, 2, 2, 3, 4, 4, 5]
    assert [f.group for f in faces] == [0, 0, 1, 1, 1, 2, 2, 3]


def test_the_split_keeps_groups_whole_and_the_astronaut_in_validation():
    faces = [stored("face-api", str(i // 2), i) for i in range(40)] + [stored("tabler-ui", str(i), 40 + i) for i in range(30)]
    faces += [stored("scikit-image", "astronaut", 100)]
    store.assign_groups(faces)
    store.assign_split(faces)
    by_group: dict[int, set] = {}
    for face in faces:
        by_group.setdefault(face.group, set()).add(face.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert faces[-1].split == "validation"
    for source, count in (("face-api", 40), ("tabler-ui", 30)):
        share = sum(f.split == "validation" for f in faces if f.source == source) / count
        assert 0.25 <= share <= 0.35
    first = [f.split for f in faces]
    store.assign_split(faces)
    assert [f.split for f in faces] == first


def test_a_crop_shows_what_its_entry_says(tmp_path):
    face = stored("a", "1", 0, size=240)
    face.detected = Face(np.array([180.0, 190, 240, 230]), face.landmarks[:6].copy(), 0.91)
    face.split = "train"
    entry = store.cut(face, "a-000", tmp_path)
    crop = np.asarray(Image.open(tmp_path / entry["file"]))
    assert max(crop.shape) == store.CROP_SIDE
    # Red counts columns, green rows of the photograph: compare away from where the ramps wrap round.
    offset, scale = np.array(entry["offset"]), np.array(entry["scale"])
    for x, y in ((60, 40), (150, 100), (100, 200)):
        photo_x, photo_y = (np.array([x, y]) + 0.5) / scale + offset
        if 10 < photo_x % 256 < 246 and 10 < photo_y % 256 < 246:
            np.testing.assert_allclose(crop[y, x, :2], [photo_x % 256 - 0.5, photo_y % 256 - 0.5], atol=1.0)
    np.testing.assert_allclose(np.array(entry["landmarks"]) / scale + offset, face.landmarks, atol=0.02)
    np.testing.assert_allclose(np.array(entry["box"]) / [*scale, *scale] + [*offset, 0, 0], face.detected.box, atol=0.02)
    assert entry["keypointsFrom"] == "blazeface" and entry["faceHeight"] == pytest.approx(240, abs=1)
    json.dumps(entry)


def test_a_face_that_blazeface_missed_says_so(tmp_path):
    entry = store.cut(stored("a", "1", 0), "a-000", tmp_path)
    assert entry["keypointsFrom"] == "landmarks" and entry["score"] is None and len(entry["keypoints"]) == 6


def archive(path, members: dict[str, bytes]) -> None:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as target:
            for name, data in members.items():
                target.writestr(name, data)
        return
    with tarfile.open(path, "w:gz") as target:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            target.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("package/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
        target.addfile(link)


@pytest.mark.parametrize("name", ["x-1.tgz", "x-1.whl"])
def test_only_wanted_regular_files_are_unpacked_and_once(tmp_path, name):
    (tmp_path / "fetch").mkdir()
    archive(tmp_path / "fetch" / name, {"package/a.jpg": b"a", "package/b.txt": b"b", "package/deep/c.jpg": b"c"})
    source = sources.Source("x", "npm", "x", "1", "faces", "MIT", members=("package/*.jpg",))
    fetched = sources.Fetched("1", {name: sources.sha256_of(tmp_path / "fetch" / name)})
    with pytest.raises(FileNotFoundError, match="kfd_train sources"):
        sources.unpacked(tmp_path, "x")
    sources.unpack(source, fetched, tmp_path)
    folder = sources.unpacked(tmp_path, "x")
    assert sorted(p.name for p in folder.rglob("*.*") if p.is_file()) == [".unpacked.json", "a.jpg", "c.jpg"]
    before = (folder / "package/a.jpg").stat().st_mtime_ns
    sources.unpack(source, fetched, tmp_path)
    assert (folder / "package/a.jpg").stat().st_mtime_ns == before


def test_a_package_without_the_expected_files_is_refused(tmp_path):
    (tmp_path / "fetch").mkdir()
    archive(tmp_path / "fetch" / "x-1.tgz", {"package/b.txt": b"b"})
    source = sources.Source("x", "npm", "x", "1", "faces", "MIT", members=("package/*.jpg",))
    with pytest.raises(ValueError, match="nothing like 'package/\\*.jpg'"):
        sources.unpack(source, sources.Fetched("1", {"x-1.tgz": "0"}), tmp_path)
    assert not (tmp_path / "src" / "x").exists()


def test_an_archive_with_another_hash_is_refused(tmp_path):
    fetcher = sources.Fetcher(tmp_path)
    archive(tmp_path / "fetch" / "x-1.tgz", {"package/a.jpg": b"a"})
    source = sources.Source("x", "npm", "x", "1", "faces", "MIT", sha256="0" * 64)
    with pytest.raises(ValueError, match="expected 000"):
        fetcher.fetch(source)


def test_a_failing_program_is_quoted(tmp_path):
    with pytest.raises(RuntimeError, match="failed with code 3:\nno such package"):
        sources.run(["sh", "-c", "echo no such package >&2; exit 3"], tmp_path)
    with pytest.raises(FileNotFoundError, match="not installed"):
        sources.run(["no-such-program-here"], tmp_path)


def test_every_listed_photograph_has_author_licence_and_its_own_name():
    names = [photograph.name for photograph in PHOTOGRAPHS]
    assert len(set(names)) == len(names) >= 40
    known = {source.name for source in sources.SOURCES}
    for photograph in PHOTOGRAPHS:
        assert photograph.source in known and photograph.author and photograph.licence
        assert "NC" not in photograph.licence and "ND" not in photograph.licence
