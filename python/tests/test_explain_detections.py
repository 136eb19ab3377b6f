"""The store of detections, composites, and the prompt learner that is solved for the named regions."""

import json

import numpy as np
import pytest
import torch

from kfd_explain import composites, detections, prompts, slots
from kfd_explain.named_map import NamedMap
from kfd_train.naming import NamingRule, RegionNamer

torch.set_num_threads(1)
PARTS = ("right eye", "nose_ridge", "left eye", "right cheek", "nose", "left cheek", "right jaw", "left jaw")


def box(x: float, y: float, width: float, height: float) -> list:
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def namer() -> RegionNamer:
    """Nine boxes in the middle of the crop, in the order of the slots."""
    places = dict(zip(("right eye", "nose_ridge", "left eye", "right cheek", "nose", "left cheek", "right jaw", "", "left jaw"), range(9)))
    parts = {name: box(58 + 40 * (i % 3), 68 + 40 * (i // 3), 28, 28) for name, i in places.items() if name}
    return RegionNamer(parts | {"center face": box(70, 60, 84, 80), "full face": box(48, 58, 128, 128)})


class Words:
    """A tokenizer of whole words."""

    class Encoded:
        def __init__(self, ids: list[int]):
            self.ids = ids

    def __init__(self):
        texts = (*slots.SLOT_WORDS, slots.WHOLE_WORDS, slots.CENTER_WORDS, slots.MARKED, slots.NORMAL)
        self.words = sorted({word for text in texts for word in text.split()})

    def encode(self, text: str, add_special_tokens: bool = False) -> Encoded:
        return self.Encoded([self.words.index(word) for word in text.split()])


def basis() -> tuple[torch.Tensor, torch.Tensor]:
    tokenizer = Words()
    return slots.slot_basis(torch.randn(len(tokenizer.words), 32, generator=torch.Generator().manual_seed(0)) * 0.13, tokenizer)


class FakeDetector:
    """Judges by the mean evidence of each patch; the map is the enlarged evidence."""

    threshold = 0.5

    def __init__(self):
        self.namer = namer()
        self.rule = self.namer.rule
        self.described = {"name": "fake", "sha256": "0" * 64}

    def judge(self, similarities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        evidence = (similarities[:, :, 1] - similarities[:, :, 0]).float().mean(1, keepdim=True)
        maps = torch.nn.functional.interpolate(evidence, size=224, mode="bilinear", align_corners=True)[:, 0].sigmoid()
        p = (maps.amax((1, 2)) > 0.5).float() * 0.8 + 0.1
        return torch.stack([1 - p, p], dim=1), maps.half()


def write_store(folder) -> None:
    writer, rng = detections.Writer(FakeDetector()), np.random.default_rng(0)
    for split in detections.SPLITS:
        honest, forged = torch.zeros(6, 3, 2, 16, 16), torch.zeros(6, 3, 2, 16, 16)
        honest[:, :, 1], forged[:, :, 1] = -6.0, 6.0
        facts = [{"kind": "real", "region": "", "person": str(i), "source": "picture"} for i in range(12)]
        writer.add(torch.cat([honest, forged]), torch.nn.functional.normalize(torch.randn(12, 8), dim=1), split, facts)
        detections.add_composites(writer, split, 48 if split == "train" else 16, rng)
    writer.write(folder, 0)


def test_parts_of_an_honest_picture_light_up_where_they_were_put():
    masks, rng = composites.PartMasks(namer()), np.random.default_rng(1)
    honest, forged = torch.zeros(3, 2, 16, 16), torch.zeros(3, 2, 16, 16)
    honest[:, 1], forged[:, 1] = -6.0, 6.0
    made = composites.compose(honest, forged, masks.of(["nose"], rng), 1.0)
    assert made[0, 1, 8, 7] > 3 and made[0, 1, 8, 1] < -5
    stronger = composites.compose(honest, forged, masks.of(["nose"], rng), 1.5)
    assert stronger[0, 1, 8, 7] > 6


def test_the_store_gives_back_what_was_written_and_draws_every_outcome(tmp_path):
    write_store(tmp_path)
    store = detections.load(tmp_path, "train")
    rng = np.random.default_rng(0)
    counts = detections.distribution(store)
    assert counts["real"] >= 6 and counts["whole"] >= 6 and counts["1"] > 3
    drawn = [store.draw(rng) for _ in range(400)]
    kinds = [detections.outcome(store.rows[i]["named"], store.evidence(i).fake) for i in drawn]
    assert all(kinds.count(kind) > 20 for kind in ("real", "whole", "1"))
    single = [store.rows[i]["named"][0] for i in drawn if len(store.rows[i]["named"]) == 1]
    assert {name for name in single if name in PARTS}
    maps, S, p, g = store.inputs(drawn[:3])
    assert [m.shape for m in maps] == [(3, 2, 224, 224)] * 3 and S.shape == (3, 2, 224, 224) and p.shape == (3, 2) and g.shape == (3, 8)
    torch.testing.assert_close(S.sum(1), torch.ones(3, 224, 224))
    judged = FakeDetector().judge(torch.stack([torch.from_numpy(np.array(store.similarities[store.numbers[i]])) for i in drawn[:3]]))
    torch.testing.assert_close(S[:, 1], judged[1].float(), atol=2e-3, rtol=0)  # similarities are stored in half precision
    assert store.evidence(drawn[0]).score == pytest.approx(float(judged[0][0, 1]), abs=1e-6)
    other = detections.load(tmp_path, "calibration")
    assert not set(store.numbers) & set(other.numbers)


def test_a_missing_store_and_an_unknown_split_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m kfd_explain detections"):
        detections.load(tmp_path, "train")
    write_store(tmp_path)
    with pytest.raises(ValueError, match="expected a split"):
        detections.load(tmp_path, "held-out")
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["schema"] == "kfd.detections/1" and index["naming"]["lit"] == 0.5


def test_no_two_regions_that_can_be_named_together_share_a_slot():
    assert len({slots.SLOT_OF[name] for name in PARTS}) == 8
    assert slots.SLOT_OF["full face"] == slots.SLOT_OF["center face"] not in {slots.SLOT_OF[name] for name in PARTS}


def test_ideal_rows_are_read_back_exactly_and_have_the_size_of_token_embeddings():
    base, marks = basis()
    readout = prompts.ReadOut(base, marks)
    for named in ((), ("nose",), ("right eye", "left cheek", "left jaw"), ("full face",), ("center face",)):
        rows = slots.target_rows(named, torch.randn(len(Words().words), 32, generator=torch.Generator().manual_seed(0)) * 0.13, Words())
        torch.testing.assert_close(readout(rows[None])[0], slots.states(named), atol=1e-4, rtol=0)
    assert 0.08 < float(base.square().mean().sqrt()) < 0.2


def random_maps(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,224,224) float32: regions filled by halves, blobs, values at the edges of the rule."""
    regions, maps = namer(), []
    for _ in range(count):
        drawn = np.full((224, 224), rng.choice([0.0, 0.3]), np.float32)
        for name in rng.choice(list(regions.masks), rng.integers(0, 5)):
            drawn[regions.masks[name] & (rng.random((224, 224)) < rng.choice([0.5, 0.8, 0.95, 1.0]))] = rng.choice([0.5, 0.6, 0.8, 0.9])
        maps.append(drawn)
    return np.stack(maps)


@pytest.mark.parametrize("rule", [NamingRule(), NamingRule(lit=0.8, center=0.9, part=0.8), NamingRule(lit=0.6, minimum=0.05, whole=0.7, part=0.45, explained=0.5)])
def test_the_named_map_paints_what_the_rule_names(rule):
    regions = namer().under(rule)
    maps = random_maps(80, np.random.default_rng(5))
    scores = np.where(np.arange(80) % 5 == 0, 0.3, 0.75).astype(np.float32)
    forged = torch.from_numpy(maps)
    module = torch.jit.script(NamedMap(regions, 0.7).half()).float()
    painted = module(torch.stack([1 - forged, forged], dim=1), torch.from_numpy(np.stack([1 - scores, scores], axis=1)))
    names = [regions.name(m, bool(s >= 0.7)) for m, s in zip(maps, scores)]
    assert {len(n) for n in names} >= {0, 1, 2}
    torch.testing.assert_close(painted, torch.cat([prompts.painted_sets(regions, [tuple(n)]) for n in names]), atol=0, rtol=0)


def test_parts_with_equal_coverage_go_by_the_mean_of_the_map():
    regions = namer()
    drawn = np.zeros((224, 224), np.float32)
    for i, name in enumerate(("right eye", "left eye", "right jaw", "left jaw")):
        drawn[regions.masks[name]] = 0.6 + 0.1 * i
    named = NamedMap(regions, 0.5)
    assert [named.names[i] for i in named.name_one(torch.from_numpy(drawn), 0.9)] == ["left jaw", "right jaw", "left eye"] == regions.name(drawn, True)
    assert named.name_one(torch.from_numpy(drawn), 0.49) == []


def test_an_untrained_learner_gives_the_base_rows_whatever_it_sees():
    base, _ = basis()
    learner = prompts.new_learner(base, (4, 4, 8, 8, 8, 8)).eval()
    maps = [torch.randn(2, 2, 224, 224) for _ in range(3)]
    p = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
    with torch.no_grad():
        torch.testing.assert_close(learner(maps, torch.rand(2, 2, 224, 224), p), base.expand(2, -1, -1))


def test_the_solved_learner_gives_the_ideal_rows_of_all_95_sets_also_from_its_checkpoint(tmp_path):
    write_store(tmp_path / "store")
    torch.manual_seed(0)
    base, marks = basis()
    assert len(prompts.region_sets(namer().parts)) == 95
    learner, difference = prompts.pretrain(namer(), base, marks, (4, 8, 8, 16, 24, 48), 3)
    assert difference < 0.05 * float(marks.abs().max())
    store = detections.load(tmp_path / "store", "train")
    prompts.settle_norms(learner.meta_net1, prompts.similarity_batches(store, 1))
    module = prompts.NamedPromptLearner(NamedMap(namer(), 0.5), learner).eval()
    assert prompts.measure(module, prompts.ReadOut(base, marks), store) == {"rows": len(store), "float32": 1.0, "half": 1.0}
    prompts.save(tmp_path / "prompts.pt", module, {"seed": 0})
    loaded = prompts.load_prompt_learner(tmp_path / "prompts.pt")
    maps, S, p, _ = store.inputs([0, len(store) - 1])
    with torch.no_grad():
        torch.testing.assert_close(loaded(maps, S, p), module(maps, S, p), atol=0, rtol=0)
        # Half of the weights moved: the read-out must notice.
        loaded.learner.meta_net2[-1].weight[:16] += 1
        assert prompts.measure(loaded, prompts.ReadOut(base, marks), store)["float32"] < 1
    with pytest.raises(FileNotFoundError, match="python -m kfd_explain prompts"):
        prompts.load_prompt_learner(tmp_path / "none.pt")
