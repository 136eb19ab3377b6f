#include "engine/preprocess.h"

#include <cmath>

#include "core/image_geometry.h"
#include "core/resize.h"

namespace kfd::engine {
namespace {

// Views between interleaved pixels (H,W,3) and (1,3,H,W) with channels-last strides; nothing is copied.
at::Tensor as_channels_last(const at::Tensor& pixels) { return pixels.unsqueeze(0).permute({0, 3, 1, 2}); }
at::Tensor as_pixels(const at::Tensor& channels_last) { return channels_last.permute({0, 2, 3, 1}).squeeze(0); }

// As Pillow resizes.
at::Tensor resized(const at::Tensor& pixels, core::Size size) {
  if (pixels.size(1) == size.width && pixels.size(0) == size.height) {
    return pixels;
  }
  const at::Tensor dense = pixels.contiguous();
  at::Tensor result = at::empty({size.height, size.width, 3}, at::kByte);
  core::resize_bicubic(dense.const_data_ptr<uint8_t>(), {dense.size(1), dense.size(0)},
                       result.mutable_data_ptr<uint8_t>(), size);
  return result;
}

// As python/kfd_export/resampling.py resizes the source of a face crop, on which the detector was trained: torch's own
// kernel, whose 8-bit variant the channels-last strides select.
at::Tensor reduced_for_warp(const at::Tensor& pixels, core::Size size) {
  if (pixels.size(1) == size.width && pixels.size(0) == size.height) {
    return pixels;
  }
  return as_pixels(at::_upsample_bicubic2d_aa(as_channels_last(pixels), {size.height, size.width},
                                              /*align_corners=*/false, std::nullopt, std::nullopt));
}

at::Tensor cut(const at::Tensor& pixels, int64_t x, int64_t y, core::Size size) {
  return pixels.slice(0, y, y + size.height).slice(1, x, x + size.width);
}

at::Tensor fitted(const at::Tensor& pixels, Fit fit, core::Size target) {
  const core::Size image{pixels.size(1), pixels.size(0)};
  switch (fit) {
    case Fit::kStretch:
      return resized(pixels, target);
    case Fit::kCrop: {
      const core::FitPlan plan = core::plan_centre_crop(image, target);
      return cut(resized(pixels, plan.resized), plan.x, plan.y, target);
    }
    case Fit::kLetterbox: {
      const core::FitPlan plan = core::plan_letterbox(image, target);
      at::Tensor canvas = at::zeros({target.height, target.width, 3}, at::kByte);
      cut(canvas, plan.x, plan.y, plan.resized).copy_(resized(pixels, plan.resized));
      return canvas;
    }
  }
  throw Error(ErrorCode::kInternal, "unknown fit");
}

// Coordinates for grid_sampler (align_corners=False: -1 and 1 are the outer edges of the source) of every crop pixel.
at::Tensor sampling_grid(const core::WarpPlan& plan, core::Size crop) {
  const auto doubles = at::TensorOptions(at::kDouble);
  const at::Tensor u = (at::arange(crop.width, doubles) + 0.5).unsqueeze(0);
  const at::Tensor v = (at::arange(crop.height, doubles) + 0.5).unsqueeze(1);
  const auto& [a, b, tx, c, d, ty] = plan.sampling;
  const at::Tensor x = (u * a + v * b + tx) * (2.0 / static_cast<double>(plan.resized.width)) - 1.0;
  const at::Tensor y = (u * c + v * d + ty) * (2.0 / static_cast<double>(plan.resized.height)) - 1.0;
  return at::stack({x, y}, -1).unsqueeze(0).to(at::kFloat);
}

at::Tensor warped(const at::Tensor& pixels, const Affine& crop_to_image, core::Size crop) {
  const core::WarpPlan plan = core::plan_warp(crop_to_image, crop, {pixels.size(1), pixels.size(0)});
  if (plan.source.empty()) {
    return at::zeros({crop.height, crop.width, 3}, at::kByte);
  }
  const at::Tensor source =
      cut(pixels, plan.source.x, plan.source.y, {plan.source.width, plan.source.height}).contiguous();
  const at::Tensor planes = as_channels_last(reduced_for_warp(source, plan.resized)).to(at::kFloat).contiguous();
  constexpr int64_t kBicubic = 2;
  constexpr int64_t kZeros = 0;
  const at::Tensor sampled = at::grid_sampler(planes, sampling_grid(plan, crop), kBicubic, kZeros, false);
  return as_pixels(sampled.clamp(0, 255).round().to(at::kByte));
}

}  // namespace

at::Tensor fitted_pixels(const ImageInput& image, const InputSpec& spec) {
  // from_blob wants a mutable pointer; nothing here writes to it
  const at::Tensor pixels = at::from_blob(const_cast<uint8_t*>(image.data), {image.height, image.width, 3}, at::kByte);
  const core::Size target{spec.width, spec.height};
  return image.has_crop ? warped(pixels, image.crop, target) : fitted(pixels, spec.fit, target);
}

at::Tensor normalised(const at::Tensor& pixels, const InputSpec& spec) {
  // byte / 255 first, as torchvision's ToTensor and Normalize do, so that results agree to the last bit
  const at::Tensor mean = at::tensor(at::ArrayRef<float>(spec.mean)).view({1, 3, 1, 1});
  const at::Tensor std = at::tensor(at::ArrayRef<float>(spec.std)).view({1, 3, 1, 1});
  return as_channels_last(pixels).to(at::kFloat).contiguous().div_(255).sub_(mean).div_(std);
}

void validate_image(const ImageInput& image) {
  if (image.width <= 0 || image.height <= 0 || image.width > (1 << 20) || image.height > (1 << 20)) {
    throw Error(ErrorCode::kInvalidArgument, "an image of " + std::to_string(image.width) + " x " +
                                                 std::to_string(image.height) + " pixels cannot be used");
  }
  if (!image.has_crop) {
    return;
  }
  for (const double entry : image.crop) {
    if (!std::isfinite(entry)) {
      throw Error(ErrorCode::kInvalidArgument, "the crop matrix has an entry that is not finite");
    }
  }
  if (std::abs(image.crop[0] * image.crop[4] - image.crop[1] * image.crop[3]) < 1e-12) {
    throw Error(ErrorCode::kInvalidArgument, "the crop matrix is singular", "give a similarity of positive scale");
  }
}

void validate_input_spec(const InputSpec& spec) {
  if (spec.width <= 0 || spec.height <= 0 || spec.width > 16384 || spec.height > 16384) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "an input size of " + std::to_string(spec.width) + " x " + std::to_string(spec.height) + " cannot be used",
        "give width and height between 1 and 16384");
  }
  for (const float std : spec.std) {
    if (!(std > 0)) {
      throw Error(ErrorCode::kInvalidArgument, "input.std must be positive");
    }
  }
}

}  // namespace kfd::engine
