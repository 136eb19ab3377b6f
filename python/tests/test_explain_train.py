"""Training on dialogues: tokens and what is learnt of them, batches, soft rows, resuming, exactness of answers."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tiny_gguf
import torch

from kfd_explain import corpus, train
from kfd_explain.batches import END, PLACEHOLDERS, BatchStream, DialogueEncoder, bucketed, collate
from kfd_explain.evidence import Evidence
from kfd_explain.export import Prompts
from kfd_explain.language_model import Conversation, LanguageModel
from kfd_explain.pictures import DetectedPictures, DrawnPictures, MixedPictures, score_row
from kfd_explain.slots import slot_basis
from kfd_model.heads import PromptLearner

torch.set_num_threads(1)
REAL = train.LANGUAGE_MODEL if train.LANGUAGE_MODEL.is_absolute() else Path(__file__).parents[1] / train.LANGUAGE_MODEL
EVIDENCE = Evidence(score=0.91, threshold=0.72, named=("nose",), extent=0.12)
TURNS = [
    corpus.Turn("Is it fake?", "It looks real.", "verdict", learned=False),
    corpus.Turn("Answer again", "It looks fake.", "correction"),
    corpus.Turn("Where?", "At the nose.", "where"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_gguf.write_language_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def model(file):
    torch.manual_seed(0)
    return LanguageModel(file, torch.float32, lora=True)


def drawn(model: LanguageModel, noise: float = 0.3) -> DrawnPictures:
    return train.drawn_pictures(model, train.Config(noise=noise))


def trainer_of(model: LanguageModel, **settings) -> train.Trainer:
    config = train.Config(**({"minutes": 1e6, "tokens": 1500, "lora_rate": 3e-3, "warm_up_steps": 2, "report_every_steps": 1000} | settings))
    return train.Trainer(model, drawn(model), None, config)


def test_a_dialogue_is_the_prefix_and_its_turns(model):
    encoder = DialogueEncoder(model.encode)
    tokens = encoder.dialogue(7, EVIDENCE, TURNS).tokens
    assert [token for token in tokens if token in PLACEHOLDERS] == list(PLACEHOLDERS)
    text = model.tokenizer.decode([token for token in tokens if token not in PLACEHOLDERS], skip_special_tokens=False)
    assert text == (
        "<|im_start|>user\n<Img></Img> According to deepfake prediction, the forgery score is 91%. From 72% on a face counts as fake, "
        "so this face is fake, very sure. The map marks 12% of the face. Is it fake?<|im_end|>\n<|im_start|>assistant\nIt looks real.<|im_end|>"
        "\n<|im_start|>user\nAnswer again<|im_end|>\n<|im_start|>assistant\nIt looks fake.<|im_end|>"
        "\n<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\nAt the nose.<|im_end|>"
    )
    assert tokens[tokens.index(PLACEHOLDERS[0]) + 1] == model.encode("<")[0], "the visual token stands between <Img> and </Img>"


def test_only_answers_that_are_meant_to_be_learnt_count(model):
    batch = collate([DialogueEncoder(model.encode).dialogue(7, EVIDENCE, TURNS)])
    learnt = model.tokenizer.decode(batch.tokens[batch.learned].tolist(), skip_special_tokens=False)
    assert learnt == f"It looks fake.{END}At the nose.{END}"


def test_buckets_hold_similar_lengths_within_the_limit(model):
    encoder, rng = DialogueEncoder(model.encode), np.random.default_rng(0)
    dialogues = [encoder.dialogue(i, EVIDENCE, TURNS[: rng.integers(1, 4)]) for i in range(20)]
    groups = bucketed(dialogues, 2000)
    assert sorted(d.picture for group in groups for d in group) == list(range(20))
    assert len(groups) < 20 and all(len(group) * max(len(d.tokens) for d in group) <= 2000 for group in groups)
    assert [len(group) for group in bucketed(dialogues, 10)] == [1] * 20, "a longer dialogue goes alone"


def test_padding_is_not_learnt(model):
    encoder = DialogueEncoder(model.encode)
    batch = collate([encoder.dialogue(0, EVIDENCE, TURNS[:1]), encoder.dialogue(1, EVIDENCE, TURNS)])
    short = len(batch.dialogues[0].tokens)
    assert batch.tokens.shape == batch.learned.shape and not batch.learned[0].any() and not batch.tokens[0, short:].any()


def test_the_stream_goes_on_where_it_was_left():
    def draw(rng):
        return DialogueEncoder(lambda text: [100] * len(text)).dialogue(int(rng.integers(1000)), EVIDENCE, TURNS[: rng.integers(1, 4)])

    whole = BatchStream(draw, 5, 1500, pool_size=6)
    batches = [batch.pictures for batch in islice(whole, 9)]
    first = BatchStream(draw, 5, 1500, pool_size=6)
    begun = [batch.pictures for batch in islice(first, 4)]
    second = BatchStream(draw, 5, 1500, pool_size=6)
    second.position = first.position
    assert begun + [batch.pictures for batch in islice(second, 5)] == batches
    other = BatchStream(draw, 6, 1500, pool_size=6)
    assert [batch.pictures for batch in islice(other, 9)] != batches


def test_soft_rows_take_the_places_of_the_placeholders(model):
    batch = collate([DialogueEncoder(model.encode).dialogue(i, EVIDENCE, TURNS[:1]) for i in range(2)])
    rows = torch.arange(2 * 11, dtype=torch.float32).view(2, 11, 1).expand(-1, -1, model.shape.width)
    embedded = train.embed(model, batch.tokens, rows)
    for i in range(2):
        for slot, placeholder in enumerate(PLACEHOLDERS):
            at = batch.tokens[i].tolist().index(placeholder)
            torch.testing.assert_close(embedded[i, at], rows[i, slot])
    torch.testing.assert_close(embedded[:, 0], model.embeddings[batch.tokens[:, 0]])
    with pytest.raises(ValueError, match="expected 11 placeholders.*got 22"):
        train.embed(model, batch.tokens, rows[:1])


def test_the_score_row_alternates():
    torch.testing.assert_close(score_row(torch.tensor([[0.25, 0.75]]), 6), torch.tensor([[[0.25, 0.75, 0.25, 0.75, 0.25, 0.75]]]))


def test_drawn_faces_are_the_same_every_time_and_balanced(model):
    pictures, rng = drawn(model), np.random.default_rng(0)
    numbers = [pictures.draw(rng) for _ in range(400)]
    torch.testing.assert_close(pictures.soft_rows(numbers[:2]), pictures.soft_rows(numbers[:2]))
    evidence = [pictures.evidence(number) for number in numbers]
    assert 0.45 < np.mean([e.fake for e in evidence]) < 0.65
    assert not any(e.named for e in evidence if not e.fake)
    sizes = [len(e.named) for e in evidence if e.fake]
    assert set(sizes) == {0, 1, 2, 3} and all(sizes.count(size) > 20 for size in (0, 1, 2, 3))


def test_without_noise_the_drawn_prompts_tell_the_regions(model):
    pictures = drawn(model, noise=0.0)
    base, marks = slot_basis(model.embeddings, model.tokenizer)
    for number in range(30):
        evidence, prompts = pictures.evidence(number), pictures.soft_rows([number])[0, 1:10]
        read = torch.einsum("sw,rsw->r", prompts - base, marks) / marks.square().sum(dim=(1, 2))
        named = {train_region for train_region, value in zip(corpus.SLOT_ORDER, read) if value > 0.5}
        assert set(evidence.named) <= named <= set(evidence.named) | {"center face", "full face"}


def test_training_lowers_the_loss_and_only_moves_the_factors(model):
    frozen = {name: buffer.clone() for name, buffer in model.named_buffers()}
    trainer = trainer_of(model)
    assert all(".lora." in name for name, _ in model.named_parameters())
    losses = [trainer.train_step(batch) for batch in islice(trainer.stream, 40)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, frozen[name])


def test_a_resumed_run_equals_an_uninterrupted_one(file, tmp_path):
    def fresh() -> train.Trainer:
        torch.manual_seed(3)
        return trainer_of(LanguageModel(file, torch.float32, lora=True))

    whole = fresh()
    whole.run(tmp_path / "whole.pt", most_steps=6)
    begun = fresh()
    begun.run(tmp_path / "part.pt", most_steps=3)
    rest = fresh()
    rest.resume(torch.load(tmp_path / "part.pt", weights_only=True))
    assert rest.step == 3 and rest.tokens == begun.tokens
    rest.run(tmp_path / "part.pt", most_steps=6)
    for name, parameter in whole.model.named_parameters():
        torch.testing.assert_close(rest.model.state_dict()[name], parameter, atol=0, rtol=0)
    assert rest.tokens == whole.tokens and rest.loss == whole.loss


def test_a_new_stretch_remembers_the_one_before(file, tmp_path):
    first = trainer_of(LanguageModel(file, torch.float32, lora=True))
    first.run(tmp_path / "first.pt", most_steps=2)
    state = torch.load(tmp_path / "first.pt", weights_only=True)
    second = trainer_of(LanguageModel(file, torch.float32, lora=True))
    second.start_from(state)
    assert second.step == 0 and second.earlier == [{name: state[name] for name in train.SUMMARY}]
    assert asdict(second.config)["minutes"] == 1e6


def test_exact_answers_are_what_greedy_decoding_gives(model):
    trainer = trainer_of(model, tokens=600)
    turns = [corpus.Turn("Where?", "At the nose.", "where"), corpus.Turn("Why?", "No.", "why")]
    dialogue = trainer.encoder.dialogue(3, trainer.pictures.evidence(3), turns)
    for _ in range(80):
        trainer.train_step(collate([dialogue]))
    model.eval()
    wrong = trainer.encoder.dialogue(3, trainer.pictures.evidence(3), [corpus.Turn("Where?", "At the chin.", "where")])
    found = train.exact_answers(model, trainer.pictures, [dialogue, wrong])
    assert found["kinds"] == {"where": [1, 2], "why": [1, 1]} and found["answers"] == 3
    conversation = Conversation(model)
    start = dialogue.answers[0][0]
    rows = train.embed(model, torch.tensor([dialogue.tokens[:start]]), trainer.pictures.soft_rows([3]))
    conversation.feed(rows[0].detach())
    assert model.tokenizer.decode(conversation.answer(stop=2, limit=30)) == "At the nose."


def test_a_broken_gradient_stops_the_run(model):
    trainer = trainer_of(model)
    model.blocks[0].lora["q"].A.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="expected a finite gradient"):
        trainer.train_step(next(iter(trainer.stream)))


class FewDetections:
    """Two faces of random maps, as a store of detections gives them."""

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(2))

    def evidence(self, picture: int) -> Evidence:
        return (EVIDENCE, Evidence(score=0.1, threshold=0.72, named=(), extent=0.0))[picture]

    def inputs(self, pictures: list[int]):
        generators = [torch.Generator().manual_seed(picture) for picture in pictures]
        maps = [torch.stack([torch.randn(2, 224, 224, generator=g) for g in generators]) for _ in range(3)]
        score = torch.tensor([self.evidence(picture).score for picture in pictures])
        g = torch.stack([torch.randn(6, generator=g) for g in generators])
        return maps, maps[0].softmax(dim=1), torch.stack([1 - score, score], dim=1), g


def test_prompts_of_detections_learn_with_the_factors(model):
    torch.manual_seed(1)
    prompts = Prompts(PromptLearner(3, model.shape.width, channels=(2, 2, 4, 4, 4, 4)), torch.nn.Linear(6, model.shape.width))
    before = {name: value.clone() for name, value in prompts.state_dict().items()}
    config = train.Config(minutes=1e6, tokens=1500, warm_up_steps=1, prompts_rate=1e-4)
    trainer = train.Trainer(model, DetectedPictures(FewDetections(), prompts), prompts, config)
    for batch in islice(trainer.stream, 3):
        trainer.train_step(batch)
    after = prompts.state_dict()
    for name in ("prompt_learner.base_prompts", "prompt_learner.meta_net1.0.weight", "prompt_learner.meta_net2.0.weight", "visual_projection.weight"):
        assert not torch.equal(before[name], after[name]), name
    for name in (name for name in before if "running" in name):
        assert torch.equal(before[name], after[name]), name
    assert trainer.state()["source"] == "detections" and trainer.state()["prompts"].keys() == before.keys()


def test_a_finished_prompt_learner_stays_as_it_is(model):
    prompts = Prompts(PromptLearner(3, model.shape.width, channels=(2, 2, 4, 4, 4, 4)), torch.nn.Linear(6, model.shape.width))
    before = {name: value.clone() for name, value in prompts.state_dict().items()}
    config = train.Config(minutes=1e6, tokens=1500, warm_up_steps=1)
    pictures = MixedPictures(DetectedPictures(FewDetections(), prompts), drawn(model), 0.5)
    trainer = train.Trainer(model, pictures, prompts, config)
    for batch in islice(trainer.stream, 3):
        trainer.train_step(batch)
    changed = {name for name, value in prompts.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {"visual_projection.weight", "visual_projection.bias"}


def test_mixed_faces_keep_their_own_rows(model):
    prompts = Prompts(PromptLearner(3, model.shape.width, channels=(2, 2, 4, 4, 4, 4)), torch.nn.Linear(6, model.shape.width)).eval()
    detected, ideal, rng = DetectedPictures(FewDetections(), prompts), drawn(model), np.random.default_rng(0)
    mixed = MixedPictures(detected, ideal, 0.3)
    numbers = [mixed.draw(rng) for _ in range(200)]
    assert 0.2 < np.mean([number < 0 for number in numbers]) < 0.4
    rows = mixed.soft_rows([1, -8, 0])
    torch.testing.assert_close(rows[[0, 2]], detected.soft_rows([1, 0]))
    torch.testing.assert_close(rows[1], ideal.soft_rows([7])[0])
    assert mixed.evidence(-8) == ideal.evidence(7) and mixed.evidence(1) == FewDetections().evidence(1)


def test_the_rows_of_a_detection_stand_in_order(model):
    prompts = Prompts(PromptLearner(3, model.shape.width, channels=(2, 2, 4, 4, 4, 4)), torch.nn.Linear(6, model.shape.width)).eval()
    detections = FewDetections()
    rows = DetectedPictures(detections, prompts).soft_rows([1, 0])
    maps, S, p, g = detections.inputs([1, 0])
    torch.testing.assert_close(rows[:, 0], prompts.visual_projection(g))
    torch.testing.assert_close(rows[:, 1:10], prompts.prompt_learner(maps, S, p))
    torch.testing.assert_close(rows[1, 10, :3], torch.tensor([0.09, 0.91, 0.09]))


def test_the_visual_token_starts_near_its_word():
    torch.manual_seed(0)
    g, face, projection = torch.nn.functional.normalize(torch.randn(500, 20), dim=1), torch.randn(64), torch.nn.Linear(20, 64)
    train.start_visual(projection, g, face)
    with torch.no_grad():
        rows = projection(g)
    torch.testing.assert_close(rows.mean(dim=0), face, atol=1e-4, rtol=0)
    assert 0.3 * face.std() < rows.std(dim=0).mean() < 0.7 * face.std()


@pytest.mark.skipif(not REAL.is_file(), reason="no SmolLM2 file: set KFD_LANGUAGE_MODEL")
def test_the_real_model_starts_to_learn(tmp_path):
    """The shipped configuration for half a minute: the chain from wordings to checkpoint with the real language model."""
    settings = ["minutes=0.25", "cool_down_minutes=0.1", "warm_up_steps=3", "report_every_steps=2", "tokens=500", "validation_dialogues=2"]
    train.main(["--source", "drawn", "--language-model", str(REAL), "--out", str(tmp_path / "smoke.pt"), "--set", *settings])
    state = torch.load(tmp_path / "smoke.pt", weights_only=True)
    assert state["step"] >= 2 and 0 < state["loss"] < 5 and len(state["validations"]) == 1
    assert all(bool(factor.any()) for factor in state["lora"].values()), "every factor has moved"
