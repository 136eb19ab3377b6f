"""Writes everything that the tests compare with: `python -m oracles --out build/reference`."""

import argparse
from pathlib import Path

import torch

from oracles import daam_cases, daam_timm, faithfulness, prompts, reference_vits, region_naming


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference_vits.write(arguments.out)
    daam_cases.write(arguments.out)
    daam_timm.write(arguments.out)
    faithfulness.write(arguments.out)
    prompts.write(arguments.out)
    region_naming.write(arguments.out)
    print(f"reference cases written to {arguments.out}: {len(list(arguments.out.glob('*/index.txt')))}")


if __name__ == "__main__":
    main()
