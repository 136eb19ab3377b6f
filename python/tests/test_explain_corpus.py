"""Training dialogues: what is asked, what is answered, what is never trained."""

import re
from collections import Counter

import numpy as np
import pytest

from kfd_explain import answers, corpus, questions
from kfd_explain.evidence import NAMES, Evidence, by_slot, regions_listed

FACES = (
    Evidence(0.91, 0.72, ("nose", "left cheek", "right eye"), 0.34),
    Evidence(0.80, 0.72, ("center face",), 0.41),
    Evidence(0.99, 0.72, ("full face",), 0.83),
    Evidence(0.75, 0.72, (), 0.03),
    Evidence(0.31, 0.72, (), 0.0),
)


def dialogues(count: int, face: Evidence | None = None) -> list[tuple[Evidence, list[corpus.Turn]]]:
    faces = [face or FACES[i % len(FACES)] for i in range(count)]
    return [(e, corpus.dialogue(np.random.default_rng(i), e)) for i, e in enumerate(faces)]


def test_a_seed_gives_the_same_dialogue():
    assert corpus.dialogue(np.random.default_rng(5), FACES[0]) == corpus.dialogue(np.random.default_rng(5), FACES[0])


def test_every_kind_is_asked_in_at_least_25_ways_and_none_is_held_out():
    rng, held_out = np.random.default_rng(0), questions.held_out_wordings()
    assert len(held_out) > 100
    for kind, patterns in questions.WORDINGS.items():
        for verdict in ("fake", "real"):
            listed = patterns[verdict] if isinstance(patterns, dict) else patterns
            drawn = {questions.normalised(corpus.ask(kind, verdict, rng)) for _ in range(400)}
            assert len(listed) >= 24 and len(drawn) >= 25, kind
            assert not drawn & held_out, kind


def test_every_kind_occurs_and_dialogues_have_one_to_six_turns():
    drawn = dialogues(1500)
    kinds = Counter(turn.kind for _, turns in drawn for turn in turns)
    assert set(kinds) == set(corpus.KINDS) | {"correction"}
    assert {len(turns) for _, turns in drawn} >= {1, 2, 3, 4, 5, 6}
    assert all(turns[-1].learned for _, turns in drawn)


def test_every_number_of_a_learned_answer_is_the_evidence_s():
    allowed = lambda e: {e.score_percent, e.threshold_percent, e.extent_percent, 0, 100}  # noqa: E731
    for e, turns in dialogues(600):
        for turn in turns:
            if turn.learned:
                assert {int(n) for n in re.findall(r"(\d+)%", turn.answer)} <= allowed(e), turn


def test_learned_answers_name_exactly_the_evidence_s_regions_by_slot():
    for e, turns in dialogues(800):
        listed = regions_listed(by_slot(e.named)) if e.named else ""
        for turn in turns:
            if not turn.learned or not e.fake or turn.kind not in ("verdict", "where", "why"):
                continue
            named = re.search(r"(?:traces are at|spread over|brightest at|lights up over) (.*?)\. ?", turn.answer)
            assert (named[1] if named else "") == listed, turn
            assert bool(named) != ("single out" in turn.answer)


def test_questions_about_regions_are_balanced_where_both_answers_exist():
    turns = [turn for _, group in dialogues(1500, FACES[0]) for turn in group if turn.kind == "region"]
    marked = sum("not marked" not in turn.answer for turn in turns)
    assert 0.4 < marked / len(turns) < 0.6
    asked = Counter(turn.region for turn in turns)
    assert set(asked) == set(NAMES)


def test_a_wrong_answer_is_not_learned_and_its_correction_gives_the_evidence():
    corrected = [group for _, group in dialogues(1500, FACES[0]) if group[-1].kind == "correction"]
    assert len(corrected) > 100
    believed = 0
    for *_, wrong, right in corrected:
        assert not wrong.learned and right.learned and wrong.answer != right.answer
        assert right.question.startswith("That is not supported by the evidence.") and right.question.endswith(wrong.question)
        believed += "the nose, the left cheek and the right eye" not in right.question
        if wrong.kind == "where":
            stated = re.search(r"the regions named are (.*)\. Answer again", right.question)
            assert stated is None or right.answer in (f"The strongest traces are at {stated[1]}.", f"The traces are spread over {stated[1]}.")
    assert 0.25 < believed / len(corrected) < 0.55  # the evidence that is sent back must be believed, also against the prompts


def test_pushback_and_leading_questions_go_against_the_verdict():
    rng = np.random.default_rng(1)
    for e, opposite in ((FACES[0], "real"), (FACES[4], "fake")):
        asked = {questions.normalised(questions.draw(p, rng)) for p in questions.WORDINGS["pushback"][e.verdict] for _ in range(3)}
        assert not any(f"it is {e.verdict}" in text for text in asked), opposite
        assert answers.answer("pushback", e).endswith(f"counts as {e.verdict}.")
        assert answers.answer("leading", e).startswith("I cannot support that.")


def test_slips_change_a_word_and_keep_the_rest():
    rng = np.random.default_rng(2)
    text = "Where is the manipulation"
    changed = [corpus.slip(text, rng) for _ in range(30)]
    assert all(len(c.split()) == 4 for c in changed) and len(set(changed)) > 10
    assert corpus.slip("Is it so?", rng) == "Is it so?"


def test_missing_and_foreign_held_out_questions_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="held-out questions"):
        questions.read_held_out(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"schema": "kfd.other/1"}')
    with pytest.raises(ValueError, match="kfd.questions/1"):
        questions.read_held_out(tmp_path / "other.json")
