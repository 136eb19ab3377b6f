"""A LLaMA-architecture GGUF of random weights with SmolLM's special tokens and a byte vocabulary: a language model for tests."""

from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", "<issue_start>",
    "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>",
)  # fmt: skip
MERGES = ("t h", "th e", "Ġ the", "e y")
WIDTH, BLOCKS, HEADS, KV_HEADS, HIDDEN = 64, 2, 4, 2, 96


def write_language_model(path: Path, seed: int = 0, architecture: str = "llama") -> Path:
    rng = np.random.default_rng(seed)
    tokens = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))

    def add(name: str, *shape: int) -> None:
        values = rng.normal(0, shape[-1] ** -0.5, shape) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    add("token_embd", len(tokens), WIDTH)
    add("output_norm", WIDTH)
    narrow = KV_HEADS * WIDTH // HEADS
    for block in range(BLOCKS):
        for name, outputs in (("attn_q", WIDTH), ("attn_k", narrow), ("attn_v", narrow), ("attn_output", WIDTH), ("ffn_gate", HIDDEN), ("ffn_up", HIDDEN)):
            add(f"blk.{block}.{name}", outputs, WIDTH)
        add(f"blk.{block}.ffn_down", WIDTH, HIDDEN)
        add(f"blk.{block}.attn_norm", WIDTH)
        add(f"blk.{block}.ffn_norm", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
