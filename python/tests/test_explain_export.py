"""Adapter, prompts and manifest as files: what is written is what was trained, and wrong files are refused."""

import json

import gguf
import numpy as np
import pytest
import tiny_gguf
import torch
from torch import nn

from kfd_explain import corpus, export, parity, random_export
from kfd_explain.batches import PLACEHOLDERS, DialogueEncoder
from kfd_explain.evidence import Evidence
from kfd_explain.language_model import LanguageModel
from kfd_explain.lora import adapter_tensors, read_adapter, state_of_adapter, write_adapter
from kfd_explain.train import Config, Trainer, embed, load_start
from kfd_export.files import sha256_of
from kfd_model.heads import PromptLearner

torch.set_num_threads(1)
EVIDENCE = Evidence(score=0.91, threshold=0.72, named=("nose",), extent=0.12)
CHANNELS = (2, 2, 4, 4, 4, 4)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_gguf.write_language_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


def adapted_model(file, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    model = LanguageModel(file, torch.float32, lora=True)
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            parameter.data.normal_(0, 0.2)
    return model.eval().requires_grad_(False)


def small_prompts(width: int = 64, embedding: int = 6) -> export.Prompts:
    torch.manual_seed(1)
    return export.Prompts(PromptLearner(3, width, channels=CHANNELS), nn.Linear(embedding, width)).eval()


@pytest.fixture
def detector(tmp_path):
    (tmp_path / "detector.pt").write_bytes(b"weights")
    described = {"name": "d", "kind": "kfd", "file": "detector.pt", "sha256": sha256_of(tmp_path / "detector.pt")}
    path = tmp_path / "detector.kfd.json"
    path.write_text(json.dumps(described))
    return path


def test_an_adapter_holds_the_factors_by_llama_cpps_names(file, tmp_path):
    model = adapted_model(file)
    write_adapter(adapter_tensors(model.state_dict()), tmp_path / "a.gguf")
    reader = gguf.GGUFReader(str(tmp_path / "a.gguf"))
    fields = {key: reader.fields[key].contents() for key in ("general.architecture", "general.type", "adapter.type", "adapter.lora.alpha")}
    assert fields == {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 16.0}
    assert {t.tensor_type for t in reader.tensors} == {gguf.GGMLQuantizationType.F16}
    shapes = {t.name: tuple(int(n) for n in t.shape) for t in reader.tensors}  # ggml's order: fastest axis first
    assert len(shapes) == 2 * 4 * 2
    assert shapes["blk.1.attn_q.weight.lora_a"] == (64, 8) and shapes["blk.1.attn_q.weight.lora_b"] == (8, 64)
    assert shapes["blk.0.attn_k.weight.lora_b"] == (8, 32) and shapes["blk.0.attn_output.weight.lora_a"] == (64, 8)


def test_an_adapter_read_back_answers_as_it_was_trained(file, tmp_path):
    trained = adapted_model(file)
    write_adapter(adapter_tensors(trained.state_dict()), tmp_path / "a.gguf")
    factors, alpha = read_adapter(tmp_path / "a.gguf")
    read = LanguageModel(file, torch.float32, lora=True)
    read.load_state_dict(state_of_adapter(factors), strict=True)
    x = trained.embed(trained.encode("the nose"))[None]
    with torch.no_grad():
        torch.testing.assert_close(read.hidden(x), trained.hidden(x), atol=5e-3, rtol=5e-3)
        assert not torch.allclose(LanguageModel(file).hidden(x), trained.hidden(x), atol=5e-2)
    assert alpha == 16.0


def test_values_that_half_precision_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected finite half-precision values in blk.0.attn_q.weight.lora_a"):
        write_adapter({"blk.0.attn_q.weight.lora_a": torch.full((8, 64), 1e6)}, tmp_path / "a.gguf")
    assert list(tmp_path.iterdir()) == []


def test_other_states_and_files_are_refused(file):
    with pytest.raises(ValueError, match="expected LoRA factors.*embeddings"):
        adapter_tensors({"embeddings": torch.zeros(1)})
    with pytest.raises(ValueError, match="expected a LoRA adapter"):
        read_adapter(file)


@pytest.mark.parametrize("rate", [0.0, 1e-4])
def test_a_fixed_prompt_learner_is_taken_as_given_and_another_from_the_checkpoint(rate):
    trained = small_prompts()
    torch.manual_seed(5)
    given = PromptLearner(3, 64, channels=CHANNELS).eval()
    expected = given if rate == 0 else trained.prompt_learner
    maps, S, p, g = [torch.randn(1, 2, 224, 224)] * 3, torch.rand(1, 2, 224, 224), torch.rand(1, 2), torch.randn(1, 6)
    with torch.no_grad():
        rows = expected(maps, S, p)
        found = export.trained_prompts(given, {"config": {"prompts_rate": rate}, "prompts": trained.state_dict()})(maps, S, p, g)
        torch.testing.assert_close(found, (rows, trained.visual_projection(g)))


def test_a_checkpoint_of_drawn_evidence_is_not_exported():
    with pytest.raises(ValueError, match="train on detections first"):
        export.trained_prompts(nn.Identity(), {"config": {"prompts_rate": 0.0}, "prompts": None})


def test_the_three_files_belong_together(file, detector, tmp_path):
    factors = adapter_tensors(adapted_model(file).state_dict())
    identity = export.detector_identity(detector)
    prompts = small_prompts()
    described = export.write_explainer(prompts, factors, identity, tmp_path / "out", maturity="demonstration", training={}, metrics={})
    assert described == json.loads((tmp_path / "out" / "explainer.kfd.json").read_text())
    assert described["explainer"]["detector"] == {"name": "d", "sha256": identity["sha256"]}
    assert described["explainer"]["placeholders"] == [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] == list(PLACEHOLDERS)
    for entry in (described, described["explainer"]["adapter"]):
        path = tmp_path / "out" / entry["file"]
        assert (path.stat().st_size, sha256_of(path)) == (entry["bytes"], entry["sha256"])
    stored = torch.jit.load(str(tmp_path / "out" / "explainer.pt"))
    assert {t.dtype for t in stored.parameters()} == {torch.float16}
    assert {name for name, _ in stored.named_children()} == {"prompt_learner", "visual_projection"}
    assert 0 < export.half_storage_error(prompts, tmp_path / "out" / "explainer.pt") < 0.02


def test_an_exported_explainer_starts_the_training_for_another_detector(file, detector, tmp_path):
    trained, prompts, out = adapted_model(file), small_prompts(), tmp_path / "out"
    own = {"source": "drawn", "step": 2, "dialogues": 5, "tokens": 90, "seconds": 3.0, "loss": 0.5}
    factors, identity = adapter_tensors(trained.state_dict()), export.detector_identity(detector)
    export.write_explainer(prompts, factors, identity, out, maturity="demonstration", training={"stretches": [own]}, metrics={})
    model, start = LanguageModel(file, torch.float32, lora=True), load_start(out / "explainer.kfd.json")
    given = small_prompts()
    nn.init.zeros_(given.visual_projection.weight)
    learner = {name: value.clone() for name, value in given.prompt_learner.state_dict().items()}
    trainer = Trainer(model, None, given, Config())
    trainer.start_from(start)
    torch.testing.assert_close(given.visual_projection.weight, prompts.visual_projection.weight, atol=1e-3, rtol=1e-3)
    for name, value in given.prompt_learner.state_dict().items():
        torch.testing.assert_close(value, learner[name], atol=0, rtol=0)
    assert trainer.earlier == [own]
    write_adapter(adapter_tensors(model.state_dict()), tmp_path / "again.gguf")
    assert sha256_of(tmp_path / "again.gguf") == sha256_of(out / "explainer-lora.gguf")
    (out / "explainer-lora.gguf").write_bytes(b"other")
    with pytest.raises(ValueError, match="do not belong together"):
        load_start(out / "explainer.kfd.json")


def test_a_manifest_of_another_detector_file_is_refused(detector):
    detector.with_name("detector.pt").write_bytes(b"others")
    with pytest.raises(ValueError, match="do not belong together"):
        export.detector_identity(detector)


def test_too_large_an_explainer_is_refused(file, detector, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match="expected at most 10000 bytes"):
        factors = adapter_tensors(adapted_model(file).state_dict())
        export.write_explainer(small_prompts(), factors, {}, tmp_path / "out", maturity="demonstration", training={}, metrics={})
    assert not (tmp_path / "out" / "explainer.kfd.json").exists()


def test_random_explainers_have_the_shipped_shapes(detector, tmp_path):
    random_export.main(["--out", str(tmp_path / "out"), "--detector", str(detector), "--seed", "4"])
    stored = torch.jit.load(str(tmp_path / "out" / "explainer.pt")).float().eval()
    maps, S, p, g = [torch.randn(2, 2, 224, 224)] * 3, torch.rand(2, 2, 224, 224), torch.rand(2, 2), torch.randn(2, 384)
    with torch.no_grad():
        P, V = stored.prompt_learner(maps, S, p), stored.visual_projection(g)
    assert P.shape == (2, 9, 576) and V.shape == (2, 576)
    factors, _ = read_adapter(tmp_path / "out" / "explainer-lora.gguf")
    assert len(factors) == 240 and factors["blk.29.attn_v.weight.lora_b"].shape == (192, 8)


def test_a_reference_follows_the_exported_files(file, detector, tmp_path, monkeypatch):
    monkeypatch.setitem(export.LANGUAGE_MODEL, "sha256", sha256_of(file))
    trained = adapted_model(file)
    factors = adapter_tensors(trained.state_dict())
    export.write_explainer(small_prompts(), factors, {}, tmp_path / "out", maturity="demonstration", training={}, metrics={})
    model, _, _ = parity.load_exported(tmp_path / "out" / "explainer.kfd.json", file)
    rows = torch.randn(11, 64)
    records, logits = parity.Reference(model).dialogue(EVIDENCE, rows, ["Is it fake?", "Where?"])
    assert [record["question"] for record in records] == ["Is it fake?", "Where?"] and int(logits.argmax()) == records[0]["tokens"][0]
    whole = DialogueEncoder(model.encode).dialogue(0, EVIDENCE, [corpus.Turn("Is it fake?", "", "verdict")])
    with torch.no_grad():
        expected = model.logits(model.hidden(embed(model, torch.tensor([whole.tokens[:-1]]), rows[None])))[0, -1]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    _, visual, numbers, evidence = parity.pieces(DialogueEncoder(model.encode), EVIDENCE)
    assert visual == [3] and evidence == list(PLACEHOLDERS[1:]) and model.tokenizer.decode(numbers).startswith("</Img> According")
    with pytest.raises(ValueError, match="does not belong to"):
        (tmp_path / "out" / "explainer-lora.gguf").write_bytes(b"")
        parity.load_exported(tmp_path / "out" / "explainer.kfd.json", file)


def test_the_adapter_survives_a_numpy_reader(file, tmp_path):
    """The bytes of one factor as llama.cpp maps them."""
    model = adapted_model(file)
    write_adapter(adapter_tensors(model.state_dict()), tmp_path / "a.gguf")
    tensor = next(t for t in gguf.GGUFReader(str(tmp_path / "a.gguf")).tensors if t.name == "blk.0.attn_v.weight.lora_b")
    np.testing.assert_array_equal(tensor.data, model.blocks[0].lora["v"].B.numpy().astype(np.float16))
