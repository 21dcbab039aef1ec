// Pictures of the control tasks: held by golden hashes, and drawn whatever the state is.
#include <gtest/gtest.h>

#include <limits>

#include "envs/canvas.h"
#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
#include "envs/classic/mountain_car.h"
#include "envs/classic/mountain_car_continuous.h"
#include "envs/classic/pendulum.h"
#include "tests/envs/golden_picture.h"

namespace rollmill {
namespace {

template <class Env>
Picture picture_of(const typename Env::State& state, const typename Env::Params& params = {}) {
  Canvas canvas;
  Env::render(state, params, canvas);
  return canvas.picture();
}

TEST(ClassicRender, GoldenPictures) {
  expect_golden_picture("CartPole-v1", picture_of<CartPole>({0.7f, 0.1f, -0.15f, 0.0f}));
  expect_golden_picture("Acrobot-v1", picture_of<Acrobot>({0.5f, 1.2f, 0.0f, 0.0f}));
  expect_golden_picture("MountainCar-v0", picture_of<MountainCar>({-0.9f, -0.03f}));
  expect_golden_picture("MountainCarContinuous-v0",
                        picture_of<MountainCarContinuous>({0.3f, 0.05f}));
  expect_golden_picture("Pendulum-v1", picture_of<Pendulum>({0.6f, 4.0f}));
}

// Every float, NaN and infinity too, and the ends of every parameter's range.
template <class Env>
void draws_anything() {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, 1e-30f, -3e38f, 3e38f, kInf, -kInf, -kInf + kInf}) {
    for (const int which : {0, 1, 2}) {
      typename Env::State state{};
      state.visit([&](const char*, auto& field) { field = value; });
      typename Env::Params params{};
      params.visit([&](const FieldInfo& f, auto& field) {
        if (which > 0) field = static_cast<float>(which == 1 ? f.low : f.high);
      });
      const Picture picture = picture_of<Env>(state, params);
      EXPECT_GT(picture.width, 100);
      EXPECT_GT(picture.height, 100);
    }
  }
}

TEST(ClassicRender, DrawsAnyStateUnderAnyParameters) {
  draws_anything<CartPole>();
  draws_anything<Acrobot>();
  draws_anything<MountainCar>();
  draws_anything<MountainCarContinuous>();
  draws_anything<Pendulum>();
}

}  // namespace
}  // namespace rollmill
