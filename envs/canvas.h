// What an environment draws itself on. The optional member of the contract is, host only,
//
//   static void render(const State& s, const Params& p, Canvas& canvas) {
//     const Grid grid = canvas.resize_grid(p.size, p.size);         // or canvas.resize(width, height)
//     canvas.arrow(grid.cell(s.row, s.col), Heading::kRight, palette::kBlue);
//   }
//
// Pixel (0, 0) is the top left one. Shapes with real coordinates are anti-aliased; pixel (x, y) covers [x, x + 1) x
// [y, y + 1). Coordinates are rounded to 1/16 pixel, and everything after that is integer arithmetic: a picture is the
// same bits on every machine. What lies outside the picture is cut off; NaN counts as 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "core/image/picture.h"
#include "envs/palette.h"

namespace rollmill {

// Whole pixels [x, x + w) x [y, y + h).
struct Rect {
  int x = 0, y = 0, w = 0, h = 0;
  // Smaller by d on each side.
  constexpr Rect inset(int d) const { return {x + d, y + d, w - 2 * d, h - 2 * d}; }
  constexpr double center_x() const { return x + 0.5 * w; }
  constexpr double center_y() const { return y + 0.5 * h; }
};

struct Point {
  double x, y;
};

enum class Heading { kUp, kRight, kDown, kLeft };

// rows x cols square cells.
struct Grid {
  int x = 0, y = 0, cell_size = 0, rows = 0, cols = 0;
  constexpr Rect cell(int row, int col) const {
    return {x + col * cell_size, y + row * cell_size, cell_size, cell_size};
  }
  constexpr Rect area() const { return {x, y, cols * cell_size, rows * cell_size}; }
};

class Canvas {
 public:
  static constexpr int kMaxSide = 4096;

  Canvas() : Canvas(1, 1) {}
  Canvas(int width, int height) { resize(width, height); }

  int width() const { return picture_.width; }
  int height() const { return picture_.height; }
  const Picture& picture() const { return picture_; }
  Color at(int x, int y) const;  // of a pixel inside

  // A new empty picture; sides are brought into 1..kMaxSide.
  void resize(int width, int height, Color background = palette::kPaper);
  void clear(Color color);

  // ---- whole pixels
  void pixel(int x, int y, Color color);
  void fill(Rect r, Color color);
  void outline(Rect r, Color color, int thickness = 1);  // inside r

  // ---- anti-aliased
  void line(Point a, Point b, Color color, double thickness = 1.0);  // flat ends
  void rod(Point a, Point b, Color color, double thickness);         // round ends
  void circle(Point center, double radius, Color color);
  void ring(Point center, double radius, Color color, double thickness = 1.0);  // inside radius
  void polygon(std::span<const Point> corners, Color color);  // even-odd where it crosses itself
  void polygon(std::initializer_list<Point> corners, Color color) {
    polygon(std::span<const Point>(corners.begin(), corners.size()), color);
  }
  void triangle(Point a, Point b, Point c, Color color) { polygon({a, b, c}, color); }

  // Another picture, its top left corner at (x, y).
  void draw(const Picture& picture, int x, int y);

  // ---- text: 5 x 7 dots a character, 6 x 9 with its gaps; ASCII, '\n' starts a line
  static int text_width(std::string_view text, int scale = 1);
  static int text_height(std::string_view text, int scale = 1);
  void text(int x, int y, std::string_view text, Color color = palette::kInk, int scale = 1);
  void label(Rect r, std::string_view text, Color color = palette::kInk, int scale = 1);  // centred

  // ---- cells
  // Resizes to a grid with a thin line around it, draws empty cells, and leaves `footer` text lines below it.
  Grid resize_grid(int rows, int cols, int cell_size = 24, int footer = 0);
  // The largest square cells that fit into an area, centred.
  static Grid grid(int rows, int cols, Rect area);
  void footer(const Grid& grid, std::string_view text, Color color = palette::kInk);
  // Shapes that fill most of a cell.
  void disc(Rect cell, Color color);
  void block(Rect cell, Color color);                   // with a darker rim
  void arrow(Rect cell, Heading heading, Color color);  // who stands here and looks there
  void diamond(Rect cell, Color color);
  void cross(Rect cell, Color color);

 private:
  void blend(int x, int y, Color color, int coverage);  // of 16
  std::uint8_t* at_pixel(int x, int y);
  std::size_t offset(int x, int y) const {
    return 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width()) +
                static_cast<std::size_t>(x));
  }

  Picture picture_;
};

}  // namespace rollmill
