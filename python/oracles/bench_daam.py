"""CPU time of the Python peers of attention flow on the weights of `oracles.bench_vit`, one thread.

    pip install timm==1.0.31 torchvision==0.28.0 daam-timm-vit==0.2.1      (peers only, not in requirements-test.txt)
    python -m oracles.bench_daam --weights vit-base.pt --size base --rounds 5

prints one JSON line with the median CPU milliseconds of an eager timm forward pass, of the published algorithm
(`daam_official`: hooks, full attention matrices, backward) and of the package daam-timm-vit. A line of rounds alternates
all of them. With `--serve` the program answers every line on stdin by one round in JSON, so that another program can
alternate rounds with its own; its first line says {"ready": true}. `difference` is that of the two peers' block maps,
relative to their maximum.
"""

import argparse
import copy
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from kfd_export.timm_import import import_timm

from .bench_vit import SIZES
from .daam_official import OfficialDaam


def timm_model(weights: Path, size: str) -> nn.Module:
    """timm's own VisionTransformer with the weights of the TorchScript file."""
    timm = import_timm()
    c = SIZES[size]
    model = timm.models.VisionTransformer(
        img_size=(c.height, c.width), patch_size=c.patch, embed_dim=c.dim, depth=c.depth, num_heads=c.heads,
        num_classes=c.classes, norm_layer=functools.partial(nn.LayerNorm, eps=c.eps),
    )  # fmt: skip
    model.load_state_dict(torch.jit.load(str(weights), map_location="cpu").state_dict())
    return model.eval()


def peers(model: nn.Module, image: Tensor) -> dict[str, Callable[[], Tensor]]:
    """name -> function that does the work once. The package has a model of its own: it changes the one it is given."""
    try:
        from daam import DAAM  # the module of daam-timm-vit, not of the Stable Diffusion tool that owns PyPI's `daam`
    except ImportError as error:
        raise SystemExit(f"{error}; install it with: pip install --no-deps daam-timm-vit==0.2.1") from error
    grid = model.patch_embed.grid_size

    def forward() -> Tensor:
        with torch.no_grad():
            return model(image)

    def official() -> Tensor:
        with OfficialDaam(model, grid, parameter_gradients=True) as daam:
            return daam(image).block_maps

    package_daam = DAAM(copy.deepcopy(model))

    def package() -> Tensor:
        return package_daam(image).block_maps

    return {"forward": forward, "official": official, "daamTimmVit": package}


def one_round(work: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """CPU milliseconds of each, once."""
    times = {}
    for name, function in work.items():
        start = time.process_time()
        function()
        times[name] = 1000 * (time.process_time() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="TorchScript file that oracles.bench_vit wrote")
    parser.add_argument("--size", choices=SIZES, default="base", help="the size it was written with")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help="one round for every line on stdin")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = timm_model(arguments.weights, arguments.size)
    c = SIZES[arguments.size]
    image = torch.randn(arguments.batch, 3, c.height, c.width, generator=torch.Generator().manual_seed(0))
    work = peers(model, image)
    work["forward"]()  # warm up
    maps, others = work["official"](), work["daamTimmVit"]()
    difference = float((maps - others).abs().max() / maps.abs().max())
    if difference > 1e-4:
        raise ValueError(f"the peers' maps differ by {difference:.1e} of their maximum: they do not do the same work")
    if arguments.serve:
        print(json.dumps({"ready": True, "difference": difference}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(one_round(work)), flush=True)
        return
    rounds = [one_round(work) for _ in range(arguments.rounds)]
    medians = {name: statistics.median(r[name] for r in rounds) for name in work}
    print(json.dumps({"batch": arguments.batch, "rounds": len(rounds), "threads": 1, "difference": difference, "cpuMs": medians}))


if __name__ == "__main__":
    main()
