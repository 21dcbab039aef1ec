// Canvas against geometry: areas, symmetry, what is cut off; and against its own past (golden hashes).
#include "envs/canvas.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/envs/golden_picture.h"

namespace rollmill {
namespace {

// Black on white: the sum of what was covered, in pixels.
double covered(const Canvas& canvas) {
  double sum = 0;
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) sum += (255.0 - canvas.at(x, y).r) / 255.0;
  }
  return sum;
}

Canvas white(int width, int height) {
  Canvas canvas;
  canvas.resize(width, height, palette::kWhite);
  return canvas;
}

TEST(Canvas, FillsExactlyTheRectanglesPixels) {
  Canvas canvas = white(20, 10);
  canvas.fill({3, 2, 5, 4}, palette::kBlack);
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 20; ++x) {
      const bool inside = x >= 3 && x < 8 && y >= 2 && y < 6;
      EXPECT_EQ(canvas.at(x, y), inside ? palette::kBlack : palette::kWhite) << x << ' ' << y;
    }
  }
}

TEST(Canvas, OutlineIsTheRectangleWithoutItsInside) {
  Canvas canvas = white(20, 20), twice = white(20, 20);
  canvas.outline({2, 3, 12, 9}, palette::kBlack, 2);
  twice.fill({2, 3, 12, 9}, palette::kBlack);
  twice.fill({4, 5, 8, 5}, palette::kWhite);
  EXPECT_EQ(canvas.picture(), twice.picture());
}

// The error of a boundary pixel is at most its own area; a sampled straight edge is far better than that. 4 x 4 samples
// miss at most 1/8 pixel for each pixel of the boundary's length.
TEST(Canvas, AreasAreThoseOfGeometry) {
  Canvas canvas = white(200, 200);
  canvas.circle({100.3, 99.6}, 60.0, palette::kBlack);
  EXPECT_NEAR(covered(canvas), 3.14159265 * 3600.0, 2 * 3.15 * 60 / 8);
  canvas = white(200, 200);
  canvas.ring({100.0, 100.0}, 60.0, palette::kBlack, 10.0);
  EXPECT_NEAR(covered(canvas), 3.14159265 * (3600.0 - 2500.0), 2 * 3.15 * 110 / 8);
  canvas = white(200, 200);
  canvas.triangle({10.25, 20.5}, {180.75, 60.0}, {77.0, 190.125}, palette::kBlack);
  const double twice = (180.75 - 10.25) * (190.125 - 20.5) - (77.0 - 10.25) * (60.0 - 20.5);
  EXPECT_NEAR(covered(canvas), 0.5 * twice, 520.0 / 8);
  canvas = white(200, 200);
  canvas.line({20, 30}, {170, 140}, palette::kBlack, 6.0);
  EXPECT_NEAR(covered(canvas), 6.0 * std::hypot(150, 110), 2 * 192.0 / 8);
}

TEST(Canvas, AnAlignedPolygonIsARectangle) {
  Canvas canvas = white(30, 30), filled = white(30, 30);
  canvas.polygon({{4, 5}, {21, 5}, {21, 17}, {4, 17}}, palette::kBlue);
  filled.fill({4, 5, 17, 12}, palette::kBlue);
  EXPECT_EQ(canvas.picture(), filled.picture());
}

TEST(Canvas, CutsOffWhatLiesOutside) {
  constexpr double kHuge = 1e300, kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  Canvas canvas = white(16, 16);
  canvas.fill({-100, -100, 50, 50}, palette::kBlack);
  canvas.fill({2147483000, 0, 2147483000, 5}, palette::kBlack);
  canvas.pixel(-1, 3, palette::kBlack);
  canvas.pixel(16, 3, palette::kBlack);
  canvas.circle({-50, -50}, 20, palette::kBlack);
  canvas.line({kNan, 3}, {5, kNan}, palette::kBlack);
  canvas.text(500, 500, "far", palette::kBlack);
  EXPECT_EQ(covered(canvas), 0.0);
  canvas.polygon({{-kHuge, -kHuge}, {kInf, -kInf}, {kInf, kHuge}, {-kHuge, kInf}}, palette::kBlack);
  EXPECT_EQ(covered(canvas), 256.0);
}

