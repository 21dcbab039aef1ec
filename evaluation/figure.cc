#include "evaluation/figure.h"

#include <fmt/core.h>

#include <utility>

namespace rollmill {
namespace {

constexpr int kFontSize = 12;  // of the SVG
constexpr int kBaseLine = 7;   // rows of the canvas's font above the base line

std::string css(Color c) { return fmt::format("#{:02x}{:02x}{:02x}", c.r, c.g, c.b); }

std::string coordinates(const std::vector<Point>& points) {
  std::string out;
  for (const Point& p : points)
    out += fmt::format("{}{:.2f},{:.2f}", out.empty() ? "" : " ", p.x, p.y);
  return out;
}

const char* svg_anchor(Shape::Anchor anchor) {
  return anchor == Shape::Anchor::kStart ? "start"
         : anchor == Shape::Anchor::kEnd ? "end"
                                         : "middle";
}

std::string to_svg(const Shape& s) {
  switch (s.kind) {
    case Shape::Kind::kLine:
      return fmt::format(
          "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{:g}\" "
          "stroke-linecap=\"round\" stroke-linejoin=\"round\"/>\n",
          coordinates(s.points), css(s.color), s.width);
    case Shape::Kind::kArea:
      return fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{:g}\"/>\n",
                         coordinates(s.points), css(s.color), s.opacity);
    case Shape::Kind::kText: break;
  }
  return fmt::format("<text x=\"{:.2f}\" y=\"{:.2f}\" fill=\"{}\" text-anchor=\"{}\">{}</text>\n",
                     s.points[0].x, s.points[0].y, css(s.color), svg_anchor(s.anchor),
                     xml_escaped(s.text));
}

std::vector<Point> scaled(std::vector<Point> points, int scale) {
  for (Point& p : points) p = {p.x * scale, p.y * scale};
  return points;
}

// The canvas has no transparency: the area is drawn white on black elsewhere, and that is how much of it is mixed in.
void draw_area(Canvas& canvas, const Shape& s, int scale) {
  Canvas mask(canvas.width(), canvas.height());
  mask.clear(palette::kBlack);
  mask.polygon(scaled(s.points, scale), palette::kWhite);
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) {
      const int covered = mask.at(x, y).r;
      if (covered == 0) continue;
      const int part = static_cast<int>(256 * s.opacity * covered / 255);
      canvas.pixel(x, y, mix(canvas.at(x, y), s.color, part));
    }
  }
}

void draw(Canvas& canvas, const Shape& s, int scale) {
  const std::vector<Point> points = scaled(s.points, scale);
  if (s.kind == Shape::Kind::kArea) {
    draw_area(canvas, s, scale);
  } else if (s.kind == Shape::Kind::kLine) {
    for (std::size_t i = 0; i + 1 < points.size(); ++i)
      canvas.rod(points[i], points[i + 1], s.color, s.width * scale);
  } else {
    const int width = Canvas::text_width(s.text, scale);
    const int left =
        static_cast<int>(points[0].x) - (s.anchor == Shape::Anchor::kStart ? 0
                                         : s.anchor == Shape::Anchor::kEnd ? width
                                                                           : width / 2);
    canvas.text(left, static_cast<int>(points[0].y) - kBaseLine * scale, s.text, s.color, scale);
  }
}

}  // namespace

void Figure::line(std::vector<Point> points, Color color, double thickness) {
  shapes.push_back({Shape::Kind::kLine, std::move(points), color, thickness});
}

void Figure::area(std::vector<Point> points, Color color, double opacity) {
  shapes.push_back({Shape::Kind::kArea, std::move(points), color, 0, opacity});
}

void Figure::text(Point at, std::string text, Shape::Anchor anchor, Color color) {
  shapes.push_back({Shape::Kind::kText, {at}, color, 0, 1, std::move(text), anchor});
}

std::string to_svg(const Figure& figure) {
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"{2}\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"{3}\"/>\n",
      figure.width, figure.height, kFontSize, css(palette::kPaper));
  for (const Shape& shape : figure.shapes) out += to_svg(shape);
  return out + "</svg>\n";
}

Picture to_picture(const Figure& figure, int scale) {
  Canvas canvas(figure.width * scale, figure.height * scale);
  for (const Shape& shape : figure.shapes) draw(canvas, shape, scale);
  return canvas.picture();
}

std::string xml_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

}  // namespace rollmill
