"""The folder of forged test pictures that `kfd-native daam-eval` reads."""

import csv

import cv2
import numpy as np
import pytest
from kfd_train import testsets, write_testset


def made_up() -> testsets.TestSet:
    """Six pictures: a real one, five forgeries, of which one has an empty and one a full mask."""
    rng = np.random.default_rng(1)
    masks = np.zeros((6, 8, 8), np.uint8)
    masks[1:4, 2:5, 3:6] = 1
    masks[5] = 1
    return testsets.TestSet(
        pictures=rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8),
        masks=masks,
        kind=np.array(["real", "self-blend", "swap-alpha", "splice", "self-blend", "self-blend"]),
        region=np.array(["", "face", "face", "nose", "eyes", "eyes"]),
        identity=np.array(["7", "7", "7", "8", "8", "9"]),
        source=np.array(["s"] * 6),
        face=np.array(["f"] * 6),
        landmarks=np.zeros((6, 68, 2), np.float32),
    )


def test_kinds_are_named_as_on_the_command_line():
    assert write_testset.parse_kinds("self-blend,swap") == ["self-blend", "swap-alpha", "swap-poisson"]
    with pytest.raises(SystemExit, match="--kinds out of self-blend"):
        write_testset.parse_kinds("swaps")


def test_only_forgeries_with_something_to_find_are_chosen():
    tests = made_up()
    assert write_testset.choose(tests, ["self-blend", "splice"], None, 0).tolist() == [1, 3]
    drawn = write_testset.choose(tests, ["self-blend", "swap-alpha", "splice"], 2, 4)
    assert len(drawn) == 2 and drawn.tolist() == write_testset.choose(tests, ["self-blend", "swap-alpha", "splice"], 2, 4).tolist()


def test_pictures_masks_and_tables_belong_together(tmp_path):
    tests = made_up()
    write_testset.write(tests, np.array([1, 3]), tmp_path / "out")
    with (tmp_path / "out" / "groups.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["image", "group"], ["self-blend-00001.png", "7"], ["splice-00003.png", "8"]]
    with (tmp_path / "out" / "testset.csv").open(newline="") as stream:
        assert list(csv.reader(stream))[2] == ["splice-00003.png", "splice", "nose", "8", "s"]
    picture = cv2.imread(str(tmp_path / "out" / "splice-00003.png"))[..., ::-1]
    mask = cv2.imread(str(tmp_path / "out" / "splice-00003.mask.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(picture, tests.pictures[3])
    assert np.array_equal(mask, tests.masks[3] * 255)
    assert len(list((tmp_path / "out").iterdir())) == 6
