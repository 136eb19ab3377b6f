"""What may be said about a face, and the sentences of prefix and correction (mirrors lib/explain/evidence.ts)."""

import pytest

from kfd_explain import answers
from kfd_explain.evidence import NAMES, SLOT_ORDER, Evidence, by_slot, confidence_of, correction, prefix_after_image, regions_listed


def fake(**change) -> Evidence:
    return Evidence(**{"score": 0.918, "threshold": 0.72, "named": ("nose", "left cheek"), "extent": 0.345, **change})


def real(**change) -> Evidence:
    return Evidence(**{"score": 0.2, "threshold": 0.72, "named": (), "extent": 0.0, **change})


def test_the_score_is_truncated_and_the_other_percentages_are_rounded():
    e = fake(score=0.987, threshold=0.725, extent=0.345)
    assert (e.score_percent, e.threshold_percent, e.extent_percent) == (98, 73, 35)
    assert fake(score=0.29, threshold=0.2).score_percent == 29  # 100 * 0.29 is 28.999...


@pytest.mark.parametrize(
    "score, word", [(1.0, "very"), (0.91, "very"), (0.85, "fairly"), (0.75, "not very"), (0.71, "not very"), (0.4, "fairly"), (0.2, "very"), (0.0, "very")]
)
def test_the_confidence_word_follows_from_the_distance_to_the_threshold(score, word):
    assert confidence_of(score, 0.72) == word


def test_a_threshold_at_the_end_of_the_range_leaves_no_room():
    assert confidence_of(1.0, 1.0) == "not very"


def test_the_prefix_gives_the_numbers_and_no_region():
    text = prefix_after_image(fake())
    assert text == (
        "</Img> According to deepfake prediction, the forgery score is 91%. From 72% on a face counts as fake, so this face is fake, "
        "very sure. The map marks 35% of the face. "
    )
    assert not any(name in text for name in NAMES.values())


def test_a_correction_states_the_evidence_and_asks_again():
    assert correction(fake(), "Where is it?") == (
        "That is not supported by the evidence. Evidence: the face is fake, the forgery score is 91%, very sure, 35% of the face is marked, "
        "the regions named are the nose and the left cheek. Answer again: Where is it?"
    )
    assert "no region stands out" in correction(real(), "Why?")


def test_lists_are_english_and_trained_ones_go_by_slot():
    assert regions_listed(("nose",)) == "the nose"
    assert regions_listed(("nose", "left cheek", "right eye")) == "the nose, the left cheek and the right eye"
    assert by_slot(("left jaw", "nose", "right eye")) == ("right eye", "nose", "left jaw")
    assert set(SLOT_ORDER) == set(NAMES)


def test_a_named_whole_or_center_holds_its_parts():
    whole, center = fake(named=("full face",)), fake(named=("center face",))
    assert all(whole.stands_out(name) for name in NAMES)
    assert {name for name in NAMES if center.stands_out(name)} == {"center face", "nose", "nose_ridge", "right eye", "left eye"}
    assert answers.region(whole, "left jaw") == "The whole face is marked as manipulated, and the left side of the jaw with it."
    assert answers.region(center, "left jaw") == "The left side of the jaw is not marked as manipulated."
    assert answers.region(center, "full face") == "The whole face is not marked as manipulated."
    assert answers.region(whole, "full face") == "The whole face is marked as manipulated."


def test_answers_of_a_fake_a_fake_without_regions_and_a_real_face():
    assert answers.answer("verdict", fake()) == (
        "This face looks fake: the forgery score is 91%, and the strongest traces are at the nose and the left cheek."
    )
    assert answers.answer("where", fake(named=())) == "I cannot say where: the map does not single out a region."
    assert answers.answer("verdict", real(score=0.7)) == (
        "This face looks real: the forgery score is 70%, and from 72% on it would count as fake. "
        "The score is close to the threshold, so treat this with caution."
    )
    assert answers.answer("why", real()) == "The forgery score of 20% stays below the threshold of 72%, and no region stands out on the map."
    assert answers.pair(fake(named=("left eye",)), ("right eye", "left eye")) == (
        "The right eye is not marked as manipulated. The left eye is marked as manipulated."
    )


def test_a_corrected_answer_keeps_the_order_of_the_evidence():
    e = fake(named=("nose", "right eye"))
    assert answers.answer("where", e).endswith("the right eye and the nose.")
    assert answers.answer("where", e, by_strength=True).endswith("the nose and the right eye.")


@pytest.mark.parametrize("change", [{"score": 1.2}, {"threshold": -0.1}, {"extent": 7.0}, {"named": ("mouth",)}])
def test_impossible_evidence_is_refused(change):
    with pytest.raises(ValueError, match="expected"):
        fake(**change)
