"""The language model read from a GGUF: against a plain LLaMA, its derivatives, cached decoding, tokens."""

import json
import os
from pathlib import Path

import pytest
import tiny_gguf
import torch
from torch.nn import functional as F

from kfd_explain.attention import Attention, Rotation, quarter_turn
from kfd_explain.language_model import Conversation, LanguageModel, open_gguf, read_tokenizer

torch.set_num_threads(1)
HERE = Path(__file__).parent
REAL = Path(os.environ.get("KFD_LANGUAGE_MODEL", HERE.parents[1] / ".cache" / "llama" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
with_real_model = pytest.mark.skipif(not REAL.is_file(), reason="no SmolLM2 file: set KFD_LANGUAGE_MODEL")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_gguf.write_language_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def model(file):
    torch.manual_seed(0)
    model = LanguageModel(file, torch.float32, lora=True)
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            parameter.data.normal_(0, 0.1)
    return model.requires_grad_(False)


def plain_llama(model: LanguageModel, x: torch.Tensor) -> torch.Tensor:
    """The architecture as one writes it down first: complex rotations, repeated keys, no joint matrices. x (T,width) -> (T,width)."""
    shape = model.shape
    d, length = shape.head_width, len(x)
    angles = torch.outer(torch.arange(length).float(), shape.rope_base ** (-torch.arange(0, d, 2).float() / d))
    turns = torch.polar(torch.ones_like(angles), angles)

    def norm(x, weight):
        return x * (x.square().mean(-1, keepdim=True) + shape.epsilon).rsqrt() * weight

    def turned(x):
        return torch.view_as_real(torch.view_as_complex(x.reshape(length, -1, d // 2, 2).contiguous()) * turns[:, None]).flatten(-2)

    for block in model.blocks:
        narrow = shape.kv_heads * d
        joint = block.query_key_value.split([shape.width, narrow, narrow])
        weights = dict(zip("qkv", joint), o=block.output)
        full = {name: weights[name] + block.lora[name].scale * block.lora[name].B @ block.lora[name].A for name in "qkvo"}
        h = norm(x, block.attention_norm)
        q, k, v = turned(h @ full["q"].T), turned(h @ full["k"].T), (h @ full["v"].T).view(length, -1, d)
        k, v = (t.repeat_interleave(shape.heads // shape.kv_heads, dim=1) for t in (k, v))
        scores = torch.einsum("thd,shd->hts", q, k) / d**0.5
        scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), float("-inf"))
        x = x + torch.einsum("hts,shd->thd", scores.softmax(-1), v).flatten(1) @ full["o"].T
        h = norm(x, block.feed_forward_norm)
        gate, up = block.gate_up.chunk(2)
        x = x + (F.silu(h @ gate.T) * (h @ up.T)) @ block.down.T
    return norm(x, model.norm)


def test_it_computes_what_a_plain_llama_computes(model):
    tokens = model.encode("<|im_start|>user\nIs the left eye marked?<|im_end|>\n")
    expected = plain_llama(model, model.embed(tokens))
    torch.testing.assert_close(model.hidden(model.embed(tokens)[None])[0], expected, atol=2e-5, rtol=1e-4)


def test_a_position_does_not_see_later_ones(model):
    tokens = model.encode("the nose, the eye")
    before = model.hidden(model.embed(tokens)[None])
    after = model.hidden(model.embed([*tokens[:-1], 20])[None])
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1], atol=1e-2)


def test_padding_on_the_right_changes_nothing(model):
    tokens = model.encode("the nose")
    padded = model.hidden(model.embed([*tokens, 0, 0, 0])[None])[:, : len(tokens)]
    torch.testing.assert_close(padded, model.hidden(model.embed(tokens)[None]))


def test_stored_keys_give_the_same_as_one_pass(model):
    tokens = model.encode("the left side of the jaw")
    conversation = Conversation(model)
    for part in (tokens[:3], tokens[3:4], tokens[4:]):
        conversation.feed(model.embed(part))
    torch.testing.assert_close(conversation.logits, model.logits(model.hidden(model.embed(tokens)[None]))[0, -1], atol=1e-4, rtol=1e-4)


def test_an_answer_is_the_likeliest_token_each_time(model):
    conversation = Conversation(model)
    conversation.feed(model.embed(model.encode("the ")))
    answer = conversation.answer(stop=-1, limit=5)
    tokens = model.encode("the ")
    for token in answer:
        assert token == int(model.logits(model.hidden(model.embed(tokens)[None]))[0, -1].argmax())
        tokens.append(token)
    stopped = Conversation(model)
    stopped.feed(model.embed(model.encode("the ")))
    assert stopped.answer(stop=answer[2], limit=5) == answer[: answer.index(answer[2])]


def test_bfloat16_stays_near_float32(file):
    tokens = [30, 40, 50, 60, 70, 80]
    exact, rough = (LanguageModel(file, dtype) for dtype in (torch.float32, torch.bfloat16))
    a, b = (m.logits(m.hidden(m.embed(tokens)[None])) for m in (exact, rough))
    assert 0 < float((a - b).abs().max()) < 0.05 * float(a.abs().max())


def test_the_derivatives_are_right():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    angles = torch.randn(3, 1, 3, dtype=torch.float64).repeat_interleave(2, dim=-1)
    assert torch.autograd.gradcheck(lambda x: Rotation.apply(x, angles.cos(), angles.sin(), quarter_turn(6, torch.float64)), x)
    q, k, v = (torch.randn(2, length, 4, dtype=torch.float64, requires_grad=True) for length in (6, 3, 3))
    mask = torch.full((3, 3), float("-inf"), dtype=torch.float64).triu(1).repeat(2, 1)
    assert torch.autograd.gradcheck(lambda q, k, v: Attention.apply(q, k, v, mask)[0], (q, k, v))


def test_unsuitable_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a GGUF language model"):
        LanguageModel(tmp_path / "none.gguf")
    with pytest.raises(ValueError, match="llama architecture.*gpt2"):
        LanguageModel(tiny_gguf.write_language_model(tmp_path / "other.gguf", architecture="gpt2"))


def test_too_long_a_text_is_refused(model):
    with pytest.raises(ValueError, match="at most 2048 positions, got 2049"):
        model.hidden(torch.zeros(1, 2049, model.shape.width))


@with_real_model
def test_tokens_are_those_of_llama_cpp():
    tokenizer = read_tokenizer(open_gguf(REAL))
    cases = json.loads((HERE / "smollm2_tokens.json").read_text())["texts"]
    assert len(cases) == 20
    for case in cases:
        assert tokenizer.encode(case["text"], add_special_tokens=False).ids == case["ids"], case["text"]


@with_real_model
def test_the_real_model_knows_the_capital_of_france():
    model = LanguageModel(REAL)
    conversation = Conversation(model)
    conversation.feed(model.embed(model.encode("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n")))
    answer = model.tokenizer.decode(conversation.answer(stop=2, limit=24))
    assert answer.startswith("The capital of France is Paris")
