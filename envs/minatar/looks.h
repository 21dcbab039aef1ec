// Pictures and text of a MinAtar game, drawn from what it observes, by a table of how each of its planes looks (a game without one
// is shown plane by plane, envs/show_planes.h):
//
//   static constexpr minatar::Look looks[] = {{'@', minatar::Mark::kBlock, palette::kBlue}, ...};
//
// Where two things share a cell, that of the earlier plane is on top. A space as the letter: not shown.
#pragma once

#include <iterator>

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"

namespace rollmill::minatar {

enum class Mark { kBlock, kDisc, kDot, kDiamond, kUp, kLeft, kRight, kBar };

struct Look {
  char letter;
  Mark mark;
  Color color;
};

template <class Game>
concept HasLooks = requires {
  Game::looks;
};

// What the state shows.
template <class Game>
struct Seen {
  Word words[Game::Observation::kSize] = {};
  Seen(const typename Game::State& s, const typename Game::Params& p) {
    Game::observe(s, p, Words{words, 1});
  }
  bool at(int plane, int x, int y) const {
    const int index = Game::Observation::index(plane, y, x);
    return (words[index / 32] >> (index % 32) & 1u) != 0;
  }
};

inline void draw_mark(Canvas& canvas, Rect cell, const Look& look) {
  const int half = cell.h / 2;
  switch (look.mark) {
    case Mark::kBlock: canvas.block(cell, look.color); break;
    case Mark::kDisc: canvas.disc(cell, look.color); break;
    case Mark::kDot:
      canvas.circle({cell.center_x(), cell.center_y()}, 0.2 * half, look.color);
      break;
    case Mark::kDiamond: canvas.diamond(cell, look.color); break;
    case Mark::kUp: canvas.arrow(cell, Heading::kUp, look.color); break;
    case Mark::kLeft: canvas.arrow(cell, Heading::kLeft, look.color); break;
    case Mark::kRight: canvas.arrow(cell, Heading::kRight, look.color); break;
    case Mark::kBar: canvas.fill({cell.x + half - 2, cell.y + 4, 4, cell.h - 8}, look.color); break;
  }
}

// Calls visit(x, y, look) for the things on the board, those on top last.
template <class Game, class Visit>
void for_each_thing(const Seen<Game>& seen, Visit&& visit) {
  static_assert(std::size(Game::looks) == Game::Observation::kShape[0], "a look for each plane");
  for (int plane = Game::Observation::kShape[0] - 1; plane >= 0; --plane) {
    if (Game::looks[plane].letter == ' ') continue;
    for (int y = 0; y < 10; ++y) {
      for (int x = 0; x < 10; ++x) {
        if (seen.at(plane, x, y)) visit(x, y, Game::looks[plane]);
      }
    }
  }
}

template <class Game>
void draw_picture(const typename Game::State& s, const typename Game::Params& p, Canvas& canvas) {
  const Grid grid = canvas.resize_grid(10, 10, 24);
  for_each_thing(Seen<Game>(s, p),
                 [&](int x, int y, const Look& look) { draw_mark(canvas, grid.cell(y, x), look); });
}

template <class Game>
void write_text(const typename Game::State& s, const typename Game::Params& p, TextView& view) {
  view.resize(10, 10, '.');
  for_each_thing(Seen<Game>(s, p),
                 [&](int x, int y, const Look& look) { view.put(x, y, look.letter); });
}

}  // namespace rollmill::minatar
