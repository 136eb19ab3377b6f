"""Importing timm beside a CPU build of PyTorch."""

import sys
from types import ModuleType

import torch

# torchvision's wheel on PyPI is built for CUDA. Beside a CPU build of PyTorch its operators cannot be loaded, and
# importing it fails because it registers fake kernels for operators that then do not exist. timm needs only its image
# transforms, so declaring the two names is enough. See spec/engine.md section 3.
MISSING_OPERATORS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[torch.library.Library] = []  # a declaration lives as long as its object


def import_timm() -> ModuleType:
    """The package timm. Raises ValueError with the command that installs it where it is missing."""
    try:
        return _import_declaring_operators()
    except ImportError as error:
        raise ValueError(
            f"timm cannot be imported ({error}): install it with 'pip install timm torchvision==0.28.0 safetensors' "
            "(python/requirements.txt lists versions that fit together)"
        ) from error


def _import_declaring_operators() -> ModuleType:
    try:
        import timm  # noqa: PLC0415
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error) or _declared:
            raise
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "timm")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for declaration in MISSING_OPERATORS.values():
            library.define(declaration)
        _declared.append(library)
        import timm  # noqa: PLC0415
    return timm
