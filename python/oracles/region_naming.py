"""Expected answers of the region rule (docs/regions.md): random forgery maps, the shipped polygons, and what kfd_train.naming names.

A map is kept as a recipe of float32 steps that the test repeats bit by bit: a flat ground, then discs and filled regions
in order, each with its own value. So the fixture is one small JSON file.
"""

import json
from pathlib import Path

import numpy as np

from kfd_train.naming import NamingRule, RegionNamer

SIZE = 224
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
CASES = 120
RULES = (NamingRule(), NamingRule(lit=0.3, minimum=0.05, whole=0.5, center=0.7, part=0.35, explained=0.2))


def draw(recipe: dict, namer: RegionNamer) -> np.ndarray:
    """(224,224) float32."""
    forgery_map = np.full((SIZE, SIZE), recipe["ground"], np.float32)
    y, x = np.mgrid[:SIZE, :SIZE]
    for step in recipe["steps"]:
        if "region" in step:
            forgery_map[namer.masks[step["region"]]] = step["value"]
        else:
            column, row, radius = step["disc"]
            forgery_map[(x - column) ** 2 + (y - row) ** 2 <= radius**2] = step["value"]
    return forgery_map


def make_recipe(rng: np.random.Generator, names: list[str]) -> dict:
    """Integers for discs and values of 1/256 steps, 0.3 among them: comparisons at the rule's edge are met."""

    def value() -> float:
        return float(rng.choice([rng.integers(0, 257) / 256, 0.3, 0.5, 0.9]))

    steps = []
    for _ in range(rng.integers(0, 5)):
        if rng.random() < 0.6:
            steps.append({"region": names[rng.integers(len(names))], "value": value()})
        else:
            column, row, radius = rng.integers([40, 60, 3], [185, 200, 60])
            steps.append({"disc": [int(column), int(row), int(radius)], "value": value()})
    return {"ground": float(rng.choice([0.0, 0.1, 0.3, value()], p=[0.5, 0.3, 0.1, 0.1])), "steps": steps}


def write(root: Path) -> None:
    index = json.loads((WEIGHTS / "manifest.json").read_text())
    polygons = json.loads((WEIGHTS / index["detector"]).read_text())["face"]["regions"]
    parts = [name for name in polygons if name not in ("full face", "center face")]
    rng = np.random.default_rng(23)
    cases = []
    for number in range(CASES):
        rule = RULES[number % len(RULES)]
        namer = RegionNamer(polygons, rule)
        # most recipes fill parts; a few fill the whole or the center
        recipe = make_recipe(rng, parts if number % 5 else list(polygons))
        forgery_map = draw(recipe, namer)
        named, extent = namer.name(forgery_map, fake=True), namer.extent(forgery_map)
        assert namer.name(forgery_map, fake=False) == []
        cases.append({"rule": vars(rule), **recipe, "namedRegions": named, "extent": extent})
    kinds = [tuple(case["namedRegions"][:1]) in {("full face",), ("center face",)} or len(case["namedRegions"]) for case in cases]
    missing = {True, 0, 1, 2, 3} - set(kinds)
    if missing:
        raise RuntimeError(f"the random maps should reach every branch of the rule; not reached: {missing}")
    folder = root / "region_naming"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "cases.tmp"
    temporary.write_text(json.dumps({"polygons": polygons, "cases": cases}))
    temporary.rename(folder / "cases.json")
