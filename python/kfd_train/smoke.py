"""The whole chain on drawn faces with a tiny encoder, in under two minutes on one thread: checks that every step runs, nothing more."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from . import pipeline, stage1, synthetic


def run(folder: Path, overrides: list[str] | None = None) -> dict:
    """Trains, exports, evaluates and writes the card below `folder`; returns the metrics."""
    started = time.monotonic()
    synthetic.write_store(folder)
    config = stage1.read_config(Path(__file__).parent / "configs" / "smoke.json", overrides or [])
    stage1.run(config, folder, folder / "run", None, "cpu")
    pipeline.carry_out(pipeline.finishing_steps(folder, folder, config, "cpu", must_rank=False))
    print(f"smoke run finished in {time.monotonic() - started:.0f}s")
    return json.loads((folder / "metrics.json").read_text())


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train smoke", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder to keep; a temporary one is used and removed otherwise")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        run(arguments.out)
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
