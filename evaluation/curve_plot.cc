#include "evaluation/curve_plot.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/log/console.h"

namespace rollmill {
namespace {

constexpr int kWidth = 760, kPlotHeight = 340;
constexpr int kLeft = 72, kRight = 24, kTop = 40, kAxisRoom = 52, kLegendRow = 18;
constexpr int kLegendColumns = 72;  // of a label; with what follows it, the width of the page
constexpr double kBandOpacity = 0.2;

struct Range {
  double low = INFINITY, high = -INFINITY;
  void include(const std::vector<double>& values) {
    for (const double v : values) {
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  // With room around it, and never empty.
  Range padded(double part) const {
    const double room = high > low ? part * (high - low) : std::max(1.0, 0.05 * std::abs(high));
    return {low - room, high + room};
  }
};

// Where numbers lie on the page.
struct Frame {
  Range x, y;
  double at_x(double v) const {
    return kLeft + (v - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double at_y(double v) const { return kTop + (y.high - v) / (y.high - y.low) * kPlotHeight; }
  std::vector<Point> path(const std::vector<double>& xs, const std::vector<double>& ys) const {
    std::vector<Point> points;
    for (std::size_t i = 0; i < xs.size(); ++i) points.push_back({at_x(xs[i]), at_y(ys[i])});
    return points;
  }
};

// All ticks of an axis in one unit, with as many digits as tell neighbours apart.
std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  double largest = 0;
  for (const double t : ticks) largest = std::max(largest, std::abs(t));
  double unit = 1;
  const char* suffix = "";
  for (const auto& [size, name] :
       {std::pair(1e3, " k"), std::pair(1e6, " M"), std::pair(1e9, " G")}) {
    if (largest >= 10 * size || (largest >= size && size > 1e3)) unit = size, suffix = name;
  }
  std::vector<std::string> labels;
  for (const double t : ticks)
    labels.push_back(t == 0 ? "0" : fmt::format("{:.6g}{}", t / unit, suffix));
  return labels;
}

void draw_axes(Figure& figure, const Frame& frame) {
  const double bottom = kTop + kPlotHeight, right = kWidth - kRight;
  const std::vector<double> xs = nice_ticks(frame.x.low, frame.x.high, 8);
  const std::vector<double> ys = nice_ticks(frame.y.low, frame.y.high, 7);
  const std::vector<std::string> x_labels = tick_labels(xs), y_labels = tick_labels(ys);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    const double y = frame.at_y(ys[i]);
    figure.line({{kLeft, y}, {right, y}}, palette::kPaleGrey, 1);
    figure.text({kLeft - 8.0, y + 4}, y_labels[i], Shape::Anchor::kEnd);
  }
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const double x = frame.at_x(xs[i]);
    figure.line({{x, bottom}, {x, bottom + 5}}, palette::kInk, 1);
    figure.text({x, bottom + 19}, x_labels[i], Shape::Anchor::kMiddle);
  }
  figure.line({{kLeft, kTop}, {kLeft, bottom}, {right, bottom}}, palette::kInk, 1);
}

Frame frame_of(const Comparison& c) {
  Range x, y;
  for (const CurveGroup& g : c.groups) {
    x.include(g.x);
    y.include(g.mean);
    y.include(g.low);
    y.include(g.high);
  }
  if (c.threshold) y.include({*c.threshold});
  return {x.high > x.low ? x : x.padded(0), y.padded(0.05)};
}

Color color_of(std::size_t group) { return palette::kKinds[group % palette::kCount]; }

// As the text in brackets behind a label: how many runs, what the band is.
std::string legend_of(const CurveGroup& g) {
  const std::size_t n = g.runs.size();
  return fit_columns(g.label, kLegendColumns) +
         (n == 1 ? " (1 run)" : fmt::format(" ({} runs, mean and 95 % interval)", n));
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int most) {
  const double least = (high - low) / std::max(most, 1);
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= least) step = factor * power;
  }
  std::vector<double> ticks;
  // Multiples of the step, not sums of it: their error does not grow.
  for (auto k = static_cast<std::int64_t>(std::ceil(low / step));; ++k) {
    const double tick = static_cast<double>(k) * step;
    if (tick > high || static_cast<int>(ticks.size()) > most) return ticks;
    ticks.push_back(tick);
  }
}

Figure plot_curves(const Comparison& c) {
  Figure figure;
  figure.width = kWidth;
  const double bottom = kTop + kPlotHeight;
  figure.height = kTop + kPlotHeight + kAxisRoom + kLegendRow * static_cast<int>(c.groups.size());
  const Frame frame = frame_of(c);
  draw_axes(figure, frame);
  figure.text({kLeft, kTop - 16.0}, c.key + " of " + c.environment, Shape::Anchor::kStart);
  figure.text({(kLeft + kWidth - kRight) / 2.0, bottom + 38},
              c.axis == CurveAxis::kSteps ? "environment steps" : "seconds",
              Shape::Anchor::kMiddle);
  if (c.threshold) {
    const double y = frame.at_y(*c.threshold);
    figure.line({{kLeft, y}, {kWidth - kRight, y}}, palette::kGrey, 1);
  }
  for (std::size_t i = 0; i < c.groups.size(); ++i) {  // bands below all curves
    const CurveGroup& g = c.groups[i];
    if (g.low.empty()) continue;
    std::vector<Point> around = frame.path(g.x, g.high);
    const std::vector<Point> below = frame.path(g.x, g.low);
    around.insert(around.end(), below.rbegin(), below.rend());
    figure.area(around, color_of(i), kBandOpacity);
  }
  for (std::size_t i = 0; i < c.groups.size(); ++i) {
    const CurveGroup& g = c.groups[i];
    figure.line(frame.path(g.x, g.mean), color_of(i), 2);
    const double y = bottom + kAxisRoom + kLegendRow * static_cast<double>(i);
    figure.line({{kLeft, y}, {kLeft + 22.0, y}}, color_of(i), 3);
    figure.text({kLeft + 30.0, y + 4}, legend_of(g), Shape::Anchor::kStart);
  }
  return figure;
}

std::string format_html(const Comparison& c) {
  const std::string title = xml_escaped(c.key + " of " + c.environment);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + title +
      "</title>\n<style>\nbody { font: 14px sans-serif; margin: 24px; color: #26262a; }\n"
      "table { border-collapse: collapse; margin-top: 16px; }\n"
      "th, td { padding: 4px 12px; text-align: right; border-bottom: 1px solid #e2e2e0; }\n"
      "th:first-child, td:first-child { text-align: left; }\n"
      "</style>\n</head>\n<body>\n" +
      to_svg(plot_curves(c)) + "<table>\n";
  const char* tag = "th";
  for (const auto& row : comparison_table(c)) {
    out += "<tr>";
    for (const std::string& text : row)
      out += fmt::format("<{0}>{1}</{0}>", tag, xml_escaped(text));
    out += "</tr>\n";
    tag = "td";
  }
  return out + "</table>\n</body>\n</html>\n";
}

}  // namespace rollmill
