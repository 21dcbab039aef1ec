#include "envs/canvas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/assert.h"
#include "envs/font.h"

namespace rollmill {
namespace {

// Shapes live on a grid of 1/16 pixel. A pixel's coverage is the number of its 4 x 4 samples, at 2 + 4 k sixteenths, that lie
// inside the shape.
constexpr int kUnits = 16, kFirstSample = 2, kSampleStep = 4, kFull = 16;

std::int64_t units(double pixels) {
  if (!(pixels == pixels)) return 0;
  constexpr double kFar =
      65536.0;  // pixels: far outside any picture, and squares still fit in 64 bits
  return static_cast<std::int64_t>(std::floor(std::clamp(pixels, -kFar, kFar) * kUnits + 0.5));
}

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) {  // b > 0
  return a / b - (a % b < 0 ? 1 : 0);
}

struct Corner {
  std::int64_t x, y;
};

// First and one past the last pixel that [low, high] units touch, cut to [0, size).
int first_pixel(std::int64_t low, int size) {
  return static_cast<int>(std::clamp<std::int64_t>(floor_div(low, kUnits), 0, size));
}
int end_pixel(std::int64_t high, int size) {
  return static_cast<int>(std::clamp<std::int64_t>(floor_div(high, kUnits) + 1, 0, size));
}

}  // namespace

void Canvas::resize(int width, int height, Color background) {
  picture_.width = std::clamp(width, 1, kMaxSide);
  picture_.height = std::clamp(height, 1, kMaxSide);
  picture_.rgb.resize(std::size_t{3} * static_cast<std::size_t>(picture_.width) *
                      static_cast<std::size_t>(picture_.height));
  clear(background);
}

void Canvas::clear(Color color) { fill({0, 0, width(), height()}, color); }

Color Canvas::at(int x, int y) const {
  RM_ASSERT(x >= 0 && y >= 0 && x < width() && y < height());
  const std::uint8_t* p = picture_.rgb.data() + offset(x, y);
  return {p[0], p[1], p[2]};
}

std::uint8_t* Canvas::at_pixel(int x, int y) { return picture_.rgb.data() + offset(x, y); }

void Canvas::blend(int x, int y, Color color, int coverage) {
  if (coverage <= 0 || x < 0 || y < 0 || x >= width() || y >= height()) return;
  std::uint8_t* p = at_pixel(x, y);
  const Color c = mix({p[0], p[1], p[2]}, color, coverage * (256 / kFull));
  p[0] = c.r;
  p[1] = c.g;
  p[2] = c.b;
}

void Canvas::pixel(int x, int y, Color color) { blend(x, y, color, kFull); }

void Canvas::fill(Rect r, Color color) {
  const std::int64_t right = std::int64_t{r.x} + r.w, bottom = std::int64_t{r.y} + r.h;
  const int end_x = static_cast<int>(std::min<std::int64_t>(width(), right));
  const int end_y = static_cast<int>(std::min<std::int64_t>(height(), bottom));
  const int first_x = std::max(r.x, 0), first_y = std::max(r.y, 0);
  if (first_x >= end_x || first_y >= end_y) return;
  std::uint8_t* first = at_pixel(first_x, first_y);
  const std::ptrdiff_t bytes = std::ptrdiff_t{3} * (end_x - first_x);
  for (std::ptrdiff_t k = 0; k < bytes; k += 3) {
    first[k] = color.r;
    first[k + 1] = color.g;
    first[k + 2] = color.b;
  }
  for (int y = first_y + 1; y < end_y; ++y) std::copy_n(first, bytes, at_pixel(first_x, y));
}

void Canvas::outline(Rect r, Color color, int thickness) {
  const int t = std::min({thickness, (r.w + 1) / 2, (r.h + 1) / 2});
  if (t <= 0) return;
  fill({r.x, r.y, r.w, t}, color);
  fill({r.x, r.y + r.h - t, r.w, t}, color);
  fill({r.x, r.y + t, t, r.h - 2 * t}, color);
  fill({r.x + r.w - t, r.y + t, t, r.h - 2 * t}, color);
}

void Canvas::line(Point a, Point b, Color color, double thickness) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length = std::sqrt(dx * dx + dy * dy);
  if (!(length > 0.0)) return;
  const double nx = -dy / length * (0.5 * thickness), ny = dx / length * (0.5 * thickness);
  polygon({{a.x + nx, a.y + ny}, {b.x + nx, b.y + ny}, {b.x - nx, b.y - ny}, {a.x - nx, a.y - ny}},
          color);
}

