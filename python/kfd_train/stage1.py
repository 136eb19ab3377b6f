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

from . import losses, metrics, schedule, testsets
from .batches import Material, PairStream, loader
from .network import StandardisedLinear, TrainingNetwork
from .store import read_canonical, read_faces, read_photographs


VALIDATION_KINDS = ("self-blend", "swap-alpha", "swap-poisson", "splice")


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
    return TrainingNetwork(encoder, config["taps"], config["mode"], config["rank"], config["embedding"], config.get("precision", "bfloat16"))


def restore_network(config: dict, weights: dict[str, torch.Tensor]) -> TrainingNetwork:
    """The network of a checkpoint, whatever number of pools its image evidence has."""
    network = build_network(config, None)
    for i, adapter in enumerate(network.kfd.adapters):
        network.kfd.adapters[i] = StandardisedLinear(adapter, torch.zeros(adapter.in_features), torch.ones(adapter.in_features))
    network.evidence.mix = torch.nn.Linear(weights["evidence.mix.weight"].shape[1], 1)
    network.load_state_dict(weights)
    return network


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
    parts = (tests.kind == "self-blend") & (tests.region != "face")
    if parts.any():
        out["self-blended parts"] = round(metrics.auc(tests.forged[real | parts], score[real | parts]), 4)
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


def prepare(config: dict, folder: Path) -> tuple[PairStream, testsets.TestSet]:
    """Training stream and the calibration pictures that the curve is drawn with."""
    canonical = read_canonical(folder)
    template = np.asarray(canonical["template"], np.float64)
    faces = read_faces(folder)
    photographs = read_photographs(folder) if config["photograph_share"] > 0 else []
    material = Material([f for f in faces if f.split == "train"], template, np.asarray(canonical["meanLandmarks"]), photographs)
    stream = PairStream(material, config["pairs"], config["seed"], 0, config["face_share"], config["photograph_share"], config["kinds"], config["varied"], config.get("mingled", 0.0))
    tests = testsets.build([f for f in faces if f.split == "calibration"], template, config["validation_variants"], loose=False)
    wanted = np.isin(tests.kind, ("real", *VALIDATION_KINDS))
    return stream, testsets.TestSet(**{name: values[wanted] for name, values in vars(tests).items()})


def start_network(network: TrainingNetwork, initial: Path | None, pictures: torch.Tensor) -> None:
    """Standardises the adapters on `pictures` (B,224,224,3) and takes over the weights of `initial`: averaged.pt or stage1.pt of another
    run, or an exported model file with its manifest beside it."""
    if initial is None:
        network.standardise(pictures)
    elif initial.with_suffix(".kfd.json").exists():
        network.start_from_exported(torch.jit.load(str(initial), map_location="cpu").float().state_dict(), pictures)
    else:
        network.standardise(pictures)
        network.start_from(load_initial(initial, network.kfd.taps))


def load_initial(path: Path, taps: list[int]) -> TrainingNetwork:
    """The network that `path` (averaged.pt or stage1.pt of another run) holds. Raises ValueError if its taps differ."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"]["taps"] != taps:
        raise ValueError(f"expected an initial network with taps {taps}, {path} has {state['config']['taps']}; choose the same taps")
    return restore_network(state["config"], state["network"])


def balance(line: dict) -> float:
    """The figure by which best.pt is chosen: mean AUC of the curve's line over all kinds on the calibration identities."""
    return float(np.mean(list(line["calibration"].values()))) if line.get("calibration") else 0.0


