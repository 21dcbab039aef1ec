// A flat drawing of lines, areas and text, and its two forms: SVG, and pixels drawn with the environments' canvas.
// Coordinates are in units of the SVG, (0, 0) at the top left.
#pragma once

#include <string>
#include <vector>

#include "core/image/picture.h"
#include "envs/canvas.h"

namespace rollmill {

struct Shape {
  enum class Kind { kLine, kArea, kText };  // through, around or at its points
  enum class Anchor { kStart, kMiddle, kEnd };

  Kind kind = Kind::kLine;
  std::vector<Point> points;  // kText: one, on the text's base line
  Color color = palette::kInk;
  double width = 1.0;    // of a line
  double opacity = 1.0;  // of an area
  std::string text = "";
  Anchor anchor = Anchor::kStart;
};

struct Figure {
  int width = 0, height = 0;
  std::vector<Shape> shapes;  // later ones on top

  void line(std::vector<Point> points, Color color, double width);
  void area(std::vector<Point> points, Color color, double opacity);
  void text(Point at, std::string text, Shape::Anchor anchor, Color color = palette::kInk);
};

// One <svg> element with everything in it: no style sheet, script or font from elsewhere.
std::string to_svg(const Figure& figure);

// scale: pixels a unit. Text is ASCII in the canvas's font; other characters are boxes.
Picture to_picture(const Figure& figure, int scale = 2);

// Text for XML and HTML: & < > " and control characters.
std::string xml_escaped(const std::string& text);

}  // namespace rollmill
