"""Stage 1: encoder, adapters and class embeddings learn to tell forged patches; the picture's score is pooled from them.

The schedule runs over minutes, not steps, so that a run ends in time on a shared machine; what was seen is counted and reported.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

from kfd_model import VisionTransformer

from . import losses, metrics, testsets
from .batches import Material, PairStream, loader
from .network import TrainingNetwork
from .store import read_canonical, read_faces, read_photographs


def read_config(path: Path, overrides: list[str]) -> dict:
    """JSON configuration; each override is KEY=JSON for a top-level key. Raises ValueError on unknown keys."""
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    for override in overrides:
        key, _, value = override.partition("=")
        if key not in config:
            raise ValueError(f"expected one of {sorted(config)} in --set, got {key!r}")
        config[key] = json.loads(value)
    return config


def build_network(config: dict, backbone: Path | None) -> TrainingNetwork:
    """The untrained network; `backbone` None gives the small random encoder that the configuration's 'encoder' describes."""
    torch.manual_seed(config["seed"])
    encoder = VisionTransformer(**config.get("encoder", {}))
    if backbone is not None:
        encoder.load_state_dict(torch.load(backbone, weights_only=True))
    return TrainingNetwork(encoder, config["taps"], config["mode"], config["rank"], config["embedding"])


class Average:
    """Exponential moving average of the trained parameters."""

    def __init__(self, network: torch.nn.Module, decay: float):
        self.decay, self.steps = decay, 0
        self.values = {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                self.values[name].lerp_(parameter.detach(), 1 - decay)

    @torch.no_grad()
    def swap(self, network: torch.nn.Module) -> None:
        """Exchanges averaged and current values; call twice to return."""
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                current = parameter.detach().clone()
                parameter.copy_(self.values[name])
                self.values[name] = current


def rate_factor(progress: float, step: int, warm_up: int) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    return min(1.0, (step + 1) / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def draw_window(config: dict, progress: float, rng: np.random.Generator, grid: int = 16) -> tuple[int, int, int] | None:
    """A random square of patches during the first part of training (about half the cost), later the whole picture."""
    side = config["windows"]["side"]
    if side >= grid or progress >= config["windows"]["until"]:
        return None
    return int(rng.integers(grid - side + 1)), int(rng.integers(grid - side + 1)), side


@torch.no_grad()
def validate(network: TrainingNetwork, tests: testsets.TestSet, device: str, batch: int = 16) -> dict[str, float]:
    """AUC of the pooled score against the real pictures, per kind."""
    network.eval()
    scores = []
    for i in range(0, len(tests.pictures), batch):
        scores.append(network(torch.from_numpy(tests.pictures[i : i + batch]).to(device))[1].float().cpu())
    network.train()
    score, real = torch.cat(scores).numpy(), tests.kind == "real"
    out = {}
    for kind in np.unique(tests.kind[~real]):
        rows = real | (tests.kind == kind)
        out[str(kind)] = round(metrics.auc(tests.forged[rows], score[rows]), 4)
    return out


def save(path: Path, state: dict) -> None:
    """torch.save under a temporary name, then rename."""
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def train_step(network: TrainingNetwork, pictures, masks, window, config: dict) -> tuple[torch.Tensor, list[float]]:
    """Loss of one batch, and [patch loss, image loss, ranking loss, AUC in the batch, share of pairs in the right order]."""
    share = losses.patch_share(masks, window)
    patch_logits, logit = network(pictures, window)
    parts = [losses.patch_loss(patch_logits, share), losses.image_loss(logit, share), losses.ranking_loss(logit, share)]
    loss = parts[0] + config["loss"]["image"] * parts[1] + config["loss"]["ranking"] * parts[2]
    score = logit.detach().float().cpu().numpy()
    seen = [float(p.detach()) for p in parts]
    return loss, [*seen, metrics.auc(np.arange(len(score)) % 2, score), float((score[1::2] > score[0::2]).mean())]


def run(config: dict, folder: Path, out: Path, backbone: Path | None, device: str, initial: Path | None = None) -> dict:
    """Trains until the configured minutes are used and returns the last line of the curve. Resumes from OUT/stage1.pt;
    a fresh run starts from the weights of `initial` (an averaged.pt or stage1.pt of another run) where that is given."""
    torch.set_num_threads(config["threads"])
    out.mkdir(parents=True, exist_ok=True)
    canonical = read_canonical(folder)
    template = np.asarray(canonical["template"], np.float64)
    faces = read_faces(folder)
    photographs = read_photographs(folder) if config["photograph_share"] > 0 else []
    material = Material([f for f in faces if f.split == "train"], template, np.asarray(canonical["meanLandmarks"]), photographs)
    tests = testsets.build([f for f in faces if f.split == "calibration"], template, config["validation_variants"], loose=False)
    wanted = np.isin(tests.kind, ("real", "self-blend", "swap-alpha", "splice"))
    tests = testsets.TestSet(**{name: values[wanted] for name, values in vars(tests).items()})

    network = build_network(config, backbone).to(device)
    stream = PairStream(material, config["pairs"], config["seed"], 0, config["face_share"], config["photograph_share"])
    network.standardise(stream.batch(1 << 30)[0].to(device))
    if initial is not None:
        network.load_state_dict(torch.load(initial, map_location=device, weights_only=True)["network"])
    optimiser = torch.optim.AdamW(network.parameter_groups(config["rates"]), betas=(0.9, 0.98))
    base = [group["lr"] for group in optimiser.param_groups]
    average = Average(network, config["average"])
    step, used, curve = 0, 0.0, []
    checkpoint = out / "stage1.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.values, average.steps = state["average"], state["step"]
        step, used, curve = state["step"], state["minutes"], state["curve"]
        print(f"resumed at step {step}, {used:.1f} minutes", flush=True)

    parameters = [p for p in network.parameters() if p.requires_grad]
    rng = np.random.default_rng([config["seed"], 1, step])
    stream.first = step
    start, recent, validated = time.monotonic() - used * 60, [], used
    network.train()
    for pictures, masks in loader(stream, config["workers"]):
        progress = used / config["minutes"]
        for group, rate in zip(optimiser.param_groups, base):
            group["lr"] = rate * rate_factor(progress, step, config["warm_up_steps"])
        loss, figures = train_step(network, pictures.to(device), masks.to(device), draw_window(config, progress, rng), config)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(network)
        recent = [*recent[-99:], figures]
        step, used = step + 1, (time.monotonic() - start) / 60
        finished = used >= config["minutes"]
        if step % 25 == 0:
            patch, image, ranking, batch_auc, order = np.mean(recent, axis=0)
            print(f"{step} {used:.1f}min patch {patch:.3f} image {image:.3f} rank {ranking:.3f} auc {batch_auc:.3f} pairs {order:.3f}", flush=True)
        if finished or used - validated >= config["validate_every_minutes"]:
            validated = used
            average.swap(network)
            line = {"step": step, "minutes": round(used, 2), "pictures": 2 * config["pairs"] * step, "training": np.mean(recent, axis=0).round(4).tolist()}
            line |= {"calibration": validate(network, tests, device)}
            average.swap(network)
            curve.append(line)
            print(json.dumps(line), flush=True)
            (out / "curve.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in curve))
            state = {"network": network.state_dict(), "average": average.values, "optimiser": optimiser.state_dict()}
            save(checkpoint, state | {"step": step, "minutes": used, "curve": curve, "config": config})
        if finished:
            break
    average.swap(network)
    save(out / "averaged.pt", {"network": network.state_dict(), "config": config, "curve": curve})
    return curve[-1]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train stage1", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--backbone", type=Path, default=Path(".cache/train/dinov2_vits14.pt"))
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "default.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="override one key of the configuration")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run: checkpoint, curve, averaged weights")
    parser.add_argument("--initial", type=Path, help="weights of another run to start from, for example one on photographs without faces")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    config = read_config(arguments.config, arguments.set)
    print(json.dumps(run(config, arguments.dir, arguments.out, arguments.backbone, arguments.device, arguments.initial)))
