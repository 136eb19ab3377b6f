"""Face detection around the network, with synthetic networks whose answers are known."""

import numpy as np
import pytest
import torch

from kfd_export.face_detection import (
    Face,
    FaceDetector,
    Square,
    anchor_centres,
    decode,
    drop_twins,
    look_at,
    suppress,
    tile_corners,
    visible_span,
)

torch.set_num_threads(1)


def raw_row(index: int, centre: tuple[float, float], size: float) -> np.ndarray:
    """A raw box row of anchor ``index`` that means a square box of ``size`` at ``centre`` with all key points at the centre."""
    offset = np.array(centre) - anchor_centres()[index]
    return np.array([*offset, size, size, *np.tile(offset, 6)])


def white_square_network(score_of_share):
    """A network that sees one white square and answers with its box; ``score_of_share`` maps its share of 256 px to a logit."""

    def network(x: torch.Tensor):
        bright = (x[0] > 0.5).all(dim=0).nonzero().double()
        scores, boxes = np.full(896, -100.0), np.zeros((896, 16))
        if len(bright):
            low, high = bright.min(dim=0).values.numpy()[::-1], bright.max(dim=0).values.numpy()[::-1] + 1
            scores[100] = score_of_share((high - low).max() / 256)
            boxes[100] = raw_row(100, tuple((low + high) / 2), float((high - low).max()))
        return torch.from_numpy(scores)[None].float(), torch.from_numpy(boxes)[None].float()

    return network


def picture_with_square(width: int, height: int, x: int, y: int, side: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + side, x : x + side] = 255
    return image


def test_anchors_run_over_the_coarse_grid_last():
    centres = anchor_centres()
    assert centres.shape == (896, 2)
    np.testing.assert_array_equal(centres[[0, 1, 2, 32]], [[8, 8], [8, 8], [24, 8], [8, 24]])
    np.testing.assert_array_equal(centres[[512, 517, 518, 895]], [[16, 16], [16, 16], [48, 16], [240, 240]])


def test_decode_adds_the_anchor_to_positions_but_not_to_sizes():
    scores, boxes = np.full(896, -100.0), np.zeros((896, 16))
    scores[[7, 600]] = 2.0
    boxes[7] = np.arange(16) + 1.0  # a size of 3 x 4
    boxes[600] = -1.0  # a negative size is no face
    kept, rows = decode(scores, boxes, 0.5)
    assert kept == pytest.approx([1 / (1 + np.exp(-2.0))])
    centre = anchor_centres()[7]
    np.testing.assert_allclose(rows[0, :4], [centre[0] + 1, centre[1] + 2, 3, 4])
    np.testing.assert_allclose(rows[0, 4:].reshape(6, 2), centre + np.arange(5, 17).reshape(6, 2))


@pytest.mark.parametrize(
    ("size", "square", "columns", "rows"),
    [
        ((512, 256), Square(0, -128, 512), (0, 512, 0, 256), (0, 256, 64, 128)),
        ((100, 301), Square(-100, 0, 301), (0, 100, 85, 85), (0, 301, 0, 256)),
        ((10, 10), Square(0, 0, 10), (0, 10, 0, 256), (0, 10, 0, 256)),
    ],
)
def test_the_whole_picture_is_letterboxed_in_the_middle(size, square, columns, rows):
    assert Square.whole(*size) == square
    assert visible_span(square.x, square.side, size[0]) == columns
    assert visible_span(square.y, square.side, size[1]) == rows


def test_a_square_beside_the_picture_is_refused():
    with pytest.raises(ValueError, match="does not touch"):
        visible_span(300, 50, 200)


