"""Training of LoRA, visual projection and, if wanted, prompt learner on dialogues; language model and detector stay frozen.

Stretches: on drawn evidence with ideal prompts (--source drawn; only the LoRA learns, no detections needed), then on real
detections (--source detections --start CHECKPOINT). A stretch writes a checkpoint every few minutes and resumes from it exactly.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kfd_export.files import sha256_of
from kfd_train.schedule import rate_factor

from . import corpus
from .batches import PLACEHOLDERS, Batch, BatchStream, Dialogue, DialogueEncoder, bucketed, collate
from .language_model import LanguageModel
from .lora import read_adapter, state_of_adapter
from .pictures import DetectedPictures, DrawnPictures, MixedPictures, Pictures
from .slots import slot_basis

CHECKPOINT_SECONDS = 180
SUMMARY = ("source", "step", "dialogues", "tokens", "seconds", "loss")
COUNTERS = (*SUMMARY, "validations", "earlier")
LANGUAGE_MODEL = Path(os.environ.get("KFD_LANGUAGE_MODEL", "../.cache/llama/SmolLM2-135M-Instruct.Q4_1.gguf"))


@dataclass
class Config:
    """Rates are the largest of the run: warm-up in steps, constant, cool-down over the last minutes of CPU time."""

    minutes: float = 30.0
    cool_down_minutes: float = 12.0
    warm_up_steps: int = 30
    tokens: int = 700  # a batch
    lora_rate: float = 1e-3
    visual_rate: float = 1e-3
    prompts_rate: float = 0.0  # 0: the prompt learner stays as it was pre-trained
    clip: float = 1.0
    noise: float = 0.7  # of drawn prompts, as a share of their spread
    drawn_share: float = 0.3  # of the faces of stretch 2
    seed: int = 1
    report_every_steps: int = 25
    validate_every_minutes: float = 8.0
    validation_dialogues: int = 40


def embed(model: LanguageModel, tokens: Tensor, soft_rows: Tensor) -> Tensor:
    """Token embeddings (B,T,width) with the placeholders replaced by `soft_rows` (B,11,width), in their order."""
    place = torch.isin(tokens, torch.tensor(PLACEHOLDERS))
    if int(place.sum()) != soft_rows.shape[0] * soft_rows.shape[1]:
        raise ValueError(f"expected {soft_rows.shape[0] * soft_rows.shape[1]} placeholders for the soft rows, got {int(place.sum())}")
    return model.embeddings[tokens].masked_scatter(place[..., None], soft_rows.flatten(0, 1))


def learnt_logits(model: LanguageModel, batch: Batch, soft_rows: Tensor) -> tuple[Tensor, Tensor]:
    """(logits (n,vocabulary), tokens (n,)) of the learnt positions only: the vocabulary is half as expensive as the network."""
    hidden = model.hidden(embed(model, batch.tokens, soft_rows))
    learned = batch.learned[:, 1:]
    return model.logits(hidden[:, :-1][learned]), batch.tokens[:, 1:][learned]


class Trainer:
    """One stretch of training: its state is what a checkpoint holds."""

    def __init__(self, model: LanguageModel, pictures: Pictures, prompts: nn.Module | None, config: Config):
        self.model, self.pictures, self.prompts, self.config = model, pictures, prompts, config
        self.source = "drawn" if prompts is None else "detections"
        self.earlier: list[dict] = []  # the stretches that this one started from
        self.encoder = DialogueEncoder(model.encode)
        self.stream = BatchStream(self.draw, config.seed, config.tokens)
        groups = [{"params": list(model.parameters()), "rate": config.lora_rate}]
        if prompts is not None:
            prompts.eval()  # BatchNorm keeps the statistics of its pre-training: a batch has three pictures
            prompts.prompt_learner.requires_grad_(config.prompts_rate > 0)
            if config.prompts_rate > 0:
                groups.append({"params": list(prompts.prompt_learner.parameters()), "rate": config.prompts_rate})
            groups.append({"params": list(prompts.visual_projection.parameters()), "rate": config.visual_rate})
        self.optimiser = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
        self.step = self.tokens = self.dialogues = 0
        self.seconds = 0.0  # CPU time of all parts of this stretch
        self.loss: float | None = None  # moving average
        self.validations: list[dict] = []

    def draw(self, rng: np.random.Generator) -> Dialogue:
        picture = self.pictures.draw(rng)
        evidence = self.pictures.evidence(picture)
        turns = corpus.dialogue(rng, evidence)
        return self.encoder.dialogue(picture, evidence, turns)

    def train_step(self, batch: Batch) -> float:
        factor = rate_factor(asdict(self.config), self.seconds / 60, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        logits, tokens = learnt_logits(self.model, batch, self.pictures.soft_rows(batch.pictures))
        loss = F.cross_entropy(logits, tokens)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.config.clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"expected a finite gradient, got {float(norm)} at step {self.step}; lower the rates")
        self.optimiser.step()
        value = float(loss.detach())
        self.loss = value if self.loss is None else 0.97 * self.loss + 0.03 * value
        self.step += 1
        self.tokens += sum(len(dialogue.tokens) for dialogue in batch.dialogues)
        self.dialogues += len(batch.dialogues)
        return value

    def run(self, checkpoint: Path, validate=None, most_steps: int | None = None) -> None:
        """Trains until the CPU minutes are spent (or `most_steps` steps are made in all); writes `checkpoint` on the way and at the end."""
        started, before, written = time.process_time(), self.seconds, time.monotonic()
        batches = iter(self.stream)
        while self.seconds < 60 * self.config.minutes and (most_steps is None or self.step < most_steps):
            self.train_step(next(batches))
            self.seconds = before + time.process_time() - started
            if self.step % self.config.report_every_steps == 0:
                self.report()
            if validate and self.seconds / 60 >= self.config.validate_every_minutes * (len(self.validations) + 1):
                self.add_validation(validate())
            if time.monotonic() - written > CHECKPOINT_SECONDS:
                self.save(checkpoint)
                written = time.monotonic()
        if validate and not (self.validations and self.validations[-1]["dialogues"] == self.dialogues):
            self.add_validation(validate())
        self.save(checkpoint)

    def add_validation(self, figures: dict) -> None:
        self.validations.append({"minutes": round(self.seconds / 60, 1), "dialogues": self.dialogues, **figures})
        print(json.dumps(self.validations[-1]), flush=True)

    def report(self) -> None:
        speed = self.tokens / max(self.seconds, 1e-9)
        print(f"step {self.step} dialogues {self.dialogues} cpu {self.seconds:.0f}s {speed:.0f} tokens/cpu-s loss {self.loss:.4f}", flush=True)

    def state(self) -> dict:
        return {
            "config": asdict(self.config),
            "lora": self.model.state_dict(),
            "prompts": None if self.prompts is None else self.prompts.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "position": list(self.stream.position),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def save(self, path: Path) -> None:
        """Writes under a temporary name, then renames."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        torch.save(self.state(), temporary)
        os.replace(temporary, path)

    def start_from(self, state: dict) -> None:
        """Takes the weights of another stretch (or of exported_state); optimiser and counters start afresh."""
        self.earlier = stretches(state)
        self.model.load_state_dict(state["lora"], strict=True)
        if self.prompts is None:
            return
        if "visual" in state:
            self.prompts.visual_projection.load_state_dict(state["visual"])
        elif state["prompts"] is not None:
            self.prompts.load_state_dict(state["prompts"])

    def resume(self, state: dict) -> None:
        """Goes on where a checkpoint of this stretch ended; the rates are this configuration's."""
        self.start_from(state)
        rates = [group["rate"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, rate in zip(self.optimiser.param_groups, rates):
            group["rate"] = rate
        self.stream.position = tuple(state["position"])
        for name in COUNTERS:
            setattr(self, name, state[name])


def stretches(state: dict) -> list[dict]:
    """What a checkpoint was trained on: its own stretch last. An exported explainer has no stretch of its own."""
    own = [{name: state[name] for name in SUMMARY}] if "step" in state else []
    return [*state["earlier"], *own]


def exported_state(manifest: Path) -> dict:
    """What an exported explainer gives to a new detector: the adapter and the visual projection. Its prompt learner belongs to the old
    detector's regions and stays behind. Raises ValueError if files and manifest do not belong together."""
    described = json.loads(manifest.read_text(encoding="utf-8"))
    files = {"module": described, "adapter": described["explainer"]["adapter"]}
    for entry in files.values():
        found = sha256_of(manifest.parent / entry["file"])
        if found != entry["sha256"]:
            raise ValueError(f"expected {entry['file']} with SHA-256 {entry['sha256']}, got {found}; manifest and files do not belong together")
    factors, _ = read_adapter(manifest.parent / files["adapter"]["file"])
    module = torch.jit.load(str(manifest.parent / files["module"]["file"]), map_location="cpu").float()
    visual = {name: value.detach().clone() for name, value in module.visual_projection.state_dict().items()}
    return {"lora": state_of_adapter(factors), "visual": visual, "earlier": described["training"]["stretches"]}


def load_start(path: Path) -> dict:
    """A checkpoint, or an explainer's manifest (*.kfd.json)."""
    return exported_state(path) if path.suffix == ".json" else torch.load(path, map_location="cpu", weights_only=True)


@torch.inference_mode()
def exact_answers(model: LanguageModel, pictures: Pictures, dialogues: list[Dialogue], tokens: int = 1500) -> dict:
    """Share of answers that greedy decoding gives word for word, in all and by kind.

    One pass over the right answers tells it: greedy decoding follows them exactly if every token of them is the likeliest one.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    for group in bucketed(dialogues, tokens):
        batch = collate(group)
        logits, expected = learnt_logits(model, batch, pictures.soft_rows(batch.pictures))
        hit = torch.zeros_like(batch.learned)
        hit[:, 1:][batch.learned[:, 1:]] = logits.argmax(dim=-1) == expected
        for row, dialogue in enumerate(group):
            for start, end, kind in dialogue.answers:
                right[kind].append(bool(hit[row, start:end].all()))
    count = sum(map(len, right.values()))
    by_kind = {kind: [sum(values), len(values)] for kind, values in sorted(right.items())}
    return {"exact": round(sum(sum(v) for v in right.values()) / max(1, count), 4), "answers": count, "kinds": by_kind}


def draw_dialogues(trainer: Trainer, pictures: Pictures, count: int, seed: int) -> list[Dialogue]:
    """A fixed list for validation, drawn from `pictures`."""
    rng, dialogues = np.random.default_rng(seed), []
    for _ in range(count):
        picture = pictures.draw(rng)
        evidence = pictures.evidence(picture)
        dialogues.append(trainer.encoder.dialogue(picture, evidence, corpus.dialogue(rng, evidence)))
    return dialogues


def drawn_pictures(model: LanguageModel, config: Config) -> DrawnPictures:
    base, marks = slot_basis(model.embeddings, model.tokenizer)
    return DrawnPictures(base, marks, word_row(model, " face"), config.noise)


def word_row(model: LanguageModel, word: str) -> Tensor:
    """(width,): mean embedding of the word's tokens."""
    return model.embed(model.encode(word)).mean(dim=0)


def start_visual(projection: nn.Linear, g: Tensor, face: Tensor) -> None:
    """Starts the visual token at the word " face" plus a small random image of the standardised embedding; g (n,D)."""
    mean, spread = g.mean(dim=0), g.std(dim=0) + 1e-6
    with torch.no_grad():
        weight = 0.5 * face.std() * torch.randn(projection.weight.shape) / g.shape[1] ** 0.5 / spread
        projection.weight.copy_(weight)
        projection.bias.copy_(face - weight @ mean)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain train", description=__doc__)
    parser.add_argument("--source", choices=("drawn", "detections"), required=True)
    parser.add_argument("--language-model", type=Path, default=LANGUAGE_MODEL, help="SmolLM2-135M-Instruct as GGUF")
    parser.add_argument("--detections", type=Path, help="store written by detections (source detections)")
    parser.add_argument("--prompts", type=Path, help="prompt learner written by prompts (source detections)")
    parser.add_argument("--start", type=Path, help="checkpoint of another stretch, or manifest of an exported explainer, to start from")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write; resumed from if it is there")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help=f"settings: {', '.join(asdict(Config()))}")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    config = Config(**{name: type(getattr(Config, name))(value) for name, value in (item.split("=", 1) for item in arguments.set)})
    torch.manual_seed(config.seed)
    model = LanguageModel(arguments.language_model, torch.bfloat16, lora=True)
    if arguments.source == "drawn":
        prompts, pictures = None, drawn_pictures(model, config)
        checked: Pictures = pictures
    else:
        prompts, detected, checked = detected_pictures(model, arguments)
        pictures = MixedPictures(detected, drawn_pictures(model, config), config.drawn_share)
    trainer = Trainer(model, pictures, prompts, config)
    if arguments.out.is_file():
        trainer.resume(torch.load(arguments.out, map_location="cpu", weights_only=True))
        print(f"resumed at step {trainer.step}, {trainer.seconds / 60:.1f} minutes", flush=True)
    elif arguments.start:
        trainer.start_from(load_start(arguments.start))
    dialogues = draw_dialogues(trainer, checked, config.validation_dialogues, seed=1 << 20)
    trainer.run(arguments.out, lambda: exact_answers(model, checked, dialogues))


def detected_pictures(model: LanguageModel, arguments: argparse.Namespace) -> tuple[nn.Module, Pictures, Pictures]:
    """(prompts module, pictures for training, pictures for validation) of the detections' store."""
    from . import detections
    from .export import WIDTH, Prompts
    from .prompts import load_prompt_learner

    if arguments.detections is None or arguments.prompts is None:
        raise SystemExit("expected --detections and --prompts with --source detections")
    training, calibration = (detections.load(arguments.detections, split) for split in ("train", "calibration"))
    g = training.inputs(list(range(min(256, len(training)))))[3]
    projection = nn.Linear(g.shape[1], WIDTH)
    start_visual(projection, g, word_row(model, " face"))
    prompts = Prompts(load_prompt_learner(arguments.prompts), projection)
    return prompts, DetectedPictures(training, prompts), DetectedPictures(calibration, prompts)
