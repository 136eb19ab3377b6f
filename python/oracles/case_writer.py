"""The exchange format with the C++ tests: a folder a case, an `index.txt`, raw little-endian float32 or uint8 arrays.

Lines of index.txt, words separated by blanks:
    model NAME FILE                    a TorchScript file and what to call it in messages
    set KEY VALUE                      option for loading (heads, width, height, ...)
    expect KEY VALUE                   what the loaded model must say of itself
    f32|u8 NAME FILE DIM...            an array, row-major
"""

import os
from pathlib import Path

import numpy as np
import torch


class CaseWriter:
    """Collects one case; `close()` writes its index last, so a half-written case is never read."""

    def __init__(self, root: Path, name: str):
        self.folder = root / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines: list[str] = []

    def model(self, name: str, module: torch.jit.ScriptModule) -> None:
        module.save(str(self.folder / f"{name}.pt"))
        self.lines.append(f"model {name} {name}.pt")

    def existing_model(self, name: str, file: Path) -> None:
        """A model that lies elsewhere; it is named by its path from the case's folder, not copied."""
        self.lines.append(f"model {name} {os.path.relpath(file.resolve(), self.folder.resolve())}")

    def set(self, key: str, value: object) -> None:
        self.lines.append(f"set {key} {value}")

    def expect(self, key: str, value: object) -> None:
        self.lines.append(f"expect {key} {value}")

    def array(self, name: str, values: torch.Tensor | np.ndarray) -> None:
        array = values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        kind = "u8" if array.dtype == np.uint8 else "f32"
        file = f"{name}.{kind}"
        np.ascontiguousarray(array, None if kind == "u8" else np.float32).tofile(self.folder / file)
        self.lines.append(f"{kind} {name} {file} " + " ".join(str(d) for d in array.shape))

    def close(self) -> None:
        temporary = self.folder / "index.tmp"
        temporary.write_text("\n".join(self.lines) + "\n")
        temporary.rename(self.folder / "index.txt")