TEST(Canvas, DrawsPicturesAndCutsThemOff) {
  Canvas small = white(3, 2);
  for (int k = 0; k < 6; ++k) small.pixel(k % 3, k / 3, palette::kKinds[k]);
  for (const auto& [x, y] : {std::pair{2, 1}, {-1, -1}, {6, 5}, {9, 0}, {-7, 2}, {0, 40}}) {
    Canvas canvas = white(7, 6), expected = white(7, 6);
    canvas.draw(small.picture(), x, y);
    for (int k = 0; k < 6; ++k) expected.pixel(x + k % 3, y + k / 3, small.at(k % 3, k / 3));
    EXPECT_EQ(canvas.picture(), expected.picture()) << x << ' ' << y;
  }
}

TEST(Canvas, BringsItsSizeIntoRange) {
  Canvas canvas(-5, 1 << 30);
  EXPECT_EQ(canvas.width(), 1);
  EXPECT_EQ(canvas.height(), Canvas::kMaxSide);
  const Grid grid = canvas.resize_grid(1 << 30, 1 << 30, 1 << 30, 1 << 30);
  EXPECT_LE(grid.area().w, canvas.width());
  EXPECT_LE(grid.area().h, canvas.height());
}

TEST(Canvas, GridCellsTileTheirArea) {
  const Grid grid = Canvas::grid(3, 7, {10, 20, 300, 100});
  EXPECT_EQ(grid.cell_size, 33);
  for (int row = 0; row < 3; ++row) {
    for (int col = 0; col < 7; ++col) {
      const Rect cell = grid.cell(row, col);
      EXPECT_EQ(cell.x, grid.cell(0, 0).x + 33 * col);
      EXPECT_EQ(cell.y, grid.cell(0, 0).y + 33 * row);
    }
  }
  EXPECT_GE(grid.area().x, 10);
  EXPECT_LE(grid.area().x + grid.area().w, 310);
}

TEST(Canvas, EveryPrintableCharacterHasItsOwnGlyph) {
  std::vector<Picture> seen;
  for (int c = ' '; c <= '~'; ++c) {
    Canvas canvas = white(6, 10);
    canvas.text(0, 0, std::string(1, static_cast<char>(c)));
    for (const Picture& other : seen) EXPECT_NE(canvas.picture(), other) << static_cast<char>(c);
    seen.push_back(canvas.picture());
  }
}

TEST(Canvas, TextScalesAndMeasures) {
  EXPECT_EQ(Canvas::text_width("abc"), 17);
  EXPECT_EQ(Canvas::text_width("a\nabcd\n", 2), 46);
  EXPECT_EQ(Canvas::text_height("a\nb"), 17);
  Canvas one = white(40, 12), two = white(80, 24);
  one.text(1, 1, "Ag7");
  two.text(2, 2, "Ag7", palette::kInk, 2);
  for (int y = 0; y < 24; ++y) {
    for (int x = 0; x < 80; ++x) ASSERT_EQ(two.at(x, y), one.at(x / 2, y / 2));
  }
}

// Every shape once.
TEST(Canvas, GoldenPicture) {
  Canvas canvas(320, 200);
  canvas.text(5, 5, "Rollmill 0123456789 {}~");
  canvas.circle({40.3, 60.7}, 20.5, palette::kOrange);
  canvas.ring({90, 60}, 20, palette::kGreen, 3.5);
  canvas.rod({130, 45}, {190, 75}, palette::kVermillion, 9);
  canvas.line({200, 45}, {260, 77.7}, palette::kInk);
  canvas.triangle({270, 80}, {310, 80}, {290, 45}, palette::kPurple);
  const Grid grid = Canvas::grid(2, 6, {10, 100, 300, 90});
  for (int k = 0; k < 4; ++k) canvas.arrow(grid.cell(0, k), Heading(k), palette::kKinds[k]);
  canvas.disc(grid.cell(1, 0), palette::kSkyBlue);
  canvas.block(grid.cell(1, 1), palette::kDarkGrey);
  canvas.diamond(grid.cell(1, 2), palette::kYellow);
  canvas.cross(grid.cell(1, 3), palette::kBlack);
  canvas.label(grid.cell(1, 4), "A7", palette::kBlue, 2);
  expect_golden_picture("canvas", canvas.picture());
}

}  // namespace
}  // namespace rollmill