def test_what_lies_outside_the_picture_is_black_and_positions_come_back():
    image = np.full((60, 80, 3), 200, np.uint8)
    network_input, to_picture = look_at(image, Square(-40, -40, 100))
    assert network_input.shape == (1, 3, 256, 256)
    assert float(network_input[0, :, :100, :].max()) == -1.0  # 40 of 100 pixels above the picture
    assert float(network_input[0, 0, 200, 200]) == pytest.approx(200 / 127.5 - 1, abs=1e-6)
    left, top = visible_span(-40, 100, 80)[2], visible_span(-40, 100, 60)[2]
    row = np.zeros((1, 16))
    row[0, :2] = row[0, 4:6] = [left, top]
    row[0, 2:4] = [256 - left, 256 - top]
    back = to_picture(row)[0]
    np.testing.assert_allclose(back[[0, 1, 4, 5]], 0, atol=1e-9)
    np.testing.assert_allclose(back[2:4], [60, 60])


def test_suppression_averages_a_cluster_by_score():
    rows = np.stack([np.full(16, 50.0), np.full(16, 54.0), np.full(16, 200.0)])
    rows[:, 2:4] = 40.0
    near, far = suppress(np.array([0.8, 0.4, 0.6]), rows)[0], suppress(np.array([0.8, 0.4, 0.6]), rows)[1]
    mean = (0.8 * 50 + 0.4 * 54) / 1.2
    assert near.score == 0.8 and far.score == 0.6
    np.testing.assert_allclose(near.box, [mean - 20, mean - 20, 40, 40])
    np.testing.assert_allclose(near.keypoints, mean)
    assert suppress(np.zeros(0), np.zeros((0, 16))) == []


def test_twins_leave_the_better_one():
    twins = [Face(np.array([0.0, 0, 10, 10]), np.zeros((6, 2)), 0.8), Face(np.array([2.0, 0, 10, 10]), np.zeros((6, 2)), 0.9)]
    other = Face(np.array([50.0, 0, 10, 10]), np.zeros((6, 2)), 0.7)
    assert [face.score for face in drop_twins([*twins, other], 0.3)] == [0.9, 0.7]


def test_detection_is_exact_where_the_network_is():
    detector = FaceDetector(white_square_network(lambda share: 3.0))
    (face,) = detector.detect(picture_with_square(640, 480, 200, 120, 80))
    np.testing.assert_allclose(face.box, [200, 120, 80, 80], atol=1.6)  # one pixel of the closer look is 1.56 px
    np.testing.assert_allclose(face.keypoints, [[240, 160]] * 6, atol=1.6)


def test_a_doubtful_candidate_needs_the_closer_look():
    picture = picture_with_square(1024, 768, 300, 200, 60)

    def unsure_from_afar(logit_close):
        return white_square_network(lambda share: logit_close if share > 0.15 else -0.4)  # 0.40 from afar

    (face,) = FaceDetector(unsure_from_afar(2.0)).detect(picture)
    assert face.score == pytest.approx(0.88, abs=0.01)
    np.testing.assert_allclose(face.box, [300, 200, 60, 60], atol=2.4)  # the edge of the square is blurred over two pixels
    assert FaceDetector(unsure_from_afar(0.5)).detect(picture) == []  # 0.62 from close by is not enough
    assert FaceDetector(unsure_from_afar(2.0), candidate_threshold=0.5).detect(picture) == []


def test_tiles_cover_the_picture_with_half_overlap():
    corners = tile_corners(1000, 700, 400)
    assert {x for x, _ in corners} == {0, 200, 400, 600} and {y for _, y in corners} == {0, 150, 300}
    assert tile_corners(300, 200, 400) == [(0, 0)]


def test_tiles_find_what_is_too_small_for_the_whole_picture():
    blind_from_afar = white_square_network(lambda share: 3.0 if share > 0.05 else -100.0)
    picture = picture_with_square(2000, 1000, 1500, 300, 40)
    assert FaceDetector(blind_from_afar).detect(picture) == []
    (face,) = FaceDetector(blind_from_afar).detect(picture, tile_side=500)
    np.testing.assert_allclose(face.box, [1500, 300, 40, 40], atol=1.0)


def test_wrong_pictures_are_refused():
    detector = FaceDetector(white_square_network(lambda share: 3.0))
    for picture in (np.zeros((10, 10), np.uint8), np.zeros((10, 10, 3), np.float32), np.zeros((0, 10, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected an RGB picture"):
            detector.detect(picture)
