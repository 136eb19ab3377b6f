// Sizes and offsets of image fitting and of the similarity warp: integers and doubles only, no pixels.
//
// Pixel convention everywhere: continuous coordinates, pixel (row i, column j) covers [j, j+1) x [i, i+1), its centre
// is at (j + 0.5, i + 0.5).
#pragma once

#include <array>
#include <cstdint>

namespace kfd::core {

struct Size {
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const Size&) const = default;
};

struct Rectangle {
  int64_t x = 0, y = 0, width = 0, height = 0;
  bool empty() const { return width <= 0 || height <= 0; }
  bool operator==(const Rectangle&) const = default;
};

// Resize to `resized`; then either cut `target` out of it at (x, y) or paste it onto black at (x, y).
struct FitPlan {
  Size resized;
  int64_t x = 0;
  int64_t y = 0;
};

// Shorter side (relative to the target) fills the target, the longer one is truncated to whole pixels and cut at the
// centre, offsets rounded half to even: torchvision's Resize + CenterCrop.
FitPlan plan_centre_crop(Size image, Size target);

// Longer side fills the target, the other is rounded half to even (at least 1 pixel) and centred, offset rounded down.
FitPlan plan_letterbox(Size image, Size target);

// Row-major 2x3 matrix, crop coordinates -> image coordinates.
using Affine = std::array<double, 6>;

// How a warp reads the image: `source` is cut out, resized to `resized` (only when scale > 1) and then sampled at
// resized coordinates = sampling * crop coordinates.
struct WarpPlan {
  double scale = 1;  // image pixels per crop pixel, sqrt |det|
  Rectangle source;  // covers the crop with a margin, clipped to the image; empty: the crop lies outside
  Size resized;
  Affine sampling{};
};

// The rectangle is the bounding box of the crop's corners in the image, widened on each side by 2 * scale (by 3 pixels
// when scale <= 1), rounded outwards. With scale > 1 its resized size is floor(size / scale + 0.5), at least 1, and the
// true ratio of each axis enters `sampling`; with scale <= 1 it is read as it stands.
WarpPlan plan_warp(const Affine& crop_to_image, Size crop, Size image);

}  // namespace kfd::core
