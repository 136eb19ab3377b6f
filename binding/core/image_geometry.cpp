#include "core/image_geometry.h"

#include <algorithm>
#include <cmath>

namespace kfd::core {
namespace {

int64_t round_half_even(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

}  // namespace

FitPlan plan_centre_crop(Size image, Size target) {
  FitPlan plan;
  // Compare target.width / image.width with target.height / image.height without division.
  if (target.width * image.height >= target.height * image.width) {
    plan.resized.width = target.width;
    plan.resized.height = std::max(target.height, target.width * image.height / image.width);
  } else {
    plan.resized.height = target.height;
    plan.resized.width = std::max(target.width, target.height * image.width / image.height);
  }
  plan.x = round_half_even(static_cast<double>(plan.resized.width - target.width) / 2);
  plan.y = round_half_even(static_cast<double>(plan.resized.height - target.height) / 2);
  return plan;
}

FitPlan plan_letterbox(Size image, Size target) {
  FitPlan plan;
  const auto scaled = [](int64_t length, int64_t numerator, int64_t denominator) {
    const double exact =
        static_cast<double>(length) * static_cast<double>(numerator) / static_cast<double>(denominator);
    return std::max<int64_t>(1, round_half_even(exact));
  };
  if (target.width * image.height <= target.height * image.width) {
    plan.resized = {target.width, scaled(image.height, target.width, image.width)};
  } else {
    plan.resized = {scaled(image.width, target.height, image.height), target.height};
  }
  plan.x = (target.width - plan.resized.width) / 2;
  plan.y = (target.height - plan.resized.height) / 2;
  return plan;
}

WarpPlan plan_warp(const Affine& crop_to_image, Size crop, Size image) {
  const auto& [a, b, tx, c, d, ty] = crop_to_image;
  WarpPlan plan;
  plan.scale = std::sqrt(std::abs(a * d - b * c));

  double left = 0, right = 0, top = 0, bottom = 0;
  for (int corner = 0; corner < 4; ++corner) {
    const double u = (corner & 1) != 0 ? static_cast<double>(crop.width) : 0.0;
    const double v = (corner & 2) != 0 ? static_cast<double>(crop.height) : 0.0;
    const double x = a * u + b * v + tx;
    const double y = c * u + d * v + ty;
    left = corner == 0 ? x : std::min(left, x);
    right = corner == 0 ? x : std::max(right, x);
    top = corner == 0 ? y : std::min(top, y);
    bottom = corner == 0 ? y : std::max(bottom, y);
  }
  // Bicubic sampling reads two pixels beyond; where nothing is resized first, three make the cut invisible.
  const double margin = plan.scale > 1 ? 2 * plan.scale : 3;
  // Clamped while still double: a wild matrix must not overflow the conversion.
  const auto clip = [](double value, int64_t length) {
    return static_cast<int64_t>(std::clamp(value, 0.0, static_cast<double>(length)));
  };
  const int64_t x0 = clip(std::floor(left - margin), image.width);
  const int64_t x1 = clip(std::ceil(right + margin), image.width);
  const int64_t y0 = clip(std::floor(top - margin), image.height);
  const int64_t y1 = clip(std::ceil(bottom + margin), image.height);
  plan.source = {x0, y0, x1 - x0, y1 - y0};
  if (plan.source.empty()) {
    plan.source = {};
    return plan;
  }

  plan.resized = {plan.source.width, plan.source.height};
  if (plan.scale > 1) {
    const auto reduced = [&plan](int64_t length) {
      return std::max<int64_t>(1, static_cast<int64_t>(std::floor(static_cast<double>(length) / plan.scale + 0.5)));
    };
    plan.resized = {reduced(plan.source.width), reduced(plan.source.height)};
  }
  const double rx = static_cast<double>(plan.resized.width) / static_cast<double>(plan.source.width);
  const double ry = static_cast<double>(plan.resized.height) / static_cast<double>(plan.source.height);
  plan.sampling = {a * rx, b * rx, (tx - static_cast<double>(x0)) * rx,
                   c * ry, d * ry, (ty - static_cast<double>(y0)) * ry};
  return plan;
}

}  // namespace kfd::core
