"""BlazeFace, the "back camera" variant for 256 px, as a PyTorch module that torch.jit.script accepts.

Architecture: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv 1907.05047,
section 3, in the wider layout that MediaPipe published in 2020 (single BlazeBlocks, 24-48-96 channels). The layout was read
off the ONNX graph that ``blazeface.py`` converts; ReLU follows every residual sum.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 256
# (grid side, anchors per cell): 16*16*2 + 8*8*6 = 896 anchors.
ANCHOR_GRIDS = ((16, 2), (8, 6))
# A box row: centre x, centre y, width, height, then six key points (x, y).
BOX_VALUES = 16
BLOCKS_PER_STAGE = 7


class BlazeBlock(nn.Module):
    """Depthwise 3x3, pointwise 1x1, residual sum, ReLU. With ``stride`` 2 the shortcut is max-pooled and zero-padded in channels.

    Strided convolutions pad one pixel right and below only (TensorFlow's "same" padding on even sizes).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.extra_channels = outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1 if stride == 1 else 0, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride == 2:
            shortcut = F.pad(F.max_pool2d(x, 2, 2), [0, 0, 0, 0, 0, self.extra_channels])
            x = F.pad(x, [0, 1, 0, 1])
        return torch.relu(shortcut + self.pointwise(self.depthwise(x)))


def stage(inputs: int, outputs: int) -> nn.Sequential:
    """One halving block (none before the first stage, where inputs is 0) and seven blocks at constant size."""
    blocks = [BlazeBlock(inputs, outputs, stride=2)] if inputs else []
    return nn.Sequential(*blocks, *(BlazeBlock(outputs, outputs) for _ in range(BLOCKS_PER_STAGE)))


class BlazeFace(nn.Module):
    """(B,3,256,256) RGB in [-1,1] -> raw scores (B,896) before the sigmoid, raw boxes (B,896,16) in pixels of the 256 square.

    Box centres and key points are offsets from the anchor's centre; ``face_detection.decode`` turns them into positions.
    Anchors run over the 16x16 grid row by row, two per cell, then over the 8x8 grid, six per cell.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 5, 2)
        self.stage1 = stage(0, 24)
        self.stage2 = stage(24, 24)
        self.stage3 = stage(24, 48)
        self.stage4 = stage(48, 96)
        self.tail_depthwise = nn.Conv2d(96, 96, 3, 2, groups=96, bias=False)
        self.tail_pointwise = nn.Conv2d(96, 96, 1)
        self.scores16 = nn.Conv2d(96, 2, 1)
        self.boxes16 = nn.Conv2d(96, 2 * BOX_VALUES, 1)
        self.scores8 = nn.Conv2d(96, 6, 1)
        self.boxes8 = nn.Conv2d(96, 6 * BOX_VALUES, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.stem(F.pad(x, [1, 2, 1, 2])))
        grid16 = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        grid8 = torch.relu(self.tail_pointwise(self.tail_depthwise(F.pad(grid16, [0, 1, 0, 1]))))
        batch = x.shape[0]
        scores = [head.permute(0, 2, 3, 1).reshape(batch, -1) for head in (self.scores16(grid16), self.scores8(grid8))]
        boxes = [head.permute(0, 2, 3, 1).reshape(batch, -1, 16) for head in (self.boxes16(grid16), self.boxes8(grid8))]
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)
