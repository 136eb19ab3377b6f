"""Command line of the training chain: `python -m kfd_train COMMAND ...`, one command a step."""

import importlib
import sys

COMMANDS = {
    "sources": "sources",
    "faces": "faces",
    "photographs": "photographs",
    "train": "stage1",
    "soup": "soup",
    "heads": "stage2",
    "threshold": "choose_threshold",
    "naming": "choose_naming",
    "evaluate": "evaluate",
    "testset": "write_testset",
    "export": "export",
    "card": "card",
    "smoke": "smoke",
    "pack": "pack",
    "all": "pipeline",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(f"usage: python -m kfd_train {{{','.join(COMMANDS)}}} [options]   (--help after a command lists its options)")
    importlib.import_module(f".{COMMANDS[sys.argv[1]]}", __package__).main(sys.argv[2:])


if __name__ == "__main__":
    main()