void Canvas::rod(Point a, Point b, Color color, double thickness) {
  line(a, b, color, thickness);
  circle(a, 0.5 * thickness, color);
  circle(b, 0.5 * thickness, color);
}

void Canvas::circle(Point center, double radius, Color color) {
  ring(center, radius, color, radius);
}

void Canvas::ring(Point center, double radius, Color color, double thickness) {
  const std::int64_t cx = units(center.x), cy = units(center.y), outer = units(radius);
  if (outer <= 0) return;
  const std::int64_t inner = std::max<std::int64_t>(0, units(radius - thickness));
  const int end_y = end_pixel(cy + outer, height()), end_x = end_pixel(cx + outer, width());
  for (int y = first_pixel(cy - outer, height()); y < end_y; ++y) {
    for (int x = first_pixel(cx - outer, width()); x < end_x; ++x) {
      int coverage = 0;
      for (int k = 0; k < kFull; ++k) {
        const std::int64_t dx = x * kUnits + kFirstSample + kSampleStep * (k & 3) - cx;
        const std::int64_t dy = y * kUnits + kFirstSample + kSampleStep * (k >> 2) - cy;
        const std::int64_t d = dx * dx + dy * dy;
        coverage += d <= outer * outer && d >= inner * inner ? 1 : 0;
      }
      blend(x, y, color, coverage);
    }
  }
}

// One row of pixels at a time: four lines of samples, each cut into inside and outside by the edges that cross it.
void Canvas::polygon(std::span<const Point> corners, Color color) {
  if (corners.size() < 3) return;
  std::vector<Corner> c;
  for (const Point& p : corners) c.push_back({units(p.x), units(p.y)});
  std::int64_t low_y = c[0].y, high_y = c[0].y;
  std::int64_t low_x = c[0].x, high_x = c[0].x;
  for (const Corner& p : c) {
    low_x = std::min(low_x, p.x);
    high_x = std::max(high_x, p.x);
    low_y = std::min(low_y, p.y);
    high_y = std::max(high_y, p.y);
  }
  const int first_x = first_pixel(low_x, width()), end_x = end_pixel(high_x, width());
  std::vector<int> coverage(static_cast<std::size_t>(width()));
  std::vector<std::int64_t> crossings;
  const std::int64_t samples = std::int64_t{width()} * 4;
  const auto sample_from = [&](std::int64_t x) {  // the first sample at or right of x
    return std::clamp<std::int64_t>(floor_div(x - kFirstSample + kSampleStep - 1, kSampleStep), 0,
                                    samples);
  };
  const int end_y = end_pixel(high_y, height());
  for (int y = first_pixel(low_y, height()); y < end_y; ++y) {
    std::fill(coverage.begin(), coverage.end(), 0);
    for (int k = 0; k < 4; ++k) {
      const std::int64_t line_y = y * kUnits + kFirstSample + kSampleStep * k;
      crossings.clear();
      for (std::size_t i = 0; i < c.size(); ++i) {
        const Corner &a = c[i], &b = c[(i + 1) % c.size()];
        if ((a.y <= line_y) == (b.y <= line_y)) continue;
        const Corner &top = a.y < b.y ? a : b, &bottom = a.y < b.y ? b : a;
        crossings.push_back(top.x +
                            floor_div((bottom.x - top.x) * (line_y - top.y), bottom.y - top.y));
      }
      std::sort(crossings.begin(), crossings.end());
      for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
        const std::int64_t end = sample_from(crossings[i + 1]);
        for (std::int64_t s = sample_from(crossings[i]); s < end; ++s) {
          ++coverage[static_cast<std::size_t>(s / 4)];
        }
      }
    }
    for (int x = first_x; x < end_x; ++x) {
      blend(x, y, color, coverage[static_cast<std::size_t>(x)]);
    }
  }
}

void Canvas::draw(const Picture& from, int x, int y) {
  const int first = std::max(0, -x), end = std::min(from.width, width() - x);
  if (first >= end) return;
  for (int row = std::max(0, -y); row < from.height && y + row < height(); ++row) {
    const auto start = 3 * (static_cast<std::ptrdiff_t>(row) * from.width + first);
    std::copy_n(from.rgb.begin() + start, 3 * (end - first), at_pixel(x + first, y + row));
  }
}

int Canvas::text_width(std::string_view text, int scale) {
  int longest = 0, length = 0;
  for (const char c : text) {
    length = c == '\n' ? 0 : length + 1;
    longest = std::max(longest, length);
  }
  return longest == 0 ? 0 : (longest * font::kAdvance - 1) * scale;
}

