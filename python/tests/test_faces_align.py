"""The canonical crop: similarity transform, warp, template, named regions."""

import numpy as np
import pytest
import torch

from kfd_export.align import invert, transform, umeyama, warp_to_crop
from kfd_export.canonical import EYES, MIRROR, blend_regions, hull, named_regions, scatter, symmetric, template_of, zoomed
from kfd_export.resampling import resize_uint8, sample_uint8

torch.set_num_threads(1)


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A seeded picture without sharp edges."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return resize_uint8(coarse, height, width)


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def mean_shape() -> np.ndarray:
    """68 landmarks of a plausible symmetric frontal face in the canonical crop."""
    jaw_angle = np.linspace(np.pi * 1.02, -np.pi * 0.02, 17)
    jaw = np.stack([112 + 62 * np.cos(jaw_angle), 100 + 96 * np.sin(jaw_angle)], axis=1)
    brow = np.stack([np.linspace(62, 102, 5), [78, 72, 69, 71, 76]], axis=1)
    ridge = np.stack([np.full(4, 112.0), [92, 102, 112, 122]], axis=1)
    base = np.stack([[98, 105, 112, 119, 126], [130, 132, 134, 132, 130]], axis=1).astype(float)
    eye = np.array([[70, 92], [78, 87], [88, 87], [96, 93], [88, 96], [78, 96]], float)
    angle = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    outer = np.stack([112 + 26 * np.cos(angle), 154 + 10 * np.sin(angle)], axis=1)
    inner = np.stack([112 + 18 * np.cos(angle[[0, 2, 3, 4, 6, 8, 9, 10]]), 154 + 4 * np.sin(angle[[0, 2, 3, 4, 6, 8, 9, 10]])], axis=1)
    flip = lambda points: points * [-1, 1] + [224, 0]  # noqa: E731
    shape = np.concatenate([jaw, brow, flip(brow)[::-1], ridge, base, eye, flip(eye)[[3, 2, 1, 0, 5, 4]], outer, inner])
    return symmetric(shape)


def test_umeyama_recovers_a_similarity():
    points = np.random.default_rng(0).normal(size=(4, 2)) * 50
    matrix = similarity(1.7, 37, (12, -5))
    np.testing.assert_allclose(umeyama(points, transform(matrix, points)), matrix, atol=1e-9)
    np.testing.assert_allclose(transform(invert(matrix), transform(matrix, points)), points, atol=1e-9)


def test_umeyama_never_mirrors():
    points = np.array([[0.0, 0], [10, 0], [4, 8], [3, 12]])
    matrix = umeyama(points, points * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_umeyama_is_the_least_squares_optimum():
    generator = np.random.default_rng(1)
    source, target = generator.normal(size=(2, 6, 2))
    best = umeyama(source, target)
    error = ((transform(best, source) - target) ** 2).sum()
    for _ in range(200):
        c, s, x, y = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]]) + generator.normal(size=4) * 0.05
        assert ((transform(np.array([[c, -s, x], [s, c, y]]), source) - target) ** 2).sum() >= error


@pytest.mark.parametrize("points", [np.ones((4, 2)), np.full((4, 2), np.nan), np.zeros((1, 2))])
def test_points_without_extent_are_refused(points):
    with pytest.raises(ValueError):
        umeyama(points, points)


def test_the_identity_leaves_the_picture_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(warp_to_crop(image, similarity(1, 0, (0, 0))), image)


def test_a_pure_reduction_equals_the_antialiased_resize():
    image = np.random.default_rng(0).integers(0, 256, (672, 672, 3), dtype=np.uint8)
    np.testing.assert_array_equal(warp_to_crop(image, similarity(1 / 3, 0, (0, 0))), resize_uint8(image, 224, 224))


def test_a_quarter_turn_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    # (x, y) -> (224 - y, x): clockwise on the screen.
    turned = warp_to_crop(image, np.array([[0.0, -1, 224], [1, 0, 0]]))
    np.testing.assert_array_equal(turned, np.rot90(image, k=-1))


def test_outside_the_picture_is_black():
    image = np.full((100, 100, 3), 255, np.uint8)
    crop = warp_to_crop(image, similarity(1, 0, (50, 60)))
    assert (crop[62:158, 52:148] == 255).all()
    assert (crop[:57] == 0).all() and (crop[164:] == 0).all() and (crop[:, :47] == 0).all() and (crop[:, 154:] == 0).all()
    assert (warp_to_crop(np.full((1000, 1000, 3), 255, np.uint8), similarity(0.1, 0, (500, 500))) == 0).all()


def test_the_true_ratio_of_rounded_sizes_counts():
    """10 rows reduced by 3 become 3 rows, not 3.33: the picture must still end at row 3.33 of the crop."""
    crop = warp_to_crop(np.full((10, 1000, 3), 255, np.uint8), similarity(1 / 3, 0, (0, 0)))
    assert crop[2, 100, 0] > 200 and 20 < crop[3, 100, 0] < 150 and crop[5, 100, 0] == 0


