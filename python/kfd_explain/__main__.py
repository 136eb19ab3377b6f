"""Command line of the explainer's training chain: `python -m kfd_explain COMMAND ...`, one command a step."""

import importlib
import sys

COMMANDS = {
    "random": "random_export",
    "detections": "detections",
    "prompts": "prompts",
    "train": "train",
    "export": "export",
    "reference": "parity",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(f"usage: python -m kfd_explain {{{','.join(COMMANDS)}}} [options]   (--help after a command lists its options)")
    importlib.import_module(f".{COMMANDS[sys.argv[1]]}", __package__).main(sys.argv[2:])


if __name__ == "__main__":
    main()
