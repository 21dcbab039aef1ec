// KeyDoor in characters, what is seen and no more; and as a picture, all of it, with what is seen on light floor.
#pragma once

#include <string>

#include "envs/canvas.h"
#include "envs/text_view.h"

namespace rollmill::key_door {

inline constexpr const char* kColorNames[] = {"blue",   "orange", "green", "vermillion",
                                              "purple", "yellow", "sky",   "black"};
inline constexpr const char* kKindNames[] = {"", "key", "ball", "box"};

template <class Env>
std::string name_of(std::uint32_t object) {
  return std::string(kColorNames[Env::color_of_object(object)]) + " " +
         kKindNames[Env::kind_of(object)];
}

template <class Env>
std::string instruction(const typename Env::State& s) {
  const std::string thing = name_of<Env>(s.object[s.mission >> 2 & 15u]);
  const std::string door = kColorNames[Env::color_of_door(s.door[s.mission >> 6 & 7u])];
  const std::uint32_t mission = s.mission & 3u;
  return mission == Env::kFetch   ? "fetch the " + thing
         : mission == Env::kBring ? "bring the " + thing + " behind the " + door + " door"
                                  : "go behind the " + door + " door";
}

template <class Env>
std::string hands(const typename Env::State& s) {
  return s.carried == 0 ? "nothing" : name_of<Env>(s.object[s.carried - 1]);
}

template <class Env>
bool in_view(const typename Env::State& s, const typename Env::Params& p, std::uint32_t cell) {
  return (Env::seen(s, p).word[cell >> 5] >> (cell & 31u) & 1u) != 0;
}

template <class Env>
void text(const typename Env::State& s, const typename Env::Params& p, TextView& view) {
  view.resize(Env::kRows, Env::kColumns, ' ');
  std::string things;
  const auto put = [&](std::uint32_t cell, char c) {
    if (in_view<Env>(s, p, cell))
      view.put(static_cast<int>(cell & 15u), static_cast<int>(cell >> 4), c);
  };
  for (std::uint32_t cell = 0; cell < 128; ++cell) put(cell, Env::is_floor(cell) != 0 ? '.' : '#');
  const auto list = [&](std::uint32_t cell, const std::string& what) {
    if (in_view<Env>(s, p, cell)) things += (things.empty() ? "" : ", ") + what;
  };
  for (const std::uint32_t d : s.door) {
    if ((d >> 11 & 1u) == 0) continue;
    put(Env::cell_of(d), Env::is_locked(d) != 0 ? '+' : '/');
    list(Env::cell_of(d), std::string(kColorNames[Env::color_of_door(d)]) + " door");
  }
  for (const std::uint32_t o : s.object) {
    if ((o & Env::kLies) == 0) continue;
    put(Env::cell_of(o), " kob"[Env::kind_of(o)]);
    list(Env::cell_of(o), name_of<Env>(o));
  }
  put(Env::cell_of(s.agent), "^>v<"[s.agent >> 7 & 3u]);
  view.line("sees " + (things.empty() ? "nothing" : things));
  view.line("holds " + hands<Env>(s));
  view.line(Env::can_read(s, p) != 0 ? instruction<Env>(s) : "the sign is not in sight");
}

template <class Env>
void render(const typename Env::State& s, const typename Env::Params& p, Canvas& canvas) {
  const Grid grid = canvas.resize_grid(Env::kRows, Env::kColumns, 24, 2);
  const auto rect = [&](std::uint32_t cell) {
    return grid.cell(static_cast<int>(cell >> 4), static_cast<int>(cell & 15u));
  };
  for (std::uint32_t cell = 0; cell < 128; ++cell) {
    const Color floor =
        in_view<Env>(s, p, cell) ? mix(palette::kPaper, palette::kYellow, 50) : palette::kPaleGrey;
    canvas.fill(rect(cell).inset(Env::is_floor(cell) != 0 ? 1 : 0),
                Env::is_floor(cell) != 0 ? floor : palette::kDarkGrey);
  }
  for (const std::uint32_t d : s.door) {
    if ((d >> 11 & 1u) == 0) continue;
    const Rect cell = rect(Env::cell_of(d));
    canvas.fill(cell, palette::kPaper);
    const Color color = palette::kKinds[Env::color_of_door(d)];
    if (Env::is_locked(d) != 0) canvas.fill(cell.inset(2), color);
    canvas.outline(cell.inset(2), color, 4);
    if (Env::is_locked(d) != 0)
      canvas.circle({cell.center_x(), cell.center_y()}, 3, palette::kPaper);
  }
  for (const std::uint32_t o : s.object) {
    if ((o & Env::kLies) == 0) continue;
    const Rect cell = rect(Env::cell_of(o));
    const Color color = palette::kKinds[Env::color_of_object(o)];
    if (Env::kind_of(o) == Env::kBall) canvas.disc(cell.inset(3), color);
    if (Env::kind_of(o) == Env::kBox) canvas.block(cell.inset(4), color);
    if (Env::kind_of(o) == Env::kKey) {
      canvas.ring({cell.x + 8.0, cell.center_y()}, 5, color, 3);
      canvas.line({cell.x + 12.0, cell.center_y()}, {cell.x + 21.0, cell.center_y()}, color, 3);
      canvas.line({cell.x + 19.0, cell.center_y()}, {cell.x + 19.0, cell.center_y() + 5}, color, 3);
    }
  }
  canvas.arrow(rect(Env::cell_of(s.agent)), static_cast<Heading>(s.agent >> 7 & 3u), palette::kInk);
  canvas.footer(grid, instruction<Env>(s) + "\nholds " + hands<Env>(s));
}

}  // namespace rollmill::key_door
