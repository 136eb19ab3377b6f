"""What PyTorch answers with an exported explainer, in float32: the reference for the llama.cpp path.

Writes reference.json (evidence, token pieces, questions, answers) and reference.npz: `rows` (n,11,width) soft rows in the order of the
placeholders, `logits` (m,vocabulary) of the first answer token of the first m faces' first question.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kfd_export.files import sha256_of, write_json, write_whole

from . import corpus
from .batches import END, PLACEHOLDERS, DialogueEncoder, question_text
from .language_model import Conversation, LanguageModel
from .lora import read_adapter, state_of_adapter
from .pictures import DetectedPictures
from .train import LANGUAGE_MODEL, embed

QUESTIONS = ("verdict", "where", "region", "why", "sure", "off-topic", "unknown", "pushback")


def load_exported(manifest: Path, language_model: Path) -> tuple[LanguageModel, torch.jit.ScriptModule, dict]:
    """(language model in float32 with the adapter's factors, prompts in float32, manifest) of files that belong together."""
    described = json.loads(manifest.read_text(encoding="utf-8"))
    explainer = described["explainer"]
    expected = {
        manifest.parent / described["file"]: described["sha256"],
        manifest.parent / explainer["adapter"]["file"]: explainer["adapter"]["sha256"],
        language_model: explainer["languageModel"]["sha256"],
    }
    for path, sha256 in expected.items():
        if sha256_of(path) != sha256:
            raise ValueError(f"expected {path} with SHA-256 {sha256}, got {sha256_of(path)}; it does not belong to {manifest}")
    model = LanguageModel(language_model, torch.float32, lora=True)
    factors, alpha = read_adapter(manifest.parent / explainer["adapter"]["file"])
    model.load_state_dict(state_of_adapter(factors), strict=True)
    scale = model.blocks[0].lora["q"].scale
    if abs(alpha / factors["blk.0.attn_q.weight.lora_a"].shape[0] - scale) > 1e-6:
        raise ValueError(f"expected an adapter of scale {scale}, got alpha {alpha}")
    prompts = torch.jit.load(str(manifest.parent / described["file"])).float().eval()
    return model.eval().requires_grad_(False), prompts, described


class Reference:
    """Greedy dialogues about faces whose soft rows are given."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.encoder = DialogueEncoder(model.encode)
        (self.end,) = model.encode(END)

    def dialogue(self, evidence, rows: Tensor, questions: list[str]) -> tuple[list[dict], Tensor]:
        """(a record for each question, logits of the first answer's first token). rows (11,width)."""
        conversation = Conversation(self.model)
        prefix = torch.tensor([self.encoder.prefix(evidence)])
        embedded = embed(self.model, prefix, rows[None])[0]
        records, first = [], None
        for index, question in enumerate(questions):
            asked = self.model.embed(list(self.encoder.encode(question_text(question, first=index == 0))))
            conversation.feed(torch.cat([embedded, asked]) if index == 0 else asked)
            first = conversation.logits if first is None else first
            tokens = conversation.answer(self.end)
            records.append({"question": question, "tokens": tokens, "answer": self.model.tokenizer.decode(tokens)})
        return records, first


def pieces(encoder: DialogueEncoder, evidence) -> list[list[int]]:
    """The prefix as token runs: text, visual token, text, forgery prompts and score token."""
    tokens = encoder.prefix(evidence)
    visual = tokens.index(PLACEHOLDERS[0])
    rest = len(tokens) - len(PLACEHOLDERS) + 1
    return [tokens[:visual], tokens[visual : visual + 1], tokens[visual + 1 : rest], tokens[rest:]]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain reference", description=__doc__)
    parser.add_argument("--explainer", type=Path, required=True, help="explainer.kfd.json beside its files")
    parser.add_argument("--language-model", type=Path, default=LANGUAGE_MODEL)
    parser.add_argument("--detections", type=Path, required=True, help="store written by detections")
    parser.add_argument("--split", default="calibration")
    parser.add_argument("--faces", type=int, default=100)
    parser.add_argument("--questions", type=int, default=1, help="asked of each face, one after the other")
    parser.add_argument("--logits", type=int, default=20, help="faces whose first logits are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for reference.json and reference.npz")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    from . import detections

    model, prompts, described = load_exported(arguments.explainer, arguments.language_model)
    pictures = DetectedPictures(detections.load(arguments.detections, arguments.split), prompts)
    reference, rng = Reference(model), np.random.default_rng(arguments.seed)
    faces, rows, logits = [], [], []
    for number in range(arguments.faces):
        picture = pictures.draw(rng)
        evidence = pictures.evidence(picture)
        with torch.inference_mode():
            soft = pictures.soft_rows([picture])[0]
        kinds = [QUESTIONS[(number + i) % len(QUESTIONS)] for i in range(arguments.questions)]
        asked = [corpus.one_turn(kind, evidence, rng) for kind in kinds]
        records, first = reference.dialogue(evidence, soft, [turn.question for turn in asked])
        for record, turn in zip(records, asked):
            record.update(kind=turn.kind, trained=turn.answer)
        given = {"score": evidence.score, "threshold": evidence.threshold, "extent": evidence.extent, "namedRegions": list(evidence.named)}
        faces.append({"evidence": given, "pieces": pieces(reference.encoder, evidence), "turns": records})
        rows.append(soft.numpy())
        if number < arguments.logits:
            logits.append(first.numpy())
        print(f"{number + 1}/{arguments.faces} {records[-1]['answer']}", flush=True)
    arrays = {"rows": np.stack(rows), "logits": np.stack(logits)}
    write_whole(arguments.out / "reference.npz", lambda temporary: np.savez_compressed(temporary, **arrays))
    identity = {"prompts": described["sha256"], "adapter": described["explainer"]["adapter"]["sha256"]}
    exact = [record["answer"] == record["trained"] for face in faces for record in face["turns"]]
    summary = {"exact": sum(exact), "answers": len(exact)}
    write_json(arguments.out / "reference.json", {"models": identity, "placeholders": list(PLACEHOLDERS), **summary, "faces": faces})
    print(json.dumps(summary))
