// Tests of binding/core: no torch, no Node, seconds.
#include <string>

#include "core/bounded_queue.h"
#include "core/colormap.h"
#include "core/image_geometry.h"
#include "core/resize.h"
#include "run_tests.h"

using namespace kfd::core;

TEST_CASE("queue keeps order and both bounds") {
  BoundedQueue<int> queue(3, 100);
  CHECK(queue.try_push(1, 40));
  CHECK(queue.try_push(2, 40));
  CHECK_FALSE(queue.try_push(3, 21));  // bytes
  CHECK(queue.try_push(3, 20));
  CHECK_FALSE(queue.try_push(4, 0));  // items
  CHECK(queue.items() == 3);
  CHECK(queue.bytes() == 100);
  CHECK(queue.pop() == 1);
  CHECK(queue.bytes() == 60);
  CHECK(queue.try_push(4, 40));
  CHECK(queue.pop() == 2);
  CHECK(queue.pop() == 3);
  CHECK(queue.pop() == 4);
  CHECK_FALSE(queue.pop().has_value());
  CHECK(queue.bytes() == 0);
}

TEST_CASE("queue hands out matching items oldest first") {
  BoundedQueue<int> queue(10, 1000);
  for (int i = 0; i < 8; ++i) {
    REQUIRE(queue.try_push(i, 10));
  }
  const auto even = [](int i) { return i % 2 == 0; };
  CHECK(queue.count_if(even) == 4);
  CHECK(queue.take_if(even, 3) == std::vector<int>{0, 2, 4});
  CHECK(queue.bytes() == 50);
  CHECK(queue.pop() == 1);
  CHECK(queue.take_if(even, 3) == std::vector<int>{6});
  CHECK(queue.items() == 3);
}

TEST_CASE("an item larger than the byte bound never fits") {
  BoundedQueue<int> queue(10, 100);
  CHECK_FALSE(queue.try_push(1, 101));
  CHECK(queue.try_push(1, 100));
}

TEST_CASE("centre crop fills the target") {
  // torchvision: shorter side exact, longer truncated, offsets rounded half to even
  const FitPlan wide = plan_centre_crop({500, 333}, {224, 224});
  CHECK(wide.resized == Size{336, 224});
  CHECK(wide.x == 56);
  CHECK(wide.y == 0);
  const FitPlan odd = plan_centre_crop({401, 641}, {224, 224});
  CHECK(odd.resized == Size{224, 358});
  CHECK(odd.y == 67);
  const FitPlan half = plan_centre_crop({225, 224}, {224, 224});
  CHECK(half.resized == Size{225, 224});
  CHECK(half.x == 0);  // 0.5 rounds to the even 0
  CHECK(plan_centre_crop({10, 10}, {30, 20}).resized == Size{30, 30});
}

TEST_CASE("letterbox lies inside the target") {
  const FitPlan plan = plan_letterbox({500, 333}, {256, 256});
  CHECK(plan.resized == Size{256, 170});
  CHECK(plan.x == 0);
  CHECK(plan.y == 43);
  CHECK(plan_letterbox({1, 10000}, {64, 64}).resized == Size{1, 64});
}

TEST_CASE("warp of scale 1 or less reads the image as it stands") {
  const WarpPlan plan = plan_warp({1, 0, 10, 0, 1, 20}, {100, 50}, {1000, 1000});
  CHECK(plan.scale == doctest::Approx(1.0));
  CHECK(plan.source == Rectangle{7, 17, 106, 56});
  CHECK(plan.resized == Size{106, 56});
  CHECK(plan.sampling[2] == doctest::Approx(3.0));
}

