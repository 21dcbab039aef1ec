// IcePush: push boxes onto targets; a pushed box slides on, with inertia, until friction, a wall or a box stops it.
//
// A box that is pushed loses one unit of its speed on each rough cell it comes to and none on ice; it starts with `friction`
// units, moves until none is left, and stops early at walls and boxes. With friction 1 and no ice this is Sokoban. The one
// who pushes walks a cell a step, and stands where the box was.
//
// A level is made by playing it: boxes and walls at random, then `pushes` random pushes by someone who walks to where he can
// push; where the boxes lie at last are the targets. So every level can be solved, in at most `bound` steps, which is below
// the time limit. The shortest solution comes from a search on the host (envs/grid/ice_push_solver.h).
//
// A reset costs a hundred draws and some fifty flood fills: much dearer than a step.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/board.h"
#include "envs/grid/grid.h"
#include "envs/grid/ice_push_solver.h"
#include "envs/text_view.h"

namespace rollmill {

struct IcePush {
  static constexpr int kSide = 8;
  static constexpr std::uint32_t kLongestBound = 180;
  enum Reason : std::uint32_t { kSolved = 1, kStuck };

  static constexpr EnvInfo info{
      "Rollmill/IcePush-v0",
      "Push boxes that slide onto their targets.",
      200,
      -1.05,
      1.0,
      0.8,
      {"solved", "stuck"},
      "Sokoban (Thinking Rabbit 1982) with inertia and friction; this project's own rules",
      kSolved,
      "Physical intuition and planning: where a sliding box comes to rest, and what cannot be "
      "undone."};

