"""Crops, forgeries, post-processing and batches, on drawn faces."""

import numpy as np
import pytest
import torch

from kfd_export.align import warp_to_crop
from kfd_train import blends, crops, manipulations, postprocess, regions, store, synthetic, testsets, variation
from kfd_train.batches import Material, PairStream

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    synthetic.write_store(path)
    return path


@pytest.fixture(scope="module")
def material(folder):
    canonical = store.read_canonical(folder)
    faces = [f for f in store.read_faces(folder) if f.split == "train"]
    return Material(faces, np.array(canonical["template"]), np.array(canonical["meanLandmarks"]))


def test_canonical_crop_brings_the_eyes_to_the_template(material):
    face = material.faces[0]
    matrix = crops.canonical_matrix(face.points, material.template)
    assert np.abs(crops.apply(matrix, face.points) - material.template).max() < 4


def test_warp_keeps_pixel_corners_and_is_black_outside():
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:20, 10:20] = 255
    out = crops.warp(image, np.array([[2.0, 0, 0], [0, 2, 0]]), 100)
    assert out[22:38, 22:38].min() > 250 and out[:18, :18].max() < 5 and out[85:].max() == 0


def test_training_and_shipped_warp_agree(material):
    """Enlarging and halving: OpenCV's warp in training, torch's in the package."""
    face = material.faces[0]
    for scale in (1.2, 0.5):
        matrix = crops.compose(crops.about_centre(224, 5, scale, (0, 0)), crops.canonical_matrix(face.points, material.template))
        difference = np.abs(crops.warp(face.pixels, matrix, 224) - warp_to_crop(face.pixels, matrix).astype(float))
        assert difference[8:-8, 8:-8].mean() < 2.5


def test_validation_identities_are_halved_and_kept_apart(folder):
    faces = store.read_faces(folder)
    groups = {split: {f.identity for f in faces if f.split == split} for split in store.SPLITS}
    assert [len(groups[s]) for s in store.SPLITS] == [8, 2, 2]
    assert store.halve_validation({"1": "scikit-image"}) == set()  # the astronaut stays held out


def test_self_blend_changes_the_inside_of_its_mask_only(material):
    rng = np.random.default_rng(1)
    image, landmarks = crops.training_crop(material.faces[0], material.template, rng)
    for region in ("face", "mouth", "blend parts"):
        forgery = blends.self_blend(image, landmarks, region, rng)
        changed = np.abs(forgery.fake - forgery.real).mean(2)
        assert changed[forgery.mask > 0.5].mean() > blends.VISIBLE
        assert changed[forgery.mask == 0].max() < 1e-3


def test_the_real_partner_is_the_changed_target(material):
    """Otherwise the colour of the whole picture would tell the label: outside the mask both partners must agree."""
    rng = np.random.default_rng(2)
    image, landmarks = crops.training_crop(material.faces[1], material.template, rng)
    forgeries = [blends.self_blend(image, landmarks, "nose", rng) for _ in range(12)]
    recoloured = [f for f in forgeries if np.abs(f.real - image).mean() > 1]
    assert recoloured, "no target was recoloured in 12 draws"
    for forgery in recoloured:
        np.testing.assert_array_equal(forgery.fake[forgery.mask == 0], forgery.real[forgery.mask == 0])


@pytest.mark.parametrize("kind", manipulations.KINDS)
def test_every_unseen_kind_changes_its_mask(material, kind):
    rng = np.random.default_rng(3)
    (image, landmarks), (donor, donor_landmarks) = (crops.test_crop(f, material.template, rng, False) for f in material.faces[:2])
    forgery = manipulations.make(kind, image, landmarks, donor, donor_landmarks, rng)
    changed = np.abs(forgery.fake - forgery.real).mean(2)
    assert forgery.kind == kind and 0.001 < (forgery.mask > 0.3).mean() < 0.6
    assert changed[forgery.mask > 0.5].mean() > 3 * changed[forgery.mask == 0].mean()


def test_postprocessing_is_the_same_for_both_partners():
    rng = np.random.default_rng(4)
    image = rng.uniform(0, 255, (224, 224, 3)).astype(np.float32)
    for _ in range(20):
        steps = postprocess.draw(rng)
        np.testing.assert_array_equal(postprocess.run(image, steps), postprocess.run(image.copy(), steps))


def test_mask_follows_the_flip():
    steps = postprocess.draw(np.random.default_rng(5)) | {"flip": True}
    mask = np.zeros((224, 224), np.float32)
    mask[:, :50] = 1
    assert postprocess.run_mask(mask, steps)[:, -50:].all() and not postprocess.run_mask(mask, steps)[:, :170].any()


def test_mingling_lays_another_face_over_this_one_without_a_seam(material):
    face, other = material.faces[:2]
    image, landmarks = crops.test_crop(face, material.template, np.random.default_rng(0), False)
    placed = variation.placed_over(other.pixels, other.landmarks, landmarks, len(image))
    away = np.abs(placed - image).mean(2)
    for seed in range(8):  # both ways of mingling are among them
        mingled = variation.mingle(image, placed, np.random.default_rng(seed))
        change = mingled - image
        assert 0.5 < np.abs(change).mean() < away.mean()
        # A seam would be a step in the change where neither picture has an edge of its own.
        edges = np.abs(np.diff(image, axis=1)).max() + np.abs(np.diff(placed, axis=1)).max()
        assert np.abs(np.diff(change, axis=1)).max() <= edges
    own = variation.placed_over(face.pixels, face.landmarks, landmarks, len(image))
    assert np.abs(own - image)[60:160, 60:160].mean() < 6


def test_mingled_batches_differ_and_can_be_repeated(material):
    plain, mingled = (PairStream(material, 2, seed=7, mingled=share).batch(5)[0] for share in (0.0, 1.0))
    assert not torch.equal(plain, mingled)
    assert torch.equal(mingled, PairStream(material, 2, seed=7, mingled=1.0).batch(5)[0])


def test_batches_depend_on_seed_and_index_alone(material):
    first, second = PairStream(material, 2, seed=7), PairStream(material, 2, seed=7)
    second.batch(3)
    for a, b in zip(first.batch(5), second.batch(5)):
        assert torch.equal(a, b)
    assert not torch.equal(first.batch(6)[0], first.batch(5)[0])
    pictures, masks = first.batch(5)
    assert pictures.shape == (4, 224, 224, 3) and masks[0::2].sum() == 0 and masks[1::2].flatten(1).sum(1).min() > 0


def test_test_sets_hold_every_kind_and_unchanged_reals(folder):
    faces = [f for f in store.read_faces(folder) if f.split == "held-out"]
    tests = testsets.build(faces, np.array(store.read_canonical(folder)["template"]), 1, loose=False)
    assert set(manipulations.KINDS) | {"real", "self-blend"} == set(tests.kind)
    assert tests.masks[tests.kind == "real"].sum() == 0
    assert set(tests.identity) == {f.identity for f in faces}


def test_unknown_names_are_refused(material):
    with pytest.raises(ValueError, match="expected 'face'"):
        regions.region_mask((224, 224), material.mean_landmarks, "ear", np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected a condition"):
        postprocess.degrade(np.zeros((224, 224, 3), np.uint8), "fog")
    with pytest.raises(ValueError, match="expected a kind"):
        manipulations.make("puppetry", None, None, None, None, np.random.default_rng(0))
    with pytest.raises(FileNotFoundError, match="kfd_train faces"):
        store.read_faces("/nonexistent")
