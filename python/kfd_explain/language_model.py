"""A LLaMA-architecture language model read from its GGUF file, frozen, with trainable LoRA factors (spec smollm-explainer section 3).

The weights keep the GGUF's layout (q and k rows in the order of interleaved RoPE), so that adapters export without a permutation.
Matrix products run in `dtype` (bfloat16 in training, float32 for references); the residual stream and the norms stay in float32.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, Rotation, quarter_turn
from .lora import LowRank

SPECIAL_TOKEN_TYPES = (3, 4)  # control and user-defined tokens of a GGUF vocabulary
CONTEXT = 2048  # positions for which rotations are stored; dialogues have a few hundred


@dataclass(frozen=True)
class Shape:
    """Sizes of the network, from the GGUF's keys."""

    width: int
    blocks: int
    heads: int
    kv_heads: int
    epsilon: float
    rope_base: float

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def _field(reader: gguf.GGUFReader, key: str):
    field = reader.fields.get(key)
    if field is None:
        raise ValueError(f"expected the key {key} in the GGUF file, found none; is it a LLaMA-architecture language model?")
    return field.contents()


def open_gguf(path: Path) -> gguf.GGUFReader:
    """Raises FileNotFoundError or ValueError if there is no LLaMA-architecture model at `path`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a GGUF language model at {path}; `kfd-native setup` fetches the default one")
    reader = gguf.GGUFReader(str(path))
    if _field(reader, "general.architecture") != "llama":
        raise ValueError(f"expected a language model of the llama architecture in {path}, got {_field(reader, 'general.architecture')}")
    return reader


def read_shape(reader: gguf.GGUFReader) -> Shape:
    def get(key: str):
        return _field(reader, f"llama.{key}")

    return Shape(
        width=int(get("embedding_length")),
        blocks=int(get("block_count")),
        heads=int(get("attention.head_count")),
        kv_heads=int(get("attention.head_count_kv")),
        epsilon=float(get("attention.layer_norm_rms_epsilon")),
        rope_base=float(get("rope.freq_base")),
    )


def read_tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    """SmolLM's byte-level BPE: digits one by one, then GPT-2's pattern. Special tokens in a text are recognised."""
    if _field(reader, "tokenizer.ggml.pre") != "smollm":
        raise ValueError(f"expected the pre-tokenizer smollm, got {_field(reader, 'tokenizer.ggml.pre')}: its rules are not known here")
    tokens, types = _field(reader, "tokenizer.ggml.tokens"), _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind in SPECIAL_TOKEN_TYPES])
    return tokenizer


def _dequantise(tensor: gguf.ReaderTensor) -> Tensor:
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return torch.from_numpy(np.array(values, dtype=np.float32))


def token_embeddings(path: Path) -> tuple[Tensor, Tokenizer]:
    """(table (vocabulary,width) float32, tokenizer) without the rest of the network."""
    reader = open_gguf(path)
    table = next(t for t in reader.tensors if t.name == "token_embd.weight")
    return _dequantise(table), read_tokenizer(reader)


class Block(nn.Module):
    """One pre-norm block. The three input projections of the attention are one matrix product, and so are gate and up."""

    def __init__(self, tensors: dict[str, Tensor], shape: Shape, dtype: torch.dtype, lora: bool):
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.narrow = shape.kv_heads * shape.head_width

        def keep(name: str, *sources: str, kind: torch.dtype = dtype) -> None:
            self.register_buffer(name, torch.cat([tensors[f"{source}.weight"] for source in sources]).to(kind), persistent=False)

        self.register_buffer("quarter", quarter_turn(shape.head_width, dtype), persistent=False)
        keep("attention_norm", "attn_norm", kind=torch.float32)
        keep("feed_forward_norm", "ffn_norm", kind=torch.float32)
        keep("query_key_value", "attn_q", "attn_k", "attn_v")
        keep("output", "attn_output")
        keep("gate_up", "ffn_gate", "ffn_up")
        keep("down", "ffn_down")
        outputs = {"q": shape.width, "k": self.narrow, "v": self.narrow, "o": shape.width}
        self.lora = nn.ModuleDict({name: LowRank(shape.width, size) for name, size in outputs.items()} if lora else {})

    def adapted(self, x: Tensor, weight: Tensor, names: str) -> Tensor:
        """x W^T + LoRA of the projections `names`, which lie one below the other in W."""
        y = F.linear(x, weight)
        if not self.lora:
            return y
        parts = [self.lora[name] for name in names]
        inner = F.linear(x, torch.cat([part.A for part in parts]).to(self.dtype))
        outer = torch.block_diag(*[part.B * part.scale for part in parts]).to(self.dtype)
        return torch.addmm(y.flatten(0, 1), inner.flatten(0, 1), outer.t()).view_as(y)

    def attend(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, past: list[Tensor] | None) -> Tensor:
        batch, length, shape = x.shape[0], x.shape[1], self.shape
        heads, groups, d = shape.kv_heads, shape.heads // shape.kv_heads, shape.head_width
        joint = self.adapted(x, self.query_key_value, "qkv").view(batch, length, shape.heads + 2 * heads, d)
        turned = Rotation.apply(joint[:, :, : shape.heads + heads], cosine, sine, self.quarter)
        q = turned[:, :, : shape.heads].reshape(batch, length, heads, groups, d).permute(0, 2, 3, 1, 4)
        k, v = turned[:, :, shape.heads :].transpose(1, 2), joint[:, :, shape.heads + heads :].transpose(1, 2)
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            past[:] = [k, v]
        scaled = q.reshape(batch * heads, groups * length, d) * d**-0.5
        y, _ = Attention.apply(scaled, k.reshape(batch * heads, -1, d), v.reshape(batch * heads, -1, d), mask)
        y = y.view(batch, heads, groups, length, d).permute(0, 3, 1, 2, 4).reshape(batch, length, shape.width)
        return self.adapted(y, self.output, "o")

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor, past: list[Tensor] | None = None) -> Tensor:
        """x (B,T,width) float32, before and after. `past`: keys and values of earlier positions, extended in place."""
        epsilon, width = self.shape.epsilon, (self.shape.width,)
        x = x + self.attend(F.rms_norm(x, width, self.attention_norm, epsilon).to(self.dtype), cosine, sine, mask, past)
        hidden = F.rms_norm(x, width, self.feed_forward_norm, epsilon).to(self.dtype)
        gate, up = F.linear(hidden, self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)


class LanguageModel(nn.Module):
    """Embeddings in, hidden states out; only the LoRA factors are parameters.

    `dtype`: of the matrix products. `lora`: whether there are (zero-initialised) LoRA factors on q, k, v and o of all blocks.
    """

    def __init__(self, path: Path, dtype: torch.dtype = torch.float32, lora: bool = False):
        super().__init__()
        reader = open_gguf(path)
        self.shape, self.dtype, self.tokenizer = read_shape(reader), dtype, read_tokenizer(reader)
        tensors = {tensor.name: _dequantise(tensor) for tensor in reader.tensors}
        table = tensors["token_embd.weight"]
        self.register_buffer("embeddings", table, persistent=False)
        self.register_buffer("head", tensors.get("output.weight", table).to(dtype), persistent=False)
        self.register_buffer("norm", tensors["output_norm.weight"], persistent=False)
        self.blocks = nn.ModuleList()
        for index in range(self.shape.blocks):
            prefix = f"blk.{index}."
            own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            self.blocks.append(Block(own, self.shape, dtype, lora))
        d = self.shape.head_width
        angles = torch.outer(torch.arange(CONTEXT).float(), self.shape.rope_base ** (-torch.arange(0, d, 2).float() / d)).repeat_interleave(2, dim=1)
        self.register_buffer("cosine", angles.cos()[:, None].to(dtype), persistent=False)
        self.register_buffer("sine", angles.sin()[:, None].to(dtype), persistent=False)

    def mask(self, length: int, start: int) -> Tensor:
        """(g * length, start + length): -inf where a position would look ahead; one copy a query head of a group."""
        causal = torch.full((length, start + length), float("-inf"), dtype=self.dtype).triu(start + 1)
        return causal.repeat(self.shape.heads // self.shape.kv_heads, 1)

    def hidden(self, embedded: Tensor, past: list[list[Tensor]] | None = None) -> Tensor:
        """(B,T,width) float32 token embeddings and soft rows -> normed last hidden states in `dtype`.

        `past`: one list a block, empty at first; with it, `embedded` continues what was given before.
        """
        start = past[0][0].shape[2] if past and past[0] else 0
        length = embedded.shape[1]
        if start + length > CONTEXT:
            raise ValueError(f"expected at most {CONTEXT} positions, got {start + length}; shorten the dialogue")
        cosine, sine, mask = self.cosine[start : start + length], self.sine[start : start + length], self.mask(length, start)
        x = embedded
        for index, block in enumerate(self.blocks):
            x = block(x, cosine, sine, mask, None if past is None else past[index])
        return F.rms_norm(x, (self.shape.width,), self.norm, self.shape.epsilon).to(self.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """(...,width) -> (...,vocabulary) float32."""
        return F.linear(hidden, self.head).float()

    def encode(self, text: str) -> list[int]:
        """Token ids without a start token; special tokens in the text become theirs."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def embed(self, tokens: list[int] | Tensor) -> Tensor:
        """(T,width) float32."""
        return self.embeddings[torch.as_tensor(tokens)]


class Conversation:
    """Greedy decoding with stored keys and values, one sequence."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.past: list[list[Tensor]] = [[] for _ in model.blocks]
        self.logits: Tensor | None = None

    @torch.inference_mode()
    def feed(self, rows: Tensor) -> None:
        """Appends (T,width) embeddings; `logits` (vocabulary,) then belong to the last of them."""
        self.logits = self.model.logits(self.model.hidden(rows[None], self.past)[0, -1])

    def answer(self, stop: int, limit: int = 128) -> list[int]:
        """Greedy tokens until `stop` (not contained, but fed) or `limit`."""
        if self.logits is None:
            raise ValueError("expected a prefix before the answer, got none; call feed first")
        tokens: list[int] = []
        while len(tokens) < limit:
            token = int(self.logits.argmax())
            self.feed(self.model.embed([token]))
            if token == stop:
                break
            tokens.append(token)
        return tokens
