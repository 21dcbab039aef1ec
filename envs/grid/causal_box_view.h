// CausalBox in characters and as a picture: what the policy sees, in either phase.
#pragma once

#include <string>

#include "envs/canvas.h"
#include "envs/text_view.h"

namespace rollmill::causal_box {

// "-1-0." for switches: a column of an observation from `first`, with these characters for 0, 1 and 2.
template <class Box>
struct Seen {
  std::int32_t column[Box::Observation::kSize];
  Seen(const typename Box::State& s, const typename Box::Params& p) {
    Box::observe(s, p, {column, 1});
  }
  std::string characters(int first, int count, const char* signs) const {
    std::string text;
    for (int k = 0; k < count; ++k) text += signs[column[first + k]];
    return text;
  }
  std::string question() const {
    if (column[11] == 1) {
      return "switches " + characters(12, Box::kSwitches, "01 ") + ": is lamp " +
             std::to_string(column[17] + 1) + " on?";
    }
    if (column[11] == 2) {
      const std::size_t asked = characters(12, Box::kSwitches, "01.").find('1');
      return "does setting switch " + std::to_string(asked + 1) + " change the last lamp?";
    }
    return "tests";
  }
};

template <class Box>
void text(const typename Box::State& s, const typename Box::Params& p, TextView& view) {
  const Seen<Box> seen(s, p);
  view.resize(0, 0);
  view.line(
      "switches  " +
      seen.characters(1, Box::kSwitches, "01?").substr(0, static_cast<std::size_t>(p.switches)));
  const auto lamps = static_cast<std::size_t>(p.lamps);
  const std::string shown = seen.characters(6, Box::kLamps + 1, "o*?");
  view.line("lamps     " + shown.substr(0, lamps) +
            (s.confounded() ? " " + shown.substr(Box::kLamps) : ""));
  view.line("tests     " + std::to_string(s.tests) + " of " + std::to_string(Box::budget(p)));
  view.line("question  " + (s.asking != 0 ? seen.question() : std::string("none yet")));
}

template <class Box>
void render(const typename Box::State& s, const typename Box::Params& p, Canvas& canvas) {
  const Seen<Box> seen(s, p);
  constexpr int kCell = 48;
  canvas.resize(6 * kCell, 4 * kCell);
  canvas.fill({0, 0, 6 * kCell, 3 * kCell}, mix(palette::kPaper, palette::kOrange, 30));
  for (int j = 0; j <= Box::kLamps; ++j) {
    if (j < Box::kLamps ? j >= p.lamps : !s.confounded()) continue;
    const Point at{kCell * (j + 0.75), kCell * 0.75};
    const int state = seen.column[6 + j];
    canvas.circle(at, 18,
                  state == 1   ? palette::kYellow
                  : state == 0 ? palette::kWhite
                               : palette::kGrey);
    canvas.ring(at, 18, j == Box::kLamps ? palette::kPurple : palette::kInk, 3);
    if (state == 2)
      canvas.text(static_cast<int>(at.x) - 5, static_cast<int>(at.y) - 7, "?", palette::kInk, 2);
  }
  for (int i = 0; i < p.switches; ++i) {
    const int asked = seen.column[12 + i], state = s.asking != 0 ? asked : seen.column[1 + i];
    const Rect plate{kCell * i + kCell / 2 + 6, kCell * 3 / 2 + 6, kCell / 2 + 4, kCell + 6};
    canvas.fill(plate,
                s.asking != 0 ? mix(palette::kPaper, palette::kSkyBlue, 120) : palette::kWhite);
    canvas.outline(plate, palette::kInk, 2);
    if (state == 2) continue;
    const int half = plate.h / 2 - 6;
    canvas.fill(
        {plate.x + 5, state == 1 ? plate.y + 5 : plate.y + plate.h - 5 - half, plate.w - 10, half},
        state == 1 ? palette::kGreen : palette::kDarkGrey);
  }
  canvas.text(8, 3 * kCell + 10,
              s.asking != 0 ? seen.question() : std::to_string(s.tests) + " tests");
  if (s.asking != 0) canvas.text(8, 3 * kCell + 28, "yes or no");
}

}  // namespace rollmill::causal_box