@pytest.mark.parametrize("scale", [0.2, 0.45, 1.6])
def test_points_of_the_picture_land_where_the_matrix_says(scale):
    """A smooth ramp tells where each crop pixel came from, with and without the reduction."""
    size = int(224 / scale) + 40
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    image = np.stack([x / size * 255, y / size * 255, x * 0], axis=-1).round().astype(np.uint8)
    matrix = similarity(scale, 8, (6 * scale, -20 * scale))
    crop = warp_to_crop(image, matrix).astype(float)
    step = np.arange(224) + 0.5
    source = transform(invert(matrix), np.stack(np.meshgrid(step, step), axis=-1))
    inside = ((source > 12) & (source < size - 12)).all(axis=-1)
    assert inside.sum() > 20000
    error = np.abs(crop[..., :2] - source / size * 255)[inside]
    assert error.max() < 2.0 and error.mean() < 0.5


def test_samples_outside_are_black_and_inside_are_the_pixels():
    image = smooth_picture(20, 30)
    np.testing.assert_array_equal(sample_uint8(image, np.array([[[5.5, 7.5], [-40.0, 3.0]]]))[0], [image[7, 5], [0, 0, 0]])


def test_the_template_keeps_the_eyes_and_averages_nose_and_mouth():
    generator = np.random.default_rng(0)
    face = np.array([[83, 92], [141, 92], [112, 126], [112, 155]], float)
    frontal = [
        transform(similarity(s, d, (9, 40)), face + generator.normal(size=(4, 2)) * 0.01)
        for s, d in zip(np.linspace(0.3, 3, 9), np.linspace(-12, 12, 9), strict=True)
    ]
    turned = transform(similarity(1, 0, (0, 0)), face + [[0, 0], [0, 0], [20, 9], [10, 0]])
    tilted = transform(similarity(1, 40, (0, 0)), face + [[0, 0], [0, 0], [0, 30], [0, 30]])
    template = template_of(np.stack([*frontal, turned, tilted]))
    np.testing.assert_allclose(template, face, atol=0.1)
    np.testing.assert_array_equal(template[:2], EYES)
    with pytest.raises(ValueError, match="at least 5 upright frontal"):
        template_of(np.stack([turned] * 9))


def test_zooming_keeps_the_middle_and_enlarges_about_it():
    np.testing.assert_allclose(zoomed([[112, 116], [83, 92]], 1.3, 116), [[112, 112], [74.3, 80.8]])
    np.testing.assert_allclose(zoomed(EYES, 1, 112), EYES)


def test_mirroring_landmarks_twice_changes_nothing():
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(68))
    shape = mean_shape()
    np.testing.assert_allclose(shape[MIRROR] * [-1, 1] + [224, 0], shape)


def inside(polygon: np.ndarray, point: np.ndarray) -> bool:
    import cv2

    return cv2.pointPolygonTest(polygon.astype(np.float32), tuple(float(v) for v in point), False) >= 0


def test_named_regions_hold_what_their_names_say():
    shape = mean_shape()
    regions = named_regions(shape)
    assert set(regions) == {
        "left eye",
        "right eye",
        "nose",
        "nose_ridge",
        "left jaw",
        "right jaw",
        "left cheek",
        "right cheek",
        "center face",
        "full face",
    }
    eye, mouth_corner = shape[36:42].mean(axis=0), shape[48]
    assert eye[0] < 112  # the person's right eye is at the left of the picture
    assert inside(regions["right eye"], eye) and not inside(regions["left eye"], eye)
    assert inside(regions["nose"], shape[33]) and inside(regions["nose_ridge"], shape[28])
    assert inside(regions["right cheek"], (shape[2] + shape[31]) / 2) and inside(regions["right jaw"], (shape[5] + mouth_corner) / 2)
    for polygon in regions.values():
        assert (polygon > 0).all() and (polygon < 224).all()
    for point in shape:
        assert inside(hull(regions["full face"], grown=0.5), point)


def test_left_regions_mirror_the_right_ones_and_parts_hardly_overlap():
    import cv2

    regions = named_regions(mean_shape())

    def mask(polygon: np.ndarray) -> np.ndarray:
        canvas = np.zeros((224, 224), np.uint8)
        cv2.fillPoly(canvas, [np.round(polygon).astype(np.int32)], 1)
        return canvas > 0

    parts = {name: mask(polygon) for name, polygon in regions.items() if "face" not in name}
    for side in ("eye", "cheek", "jaw"):
        assert abs(int(parts[f"left {side}"].sum()) - int(parts[f"right {side}"].sum())) <= 0.03 * parts[f"left {side}"].sum()
    names = sorted(parts)
    for first in names:
        for second in names:
            if first < second:
                shared = (parts[first] & parts[second]).sum() / min(parts[first].sum(), parts[second].sum())
                assert shared < 0.12, (first, second)


def test_blend_regions_follow_the_landmarks_of_any_face():
    shape = mean_shape()
    blends = blend_regions(transform(similarity(0.5, 20, (30, 60)), shape))
    chin = transform(similarity(0.5, 20, (30, 60)), shape[8:9])[0]
    for name in ("right jaw", "left jaw", "right cheek", "left cheek", "nose_ridge", "right eye", "left eye"):
        assert np.linalg.norm(blends[name] - chin, axis=1).min() < 1e-9, name
    lifted_top = blend_regions(shape)["full face"][:, 1].min()
    assert lifted_top < shape[17:27, 1].min() - 3


def test_scatter_of_equal_faces_is_zero():
    same = np.repeat(mean_shape()[None], 3, axis=0)
    assert scatter(same) == pytest.approx({"median": 0.0, "rms": 0.0}, abs=1e-9)
    same[0, :, 0] += 3.0
    assert scatter(same)["median"] == pytest.approx(1.0)