int Canvas::text_height(std::string_view text, int scale) {
  const auto breaks = std::count(text.begin(), text.end(), '\n');
  return (static_cast<int>(breaks) * font::kLine + font::kHeight - 1) * scale;
}

void Canvas::text(int x, int y, std::string_view text, Color color, int scale) {
  int at_x = x;
  for (const char c : text) {
    if (c == '\n') {
      at_x = x;
      y += font::kLine * scale;
      continue;
    }
    const font::Glyph& glyph = font::glyph(c);
    for (int row = 0; row < font::kHeight; ++row) {
      for (int col = 0; col < font::kWidth; ++col) {
        if ((glyph[static_cast<std::size_t>(row)] >> (font::kWidth - 1 - col) & 1) == 0) continue;
        fill({at_x + col * scale, y + row * scale, scale, scale}, color);
      }
    }
    at_x += font::kAdvance * scale;
  }
}

void Canvas::label(Rect r, std::string_view s, Color color, int scale) {
  text(r.x + (r.w - text_width(s, scale) + 1) / 2, r.y + (r.h - text_height(s, scale) + 1) / 2, s,
       color, scale);
}

Grid Canvas::resize_grid(int rows, int cols, int cell_size, int footer) {
  constexpr int kMargin = 4;
  rows = std::clamp(rows, 1, 512);
  cols = std::clamp(cols, 1, 512);
  cell_size = std::clamp(cell_size, 1, 3500 / std::max(rows, cols));
  footer = std::clamp(footer, 0, 50);
  const int room = footer > 0 ? footer * font::kLine + kMargin : 0;
  resize(cols * cell_size + 2 * kMargin + 1, rows * cell_size + 2 * kMargin + 1 + room);
  const Grid g{kMargin, kMargin, cell_size, rows, cols};
  for (int k = 0; k <= rows; ++k) {
    fill({g.x, g.y + k * cell_size, cols * cell_size + 1, 1}, palette::kPaleGrey);
  }
  for (int k = 0; k <= cols; ++k) {
    fill({g.x + k * cell_size, g.y, 1, rows * cell_size + 1}, palette::kPaleGrey);
  }
  return g;
}

Grid Canvas::grid(int rows, int cols, Rect area) {
  const int size = std::max(1, std::min(area.w / std::max(cols, 1), area.h / std::max(rows, 1)));
  return {area.x + (area.w - size * cols) / 2, area.y + (area.h - size * rows) / 2, size, rows,
          cols};
}

void Canvas::footer(const Grid& g, std::string_view s, Color color) {
  text(g.x, g.area().y + g.area().h + 6, s, color);
}

void Canvas::disc(Rect cell, Color color) {
  circle({cell.center_x() + 0.5, cell.center_y() + 0.5}, 0.36 * std::min(cell.w, cell.h), color);
}

void Canvas::block(Rect cell, Color color) {
  const Rect inner = {cell.x + 1, cell.y + 1, cell.w - 1, cell.h - 1};  // within the grid's lines
  fill(inner, color);
  outline(inner, mix(color, palette::kBlack, 72), std::max(1, cell.w / 12));
}

void Canvas::arrow(Rect cell, Heading heading, Color color) {
  const double cx = cell.center_x() + 0.5, cy = cell.center_y() + 0.5;
  const double s = 0.38 * std::min(cell.w, cell.h);
  static constexpr std::array<int, 4> kX = {0, 1, 0, -1}, kY = {-1, 0, 1, 0};
  const auto h = static_cast<std::size_t>(heading);
  const double fx = kX[h] * s, fy = kY[h] * s;  // forward; (-fy, fx) is to the right
  polygon({{cx + fx, cy + fy},
           {cx - fx - 0.85 * fy, cy - fy + 0.85 * fx},
           {cx - 0.45 * fx, cy - 0.45 * fy},
           {cx - fx + 0.85 * fy, cy - fy - 0.85 * fx}},
          color);
}

void Canvas::diamond(Rect cell, Color color) {
  const double cx = cell.center_x() + 0.5, cy = cell.center_y() + 0.5;
  const double s = 0.38 * std::min(cell.w, cell.h);
  polygon({{cx, cy - s}, {cx + s, cy}, {cx, cy + s}, {cx - s, cy}}, color);
}

void Canvas::cross(Rect cell, Color color) {
  const double cx = cell.center_x() + 0.5, cy = cell.center_y() + 0.5;
  const double s = 0.3 * std::min(cell.w, cell.h), t = 0.14 * std::min(cell.w, cell.h);
  line({cx - s, cy - s}, {cx + s, cy + s}, color, t);
  line({cx - s, cy + s}, {cx + s, cy - s}, color, t);
}

}  // namespace rollmill