TEST_CASE("warp of scale 4 reduces first and corrects for the rounded size") {
  const WarpPlan plan = plan_warp({4, 0, 100.5, 0, 4, 200.5}, {100, 100}, {1000, 1000});
  CHECK(plan.scale == doctest::Approx(4.0));
  CHECK(plan.source == Rectangle{92, 192, 417, 417});
  CHECK(plan.resized == Size{104, 104});
  const double ratio = 104.0 / 417.0;
  CHECK(plan.sampling[0] == doctest::Approx(4 * ratio));
  CHECK(plan.sampling[5] == doctest::Approx(8.5 * ratio));
}

TEST_CASE("warp clips to the image, and outside there is nothing") {
  CHECK(plan_warp({1, 0, -50, 0, 1, -50}, {100, 100}, {80, 80}).source == Rectangle{0, 0, 53, 53});
  CHECK(plan_warp({1, 0, 5000, 0, 1, 0}, {100, 100}, {80, 80}).source.empty());
  CHECK(plan_warp({1e300, 0, -1e305, 0, 1e300, 0}, {100, 100}, {80, 80}).source == Rectangle{0, 0, 80, 80});
}

TEST_CASE("resizing keeps a constant picture, a picture's own size, and a ramp's order") {
  // (that it equals Pillow is checked by the engine tests, which have Pillow's results)
  const std::vector<uint8_t> grey(37 * 23 * 3, 200);
  for (const Size size : {Size{1, 1}, Size{5, 60}, Size{224, 7}, Size{37, 23}}) {
    std::vector<uint8_t> target(static_cast<size_t>(size.width * size.height * 3), 0);
    resize_bicubic(grey.data(), {37, 23}, target.data(), size);
    CHECK(target == std::vector<uint8_t>(target.size(), 200));
  }
  std::vector<uint8_t> ramp;
  for (int x = 0; x < 64; ++x) {
    ramp.insert(ramp.end(), {static_cast<uint8_t>(x), static_cast<uint8_t>(2 * x), static_cast<uint8_t>(255 - x)});
  }
  std::vector<uint8_t> same(ramp.size());
  resize_bicubic(ramp.data(), {64, 1}, same.data(), {64, 1});
  CHECK(same == ramp);
  std::vector<uint8_t> half(32 * 3);
  resize_bicubic(ramp.data(), {64, 1}, half.data(), {32, 1});
  for (size_t x = 1; x < 32; ++x) {
    CHECK(half[3 * x] > half[3 * x - 3]);
    CHECK(half[3 * x + 2] < half[3 * x - 1]);
  }
  // away from the borders, the middle of two pixels of a ramp is their mean
  CHECK(half[3 * 16 + 1] == 65);
}

TEST_CASE("colour maps run from their first to their last colour") {
  CHECK(color_table(ColorMap::kViridis)[0] == Rgb{68, 1, 84});
  CHECK(color_table(ColorMap::kViridis)[255] == Rgb{253, 231, 37});
  CHECK(color_table(ColorMap::kInferno)[255] == Rgb{252, 255, 164});
  CHECK(color_table(ColorMap::kMagma)[255] == Rgb{252, 253, 191});
  CHECK(color_table(ColorMap::kTurbo)[0] == Rgb{48, 18, 59});
  CHECK(color_table(ColorMap::kJet)[0] == Rgb{0, 0, 128});
  CHECK(color_table(ColorMap::kJet)[128] == Rgb{130, 255, 126});
  CHECK(color_table(ColorMap::kJet)[255] == Rgb{128, 0, 0});
  CHECK(color_map_by_name("turbo") == ColorMap::kTurbo);
  CHECK_FALSE(color_map_by_name("rainbow").has_value());
}

TEST_CASE("perceptual maps grow lighter without a step back") {
  for (const ColorMap map : {ColorMap::kViridis, ColorMap::kInferno, ColorMap::kMagma}) {
    double before = -1;
    for (const Rgb& c : color_table(map)) {
      const double light = 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
      CHECK(light > before - 0.5);  // rounding to bytes
      before = light;
    }
  }
}

int main(int count, char** arguments) { return kfd::test::run_doctest(count, arguments); }
