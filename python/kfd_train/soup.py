"""Averages the weights of several runs that began from the same ones: often as good as their ensemble, at the price of one
(Wortsman et al. 2022, "model soups"). Runs from different starts do not average."""

import argparse
from pathlib import Path

import torch

from .stage1 import save


def average(states: list[dict]) -> dict:
    """One checkpoint out of several averaged.pt or best.pt; configuration of the first, curves one after the other, all seeds.

    Raises ValueError unless all hold the same tensors and standardise their tokens alike.
    """
    first = states[0]["network"]
    for state in states[1:]:
        other = state["network"]
        if {n: t.shape for n, t in other.items()} != {n: t.shape for n, t in first.items()}:
            raise ValueError("expected runs of one architecture, got checkpoints with different tensors")
        for name in first:
            # An adapter's weights mean something only together with these statistics.
            if name.startswith("kfd.adapters.") and name.endswith((".mean", ".std")) and not torch.equal(first[name], other[name]):
                raise ValueError(f"expected runs that began from the same weights, {name} differs; use --continue or --initial with one file")
    network = {name: torch.stack([s["network"][name].float() for s in states]).mean(0).to(tensor.dtype) for name, tensor in first.items()}
    curve = [line for state in states for line in state["curve"]]
    seeds = sorted({seed for state in states for seed in state.get("seeds", [state["config"]["seed"]])})
    return {"network": network, "config": states[0]["config"], "curve": curve, "seeds": seeds}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train soup", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="averaged.pt or best.pt of two runs or more")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, for heads or --initial")
    arguments = parser.parse_args(argv)
    if len(arguments.runs) < 2:
        parser.error("expected two runs or more")
    state = average([torch.load(path, map_location="cpu", weights_only=True) for path in arguments.runs])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save(arguments.out, state)
    print(f"{len(arguments.runs)} runs averaged into {arguments.out}")