class Run:
    """One training run: network, optimiser, average, curve, and their checkpoint."""

    def __init__(self, config: dict, network: TrainingNetwork, out: Path, device: str):
        self.config, self.network, self.out, self.device = config, network.to(device), out, device
        self.optimiser = torch.optim.AdamW(network.parameter_groups(config["rates"], config["layer_decay"]), betas=(0.9, 0.98), fused=device != "cpu")
        self.base_rates = [group["lr"] for group in self.optimiser.param_groups]
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.average = Average(network, config["average"])
        self.step, self.pictures, self.minutes, self.curve, self.recent = 0, 0, 0.0, [], []

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.values, self.average.steps = state["average"], state["step"]
        self.step, self.pictures, self.minutes, self.curve = state["step"], state["pictures"], state["minutes"], state["curve"]
        print(f"resumed at step {self.step}, {self.minutes:.1f} minutes", flush=True)

    def save(self, name: str) -> None:
        state = {"network": self.network.state_dict(), "average": self.average.values, "optimiser": self.optimiser.state_dict()}
        counts = {"step": self.step, "pictures": self.pictures, "minutes": self.minutes}
        save(self.out / name, state | counts | {"curve": self.curve, "config": self.config})

    def train(self, pictures: torch.Tensor, masks: torch.Tensor, window: tuple[int, int, int] | None) -> None:
        """One optimiser step at the rate that the schedule gives now."""
        factor = schedule.rate_factor(self.config, self.minutes, self.step)
        for group, rate in zip(self.optimiser.param_groups, self.base_rates):
            group["lr"] = rate * factor
        pictures, masks = (t.to(self.device, non_blocking=True) for t in (pictures, masks))
        loss, figures = train_step(self.network, pictures, masks, window, self.config)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"expected a finite gradient at step {self.step}, got norm {float(norm)}; lower the rates and resume from {self.out}")
        self.optimiser.step()
        self.average.update(self.network)
        self.step, self.pictures = self.step + 1, self.pictures + len(pictures)
        self.recent = [*self.recent[-99:], [*figures, float(norm)]]

    def report(self) -> None:
        patch, image, ranking, batch_auc, order, norm = np.mean(self.recent, axis=0)
        print(
            f"{self.step} {self.minutes:.1f}min patch {patch:.3f} image {image:.3f} rank {ranking:.3f} auc {batch_auc:.3f} pairs {order:.3f} gradient {norm:.2f}",
            flush=True,
        )

    def validate(self, tests: testsets.TestSet) -> None:
        """Adds a line to the curve, measured with the averaged weights, and keeps these as best.pt if none before was better."""
        best = max((balance(line) for line in self.curve), default=0.0)
        self.average.swap(self.network)
        line = {"step": self.step, "minutes": round(self.minutes, 2), "pictures": self.pictures, "training": np.mean(self.recent, axis=0).round(4).tolist()}
        line |= {"calibration": validate(self.network, tests, self.device)}
        self.curve.append(line)
        if balance(line) > best:
            self.save_averaged("best.pt")
        self.average.swap(self.network)
        print(json.dumps(line), flush=True)
        (self.out / "curve.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in self.curve))

    def save_averaged(self, name: str) -> None:
        """For use, without the optimiser; to be called while the averaged weights are swapped in."""
        save(self.out / name, {"network": self.network.state_dict(), "config": self.config, "curve": self.curve})

    def finish(self) -> None:
        self.average.swap(self.network)
        self.save_averaged("averaged.pt")
        self.average.swap(self.network)


def run(
    config: dict, folder: Path, out: Path, backbone: Path | None, device: str, initial: Path | None = None, start: Path | None = None, chunk: float = math.inf
) -> dict:
    """Trains until the configured minutes, or `chunk` minutes of this call, are used; returns the last line of the curve.

    Resumes from OUT/stage1.pt; a fresh run goes on from the whole state `start` (stage1.pt or stable.pt of a run with the same
    configuration, but for its minutes), or starts from the weights of `initial` (see start_network), where given.
    OUT/averaged.pt is written at the end of each call; OUT/best.pt holds the averaged weights with the best figures on the way.
    """
    torch.set_num_threads(config["threads"])
    out.mkdir(parents=True, exist_ok=True)
    stream, tests = prepare(config, folder)
    network = build_network(config, backbone).to(device)
    start_network(network, initial, stream.batch(1 << 30)[0].to(device))
    state = Run(config, network, out, device)
    resumed = next((p for p in (out / "stage1.pt", start) if p is not None and p.exists()), None)
    if resumed is not None:
        state.load(resumed)
    if state.minutes >= config["minutes"] and state.curve:
        print(f"finished before, after {state.minutes:.1f} minutes", flush=True)
        return state.curve[-1]

    rng = np.random.default_rng([config["seed"], 1, state.step])
    stream.first = state.step
    began = time.monotonic()
    offset = state.minutes
    validated, kept = state.minutes, schedule.cooling(config, state.minutes) > 0
    network.train()
    for pictures, masks in loader(stream, config["workers"], pinned=device != "cpu"):
        state.train(pictures, masks, schedule.draw_window(config, rng))
        state.minutes = offset + (time.monotonic() - began) / 60
        if state.step % config["report_every_steps"] == 0:
            state.report()
        if not kept and schedule.cooling(config, state.minutes) > 0:
            state.save("stable.pt")
            kept = True
        finished = state.minutes >= config["minutes"] or state.minutes - offset >= chunk
        if finished or state.minutes - validated >= config["validate_every_minutes"]:
            validated = state.minutes
            state.validate(tests)
            state.save("stage1.pt")
        if finished:
            break
    state.finish()
    return state.curve[-1]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train stage1", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--backbone", type=Path, default=Path(".cache/train/dinov2_vits14.pt"))
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "default.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="override one key of the configuration")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run: checkpoint, curve, averaged weights")
    parser.add_argument("--initial", type=Path, help="weights to start from: averaged.pt or stage1.pt of another run, or an exported model file")
    parser.add_argument("--continue", dest="start", type=Path, help="whole state of another run to go on from: its stage1.pt, or stable.pt from before its cool-down")
    parser.add_argument("--chunk-minutes", type=float, default=math.inf, help="stop after so many minutes, to be resumed by the same command")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    config = read_config(arguments.config, arguments.set)
    a = arguments
    backbone = None if a.initial else a.backbone  # whatever weights the run starts from hold the encoder too
    print(json.dumps(run(config, a.dir, a.out, backbone, a.device, a.initial, a.start, a.chunk_minutes)))
