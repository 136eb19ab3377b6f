// Pixels against Pillow (fits) and against the Python warp (face crops).
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "reference.h"
#include "wait.h"

using namespace kfd::engine;
using namespace kfd::test;

namespace {

Fit fit_by_name(const std::string& name) {
  return name == "crop" ? Fit::kCrop : name == "letterbox" ? Fit::kLetterbox : Fit::kStretch;
}

Result preprocess(Executor& executor, const InputSpec& spec, const ImageInput& image) {
  const auto call = [&](Callback callback) { executor.preprocess(spec, image, std::move(callback)); };
  return std::move(*wait<Outcome>(call).result);
}

InputSpec spec_of(const Case& c) {
  InputSpec spec;
  spec.width = std::stoll(c.settings.at("width"));
  spec.height = std::stoll(c.settings.at("height"));
  return spec;
}

ImageInput image_of(const Case& c) {
  const auto& [shape, data] = c.bytes.at("image");
  ImageInput image;
  image.data = data.data();
  image.height = shape[0];
  image.width = shape[1];
  return image;
}

struct Agreement {
  double equal = 0;  // share of values that are identical
  int largest = 0;   // difference, of 255
};

Agreement compare(const Array& pixels, const std::vector<uint8_t>& expected) {
  REQUIRE(pixels.data.size() == expected.size());
  Agreement agreement;
  for (size_t i = 0; i < expected.size(); ++i) {
    const int difference = std::abs(static_cast<int>(pixels.data[i]) - static_cast<int>(expected[i]));
    agreement.equal += difference == 0 ? 1 : 0;
    agreement.largest = std::max(agreement.largest, difference);
  }
  agreement.equal /= static_cast<double>(expected.size());
  return agreement;
}

}  // namespace

TEST_CASE("resizing and fitting equal Pillow's bicubic") {
  const auto executor = one_lane();
  for (const Case& c : cases("fit_")) {
    CAPTURE(c.name);
    InputSpec spec = spec_of(c);
    spec.fit = fit_by_name(c.settings.at("fit"));
    const Result result = preprocess(*executor, spec, image_of(c));
    const Agreement agreement = compare(get(result, "pixels"), c.bytes.at("expected.pixels").second);
    CHECK(agreement.equal == 1);
    CHECK(agreement.largest == 0);
  }
}

TEST_CASE("the warp equals the Python warp") {
  const auto executor = one_lane();
  for (const Case& c : cases("warp_")) {
    CAPTURE(c.name);
    ImageInput image = image_of(c);
    image.has_crop = true;
    for (size_t i = 0; i < 6; ++i) {
      image.crop[i] = std::stod(c.settings.at("m" + std::to_string(i)));
    }
    const Result result = preprocess(*executor, spec_of(c), image);
    const Agreement agreement = compare(get(result, "pixels"), c.bytes.at("expected.pixels").second);
    CHECK(agreement.equal >= 0.999);
    CHECK(agreement.largest <= 1);
  }
}

TEST_CASE("normalisation is (byte / 255 - mean) / std, channels first") {
  const auto executor = one_lane();
  InputSpec spec;
  spec.width = 2;
  spec.height = 1;
  spec.mean = {0.5F, 0.25F, 0.0F};
  spec.std = {0.5F, 0.25F, 2.0F};
  const std::vector<uint8_t> pixels{0, 51, 102, 255, 204, 153};
  ImageInput image;
  image.data = pixels.data();
  image.width = 2;
  image.height = 1;
  const Result result = preprocess(*executor, spec, image);
  const Array expected{{1, 3, 1, 2}, {-1.0F, 1.0F, -0.2F, 2.2F, 0.2F, 0.3F}};
  CHECK(relative_error(get(result, "input"), expected) <= 1e-6);
}

TEST_CASE("nonsense is refused") {
  const auto executor = one_lane();
  const std::vector<uint8_t> pixels(12);
  ImageInput image;
  image.data = pixels.data();
  image.width = 2;
  image.height = 2;
  InputSpec bad_size;
  bad_size.width = 0;
  CHECK_THROWS_AS(preprocess(*executor, bad_size, image), Error);
  ImageInput no_size = image;
  no_size.height = -1;
  CHECK_THROWS_AS(preprocess(*executor, {}, no_size), Error);
  ImageInput no_pixels = image;
  no_pixels.data = nullptr;
  CHECK_THROWS_AS(preprocess(*executor, {}, no_pixels), Error);
  ImageInput singular = image;
  singular.has_crop = true;
  CHECK_THROWS_AS(preprocess(*executor, {}, singular), Error);
  ImageInput not_finite = singular;
  not_finite.crop = {NAN, 0, 0, 0, 1, 0};
  CHECK_THROWS_AS(preprocess(*executor, {}, not_finite), Error);
}
