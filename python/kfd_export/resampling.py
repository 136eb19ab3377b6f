"""The two resampling primitives that Python and the C++ engine share: both use the same libtorch kernels."""

import numpy as np
import torch


def resize_uint8(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased bicubic resize of an RGB picture (H,W,3) uint8 -> (height,width,3) uint8.

    libtorch's uint8 kernel (``_upsample_bicubic2d_aa``, channels last, ``align_corners`` false): a = -0.5, the filter widens
    with the reduction as Pillow's does. Enlarging is plain bicubic.
    """
    check_rgb(image)
    if height < 1 or width < 1:
        raise ValueError(f"a picture can be resized to 1x1 or more, asked for {width}x{height}")
    if image.shape[:2] == (height, width):
        return image.copy()
    # A fresh contiguous copy: permuting (1,H,W,3) gives exactly the channels-last layout the kernel is fast for.
    tensor = torch.from_numpy(np.array(image, order="C"))[None].permute(0, 3, 1, 2)
    resized = torch.ops.aten._upsample_bicubic2d_aa(tensor, [height, width], False)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def sample_uint8(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bicubic samples of an RGB picture (H,W,3) uint8 at continuous positions (h,w,2) of (x, y) -> (h,w,3) uint8.

    Pixel (row i, column j) covers [j,j+1) x [i,i+1), its centre is at +0.5. libtorch's ``grid_sampler`` (a = -0.75); outside
    the picture is black. Values are clamped to 0..255 and rounded to nearest (ties to even).
    """
    check_rgb(image)
    height, width = image.shape[:2]
    plane = torch.from_numpy(np.array(image, order="C"))[None].permute(0, 3, 1, 2).float()
    # grid_sampler wants -1 and 1 at the outer edges of the picture when align_corners is false.
    grid = torch.from_numpy(np.asarray(points, dtype=np.float64)) * torch.tensor([2.0 / width, 2.0 / height], dtype=torch.float64) - 1.0
    sampled = torch.grid_sampler(plane, grid[None].float(), 2, 0, False)
    return sampled.clamp(0, 255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous().numpy()


def check_rgb(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected an RGB picture as uint8 (height, width, 3), got {image.dtype} {image.shape}")
