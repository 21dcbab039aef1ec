// The picture of both mountain cars: the hill, the goal's flag, the car on the slope. Host only.
#pragma once

#include <algorithm>
#include <vector>

#include "core/math/math.h"
#include "envs/canvas.h"

namespace rollmill {

// Positions from left to right; the hill's height over x is sin(3 x), as the cars' gravity cos(3 x) says.
inline void draw_hill_and_car(Canvas& canvas, float left, float right, float goal, float position,
                              float velocity, float max_speed) {
  constexpr int kWidth = 480, kHeight = 300, kMargin = 20;
  canvas.resize(kWidth, kHeight);
  const double scale = (kWidth - 2 * kMargin) / std::max(0.01, double{right} - double{left});
  const auto ground = [&](float x) {
    return Point{kMargin + (double{x} - double{left}) * scale,
                 190.0 - 85.0 * double{math::sin(3.0f * x)}};
  };
  std::vector<Point> hill = {{kWidth, kHeight}, {0, kHeight}};
  for (int px = 0; px <= kWidth; px += 4) {
    hill.push_back(ground(left + static_cast<float>((px - kMargin) / scale)));
  }
  canvas.polygon(hill, palette::kPaleGrey);
  for (std::size_t k = 3; k < hill.size(); ++k) {
    canvas.line(hill[k - 1], hill[k], palette::kGrey, 2);
  }
  const Point flag = ground(goal);
  canvas.line(flag, {flag.x, flag.y - 44}, palette::kInk, 2);
  canvas.triangle({flag.x + 1, flag.y - 44}, {flag.x + 19, flag.y - 37}, {flag.x + 1, flag.y - 30},
                  palette::kGreen);
  const Point wall = ground(left);
  canvas.line(wall, {wall.x, wall.y - 60}, palette::kGrey, 3);

  // The car in its own frame: along the slope, and up from it. Pixels, so the slope is that of the picture.
  const Point a = ground(position);
  const double slope = -85.0 * 3.0 * double{math::cos(3.0f * position)} / scale;
  const double length = double{math::sqrt(static_cast<float>(1.0 + slope * slope))};
  const Point along = {1.0 / length, slope / length}, up = {slope / length, -1.0 / length};
  const auto at = [&](double forward, double above) {
    return Point{a.x + forward * along.x + above * up.x, a.y + forward * along.y + above * up.y};
  };
  canvas.polygon({at(-21, 7), at(21, 7), at(21, 15), at(11, 16), at(6, 23), at(-9, 23), at(-14, 16),
                  at(-21, 15)},
                 palette::kBlue);
  for (const double wheel : {-12.0, 12.0}) {
    canvas.circle(at(wheel, 6), 6, palette::kInk);
    canvas.circle(at(wheel, 6), 2.5, palette::kPaleGrey);
  }
  const double pace = 48.0 * double{velocity} / std::max(1e-6, double{max_speed});
  const double tip = pace < 0 ? -7 : 7;
  if (pace > 2 || pace < -2) {
    canvas.line(at(0, 34), at(pace, 34), palette::kVermillion, 3);
    canvas.triangle(at(pace + tip, 34), at(pace, 39), at(pace, 29), palette::kVermillion);
  }
}

}  // namespace rollmill
