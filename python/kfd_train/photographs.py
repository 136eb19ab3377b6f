"""Photographs without faces, for blend pre-training: chosen by eye, each with its author and licence.

``python -m kfd_train photographs --dir DIR`` reads what ``kfd_train sources`` fetched and writes reduced copies to
``DIR/photographs/*.png`` and the list ``DIR/photographs.json``:

    photographs   paths relative to DIR
    details       the same pictures with package, original file, author and licence

Left out of the packages: drawings and rendered art, near-empty textures, copies of one picture at another size, pictures with
people, and whatever carries no clear licence. Copies are for training on one's own machine and are never redistributed.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kfd_export.files import write_json, write_whole
from kfd_export.resampling import resize_uint8

from .sources import unpacked

LONG_SIDE = 768


@dataclass(frozen=True)
class Photograph:
    source: str
    file: str  # inside the unpacked source
    author: str
    licence: str

    @property
    def name(self) -> str:
        """File name of the reduced copy: source and the telling part of the original's path."""
        parts = Path(self.file).parts
        stem = parts[parts.index("contents") - 1] if "contents" in parts else Path(self.file).stem
        return f"{self.source}-{stem}.png"


def mate(file: str, author: str) -> Photograph:
    return Photograph("mate-backgrounds", f"usr/share/backgrounds/mate/nature/{file}", author, "GPL-2+")


def plasma(name: str, author: str) -> Photograph:
    return Photograph(
        "plasma-workspace-wallpapers",
        f"usr/share/wallpapers/{name}/contents/images/2560x1600.jpg",
        author,
        "LGPL-3 (metadata.json), GPL-2+ (package)",
    )


def lomiri(series: str, file: str, author: str, licence: str) -> Photograph:
    return Photograph(f"lomiri-wallpapers-{series}", f"usr/share/backgrounds/{file}", author, licence)


PHOTOGRAPHS = (
    mate("Aqua.jpg", "Charles Barbin"),
    mate("Blinds.jpg", "Lennart Poettering, Andrea Cimitan"),
    mate("Dune.jpg", "Marco Cogoni, Hylke Bons"),
    mate("FreshFlower.jpg", "Jens Ansorg"),
    mate("Garden.jpg", "Charles Barbin"),
    mate("GreenMeadow.jpg", "Timothy Schellhase, Lapo Calamandrei"),
    mate("LadyBird.jpg", "Charles Barbin"),
    mate("RainDrops.jpg", "blackcombwhistler07"),
    mate("Storm.jpg", "Sergey Nazarov"),
    mate("TwoWings.jpg", "Charles Barbin, Hylke Bons"),
    mate("Wood.jpg", "Jean-François Fortin Tam"),
    mate("YellowFlower.jpg", "Charles Barbin"),
    plasma("BytheWater", "Maciej Wiklo"),
    plasma("ColdRipple", "Risto Saukonpää"),
    plasma("ColorfulCups", "Dmitri Popov"),
    plasma("DarkestHour", "Risto Saukonpää"),
    plasma("EveningGlow", "Ian Hex"),
    plasma("FallenLeaf", "Martin Klapetek"),
    plasma("Grey", "Sigi Sagi"),
    plasma("Kite", "Risto Saukonpää"),
    plasma("OneStandsOut", "Risto Saukonpää"),
    plasma("Path", "Risto Saukonpää"),
    plasma("summer_1am", "Risto Saukonpää"),
    lomiri("16.04", "Bridge_by_Sander_Klootwijk.jpg", "Sander Klootwijk", "CC-BY-SA-4.0"),
    lomiri("16.04", "Dragonfly_by_Bolly.jpg", "Bolly", "CC-BY-SA-4.0"),
    lomiri("16.04", "Picture_0B_by_freespace.jpg", "Trevor 'Freespace'", "CC-BY-4.0"),
    lomiri("16.04", "Picture_1A_by_freespace.jpg", "Trevor 'Freespace'", "CC-BY-4.0"),
    lomiri("16.04", "Wine_by_Jakkub_Mede.jpg", "Jakub Mede", "CC-BY-4.0"),
    lomiri("16.04", "aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    lomiri("16.04", "free_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0"),
    lomiri("16.04", "friends_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    lomiri("16.04", "greentock_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0"),
    lomiri("16.04", "life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    lomiri("16.04", "picosdeeuropa_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    lomiri("16.04", "seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0"),
    lomiri("16.04", "sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC-BY-4.0"),
    lomiri("20.04", "Kleiber_by_Lukas_Baubkus.jpg", "Lukas Baubkus", "CC-BY-SA-3.0"),
    Photograph("scikit-image", "skimage/data/chelsea.png", "Stefan van der Walt", "CC0-1.0"),
    Photograph("scikit-image", "skimage/data/coffee.png", "Rachel Michetti", "CC0-1.0"),
    Photograph("scikit-image", "skimage/data/rocket.jpg", "SpaceX", "public domain"),
    Photograph("scikit-learn", "sklearn/datasets/images/china.jpg", "danielbuechele", "CC-BY-2.0"),
    Photograph("scikit-learn", "sklearn/datasets/images/flower.jpg", "vultilion", "CC-BY-2.0"),
)


def reduced(path: Path) -> np.ndarray:
    """The picture as RGB uint8 with its longer side at most 768 px; reduction also removes the original's JPEG blocks."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the package has changed, run 'python -m kfd_train sources' again or leave the picture out"
        )
    image = np.asarray(Image.open(path).convert("RGB"))
    factor = min(1.0, LONG_SIDE / max(image.shape[:2]))
    return resize_uint8(image, round(image.shape[0] * factor), round(image.shape[1] * factor))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_train photographs", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="folder of the training material")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    folder = args.dir / "photographs"
    details = []
    for photograph in PHOTOGRAPHS:
        target = folder / photograph.name
        if not target.is_file():
            picture = Image.fromarray(reduced(unpacked(args.dir, photograph.source) / photograph.file))
            write_whole(target, lambda path, picture=picture: picture.save(path))
        details.append({"path": f"photographs/{photograph.name}", "package": photograph.source, "file": photograph.file,
                        "author": photograph.author, "licence": photograph.licence})  # fmt: skip
    write_json(
        args.dir / "photographs.json", {"schema": "kfd.photographs/1", "photographs": [d["path"] for d in details], "details": details}
    )
    print(f"{len(details)} photographs, {sum((args.dir / d['path']).stat().st_size for d in details) / 2**20:.1f} MiB")
    return 0