  struct Params {
    std::int32_t size = 7;
    std::int32_t boxes = 2;
    std::int32_t pushes = 5;
    std::int32_t friction = 2;
    float ice = 0.3f;
    float walls = 0.12f;
    float step_cost = 0.005f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"size", "cells", 4, kSide, "side of the floor"}, size);
      param(FieldInfo{"boxes", "", 1, 3}, boxes);
      param(FieldInfo{"pushes", "", 1, 12, "of the solution that made the level"}, pushes);
      param(FieldInfo{"friction", "cells", 1, kSide, "a box slides over so many rough cells"},
            friction);
      param(FieldInfo{"ice", "", 0, 1, "probability that a cell is ice"}, ice);
      param(FieldInfo{"walls", "", 0, 0.3, "probability that a cell is a wall"}, walls);
      param(FieldInfo{"step_cost", "", 0, 0.05, "reward lost by a step"}, step_cost);
    }
  };
  static constexpr const char* difficulty[] = {"size",     "boxes", "pushes",
                                               "friction", "ice",   "walls"};

  // Sets of cells, two words each (envs/grid/board.h).
  struct State {
    std::uint32_t walls[2], ice[2], targets[2], boxes[2], agent[2];
    std::uint32_t bound;  // steps of the solution that made the level: the shortest takes no more
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("walls", walls);
      field("ice", ice);
      field("targets", targets);
      field("boxes", boxes);
      field("agent", agent);
      field("bound", bound);
    }
  };
  RM_HD static Board board(const std::uint32_t (&words)[2]) { return {words[0], words[1]}; }
  RM_HD static void put(std::uint32_t (&words)[2], Board b) {
    words[0] = b.lo;
    words[1] = b.hi;
  }

  static constexpr bool reset_searches = true;
  using Observation = Planes<6, kSide, kSide>;
  using Action = Discrete<4>;
  static constexpr const char* keys = "wasd";
  static constexpr FieldInfo observation_fields[] = {
      {"wall", "", 0, 1},
      {"ice", "", 0, 1},
      {"target", "", 0, 1},
      {"box", "", 0, 1},
      {"agent", "", 0, 1},
      {"friction", "", 0, 1, "as many rows from the top as boxes slide cells"}};
  static constexpr FieldInfo action_fields[] = {
      {"walk", "", 0, 3, "0 up, 1 left, 2 down, 3 right"}};

  // Where the box that lies on `box` comes to rest; `open`: cells without walls and boxes.
  RM_HD static Board slide(Board box, int direction, Board open, Board ice, std::int32_t friction) {
    std::uint32_t speed = (1u << friction) - 1u;  // a bit a unit
    grid::unrolled<kSide - 1>([&](auto) RM_INLINED {
      const std::uint32_t goes_on = 0u - (speed & 1u);
      Board to = shifted(box, direction) & open;
      to = {to.lo & goes_on, to.hi & goes_on};
      const std::uint32_t moves = 0u - grid::nonzero(to.lo | to.hi);
      const std::uint32_t brakes = grid::nonzero((to.lo & ~ice.lo) | (to.hi & ~ice.hi));
      speed = (speed >> brakes) & moves;
      box = {to.lo | (box.lo & ~moves), to.hi | (box.hi & ~moves)};
    });
    return box;
  }

  // Cells where a box can never be pushed again: blocked above or below, and left or right.
  RM_HD static Board corners(Board walls) {
    const Board open = ~walls;
    return ~((up(open) & down(open)) | (left(open) & right(open)));
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const Board walls = board(s.walls), boxes = board(s.boxes), agent = board(s.agent);
    const Board open = ~(walls | boxes), ahead = shifted(agent, action);
    const Board box = ahead & boxes;
    const Board rest = slide(box, action, open, board(s.ice), p.friction);
    const Board left_behind = boxes & ~box;
    const Board now = left_behind | rest;
    // Onto an open cell, or where a box was that gave way.
    const Board to = ahead & ((open | (box & ~rest)));
    const std::uint32_t stays = grid::nonzero(to.lo | to.hi) - 1u;
    put(s.agent, {to.lo | (agent.lo & stays), to.hi | (agent.hi & stays)});
    put(s.boxes, now);
    const Board targets = board(s.targets), lost = now & ~targets & corners(walls);
    const std::uint32_t solved = 1u - grid::nonzero((now.lo ^ targets.lo) | (now.hi ^ targets.hi));
    const std::uint32_t stuck = grid::nonzero(lost.lo | lost.hi);  // never both
    const auto end = static_cast<float>(static_cast<std::int32_t>(solved - stuck));
    return {end - p.step_cost, solved * kSolved + stuck * kStuck};
  }

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    grid::unrolled<2>([&](auto k) RM_INLINED {
      out[k] = s.walls[k];
      out[2 + k] = s.ice[k];
      out[4 + k] = s.targets[k];
      out[6 + k] = s.boxes[k];
      out[8 + k] = s.agent[k];
      const std::int32_t left = p.friction - 4 * k, rows = left < 0 ? 0 : left < 4 ? left : 4;
      out[10 + k] = ~(~0u << (4 * rows) << (4 * rows));  // twice, as a shift by 32 has no meaning
    });
  }

  // Not against a wall or a box that does not move. Never empty: who entered a cell can go back.
  RM_HD static void mask(const State& s, const Params&, Words out) {
    const Board boxes = board(s.boxes), agent = board(s.agent), open = ~(board(s.walls) | boxes);
    std::uint32_t allowed = 0;
    grid::unrolled<4>([&](auto direction) RM_INLINED {
      const Board ahead = shifted(agent, direction);
      const Board to = (ahead & open) | (shifted(ahead & boxes, direction) & open);
      allowed |= grid::nonzero(to.lo | to.hi) << direction;
    });
    out[0] = allowed;
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    constexpr int kTries = 4;
    bool made = false;
    for (int k = 0; k < kTries && !made; ++k) {
      draw_layout(s, p, rng);
      made = play_pushes(s, p, rng) == static_cast<std::uint32_t>(p.pushes);
    }
    if (s.bound != 0) return;
    plain_layout(s, p);
    play_pushes(s, p, rng);
  }

  // Along the shortest solution (of several the one whose moves come first in the actions' order).
  static Action::Value expert(const State& s, const Params& p) {
    return ice_push::expert(level_of(s, p), position_of(s));
  }
  // Steps of the shortest solution from here; -1: there is none.
  static int optimal(const State& s, const Params& p) {
    return static_cast<int>(ice_push::shortest_steps(level_of(s, p), position_of(s)));
  }

  static void text(const State& s, const Params& p, TextView& view) {
    view.resize(p.size, p.size, '.');
    for (int y = 0; y < p.size; ++y) {
      for (int x = 0; x < p.size; ++x) {
        const auto on = [&](const std::uint32_t(&set)[2]) {
          return (board(set) & Board::cell(x, y)).any();
        };
        const bool target = on(s.targets);
        const char floor = on(s.walls) ? '#' : target ? 'x' : on(s.ice) ? '~' : '.';
        view.put(x, y,
                 on(s.agent)   ? (target ? '+' : '@')
                 : on(s.boxes) ? (target ? 'B' : 'b')
                               : floor);
      }
    }
    view.line("boxes slide over " + std::to_string(p.friction) + " rough cells");
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    const Grid grid = canvas.resize_grid(p.size, p.size, 32, 1);
    for (int y = 0; y < p.size; ++y) {
      for (int x = 0; x < p.size; ++x) {
        const auto on = [&](const std::uint32_t(&set)[2]) {
          return (board(set) & Board::cell(x, y)).any();
        };
        const Rect cell = grid.cell(y, x);
        if (on(s.walls))
          canvas.fill(cell.inset(1), palette::kDarkGrey);
        else if (on(s.ice))
          canvas.fill(cell.inset(1), mix(palette::kPaper, palette::kSkyBlue, 110));
        if (on(s.targets)) canvas.cross(cell, palette::kVermillion);
        if (on(s.boxes))
          canvas.block(cell.inset(3), on(s.targets) ? palette::kGreen : palette::kOrange);
        if (on(s.agent)) canvas.disc(cell.inset(3), palette::kBlue);
      }
    }
    canvas.footer(grid, "slides " + std::to_string(p.friction));
  }

 private:
  static ice_push::Bits bits(const std::uint32_t (&words)[2]) {
    return ice_push::Bits{words[0]} | ice_push::Bits{words[1]} << 32;
  }
  static ice_push::Level level_of(const State& s, const Params& p) {
    return {bits(s.walls), bits(s.ice), bits(s.targets), p.friction};
  }
  static ice_push::Position position_of(const State& s) { return {bits(s.boxes), bits(s.agent)}; }

  RM_HD static Board floor_of(const Params& p) {
    const std::uint32_t row = (1u << p.size) - 1u, rows = row * 0x01010101u;
    return {rows, rows & (p.size == kSide ? ~0u : (1u << (8 * (p.size - 4))) - 1u)};
  }

  RM_HD static void draw_layout(State& s, const Params& p, Rng& rng) {
    const Board floor = floor_of(p);
    const Board walls = ~floor | random_cells(p.walls, rng);
    put(s.ice, random_cells(p.ice, rng) & ~walls);
    Board open = ~walls;
    Board boxes = kNoCells;
    for (int k = 0; k < p.boxes && open.any(); ++k) {
      const Board box = random_cell(open, rng);
      boxes = boxes | box;
      open = open & ~box;
    }
    put(s.walls, walls);
    put(s.boxes, boxes);
    put(s.agent, open.any() ? random_cell(open, rng) : kNoCells);
  }

  // No inner walls, and a box that can be pushed right: for when chance gave no level.
  RM_HD static void plain_layout(State& s, const Params& p) {
    put(s.walls, ~floor_of(p));
    Board boxes = Board::cell(1, 1);
    if (p.boxes > 1) boxes = boxes | Board::cell(1, 3);
    if (p.boxes > 2) boxes = boxes | Board::cell(2, 3);
    put(s.boxes, boxes);
    put(s.agent, Board::cell(0, 1));
  }

  // Random pushes from the state's layout; the targets are the last place of the boxes that differs from their first. Returns
  // how many pushes were made, and leaves bound 0 if there was none.
  RM_HD static std::uint32_t play_pushes(State& s, const Params& p, Rng& rng) {
    const Board walls = board(s.walls), first = board(s.boxes), ice = board(s.ice);
    Board boxes = first, agent = board(s.agent);
    std::uint32_t steps = 0, pushes = 0;
    s.bound = 0;
    for (; pushes < static_cast<std::uint32_t>(p.pushes); ++pushes) {
      const Board open = ~(walls | boxes), reach = reachable(agent, open);
      std::uint32_t ways = 0;
      for (int d = 0; d < 4; ++d) ways += count(can_push(boxes, reach, open, d));
      if (ways == 0 || !agent.any()) break;
      std::uint32_t pick = multiply_high(rng.bits(), ways);
      int direction = 0;
      for (; direction < 3; ++direction) {
        const std::uint32_t here = count(can_push(boxes, reach, open, direction));
        if (pick < here) break;
        pick -= here;
      }
      const Board box = nth_cell(can_push(boxes, reach, open, direction), pick);
      const Board from = shifted(box, opposite(direction));
      const std::uint32_t walk = distance(agent, from, open) + 1u;
      if (steps + walk > kLongestBound) break;
      steps += walk;
      boxes = (boxes & ~box) | slide(box, direction, open, ice, p.friction);
      agent = box;
      if (boxes == first) continue;
      put(s.targets, boxes);
      s.bound = steps;
    }
    return pushes;
  }

  // Boxes with room on the far side and a way to the near one.
  RM_HD static Board can_push(Board boxes, Board reach, Board open, int direction) {
    return boxes & shifted(reach, direction) & shifted(open, opposite(direction));
  }
};

}  // namespace rollmill
