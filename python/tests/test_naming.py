"""The region rule (docs/regions.md). That lib/face/namedRegions.ts names the same is tested there, on maps of oracles.region_naming."""

import json

import numpy as np
import pytest
from kfd_train.naming import SIZE, NamingRule, RegionNamer, rasterize_polygon
from oracles import region_naming


def box(x: float, y: float, width: float, height: float) -> list:
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


POLYGONS = {
    "one": box(0, 0, 10, 10),
    "two": box(10, 0, 10, 10),
    "three": box(20, 0, 20, 10),
    "four": box(40, 0, 10, 10),
    "center face": box(0, 50, 50, 10),
    "full face": box(0, 0, 100, 100),
}


def namer(**change: float) -> RegionNamer:
    return RegionNamer(POLYGONS, NamingRule(**{"minimum": 0.01, **change}))


def lit(shares: dict[str, float], value: float = 1.0) -> np.ndarray:
    """A map whose first pixels, row by row, of each region have `value`."""
    forgery_map = np.zeros((SIZE, SIZE), np.float32)
    for name, share in shares.items():
        rows, columns = np.nonzero(namer().masks[name])
        count = round(share * rows.size)
        forgery_map[rows[:count], columns[:count]] = value
    return forgery_map


def test_polygons_are_filled_by_pixel_centres_even_odd():
    assert np.flatnonzero(rasterize_polygon(box(1, 1, 2, 1), 4)).tolist() == [5, 6]
    assert np.flatnonzero(rasterize_polygon(box(0.6, 0, 1.8, 1), 4)).tolist() == [1]
    corner = [[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4]]
    assert np.flatnonzero(rasterize_polygon(corner, 4)).tolist() == [0, 1, 2, 3, 4, 8, 12]


def test_parts_are_named_by_coverage_at_most_three_and_none_for_a_real_face():
    forgery_map = lit({"one": 0.6, "two": 0.9, "three": 0.7, "four": 0.8})
    assert namer().name(forgery_map, fake=True) == ["two", "four", "three"]
    assert namer(part=0.75).name(forgery_map, fake=True) == ["two", "four"]
    assert namer().name(forgery_map, fake=False) == []


def test_equal_coverage_is_ordered_by_the_mean_then_as_in_the_manifest():
    assert namer().name(lit({"four": 1, "one": 1}, 0.9), fake=True) == ["one", "four"]
    assert namer().name(np.maximum(lit({"one": 1}, 0.6), lit({"four": 1}, 0.9)), fake=True) == ["four", "one"]


def test_means_are_sums_in_order():
    forgery_map = np.random.default_rng(3).random((SIZE, SIZE), np.float32)
    total = 0.0
    for value in forgery_map[namer().masks["full face"]]:
        total += float(value)
    assert namer().mean(forgery_map, "full face") == total / 10_000


def test_the_whole_face_and_its_center_are_named_alone():
    assert namer().name(lit({"full face": 0.61}), fake=True) == ["full face"]
    assert namer().name(lit({"center face": 0.6, "one": 1}), fake=True) == ["center face"]
    assert namer().name(lit({"center face": 0.59, "one": 1, "two": 1}), fake=True) == ["one", "two"]


def test_nothing_is_named_where_too_little_is_lit_or_the_light_lies_elsewhere():
    assert namer(minimum=0.011).name(lit({"one": 1}), fake=True) == []
    assert namer().name(lit({"one": 0.4, "two": 0.4}), fake=True) == []
    forgery_map = lit({"one": 1})
    forgery_map[150, :] = forgery_map[151, :16] = 1  # 100 of 340 lit pixels lie in the part
    assert namer().name(forgery_map, fake=True) == []
    assert namer(explained=0.29).name(forgery_map, fake=True) == ["one"]


def test_lit_is_compared_as_javascript_does_and_the_extent_is_fixed():
    forgery_map = lit({"one": 1}, 0.3)  # the float32 nearest to 0.3 lies above it
    assert namer(lit=0.3).name(forgery_map, fake=True) == ["one"]
    assert namer(lit=0.3000001).name(forgery_map, fake=True) == []
    assert namer(lit=0.3).extent(forgery_map) == 0
    assert namer(lit=0.9).extent(lit({"one": 1}, 0.5)) == pytest.approx(0.01)


def test_other_maps_and_polygons_are_refused():
    with pytest.raises(ValueError, match="expected a forgery map of"):
        namer().name(np.zeros((16, 16), np.float32), fake=True)
    with pytest.raises(ValueError, match="expected polygons that include"):
        RegionNamer({"one": POLYGONS["one"]})


def test_the_cases_for_typescript_reach_every_branch(tmp_path):
    region_naming.write(tmp_path)
    written = json.loads((tmp_path / "region_naming" / "cases.json").read_text())
    assert len(written["cases"]) == region_naming.CASES
    named = [case["namedRegions"] for case in written["cases"]]
    assert {len(names) for names in named} == {0, 1, 2, 3}
    assert ["full face"] in named and ["center face"] in named
