// Occluder: a mover slides into hiding; say at which exit it comes out, just before it does.
//
//     ............%%%%%%|.......      32 x 8 cells. The target starts at the left end and slides to the right, bounces off
//     ..o.........%%%%%%|.......      top and bottom, slows down by friction, and disappears behind the occluder (%). There
//     ............%%%%%%|....x..      may be a wall at the occluder's far side (|): then it bounces there, unseen, and comes
//                                     out on the left. Other movers (x), the same in all but the mark, distract.
//
// There are 16 exits: 8 rows on the left, 8 on the right. Action 0 waits; 1 + row answers "out on the left, in this row",
// 9 + row "on the right", while the target is hidden, once. The answer is right if the target comes out there within
// 1 + tolerance steps from then: tolerance 0 means "it will be seen after this step". What happens then is watched; the
// episode ends when the target is out or the time of the answer has passed.
//
// Motion, in cells and steps: v <- (1 - friction) v each step; a bounce turns the speed towards the wall round and keeps the
// part `restitution` of it. So the row hangs on the bounces, the step on friction, and both on the speed, which no single
// picture shows. The target starts in the middle of one of 6 cells with one of 8 x 7 velocities, fast enough to come out
// always, and few enough for what is seen of it to determine the rest (tested).
#pragma once

#include "core/math/math.h"
#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/grid.h"
#include "envs/text_view.h"

namespace rollmill {

struct Occluder {
  static constexpr EnvInfo info{
      "Rollmill/Occluder-v0",
      "Watch a mover slide behind an occluder and say where it comes out, just before it does.",
      300,
      0.0,
      1.0,
      0.95,
      {"solved", "wrong_place", "too_early", "too_late", "illegal"},
      "Occlusion studies after Baillargeon 1987; time to contact under occlusion after Rosenbaum "
      "1975",
      1,
      "Intuitive physics without sight: carries a hidden mover's motion on under inertia, friction "
      "and bounces."};

  static constexpr int kRows = 8, kColumns = 32, kMovers = 4;
  static constexpr int kFront = 12;  // first column of the occluder

  struct Params {
    std::int32_t width = 6;
    float friction = 0.01f;
    float restitution = 0.8f;
    float walls = 0.25f;
    std::int32_t others = 1;
    std::int32_t tolerance = 1;
    std::int32_t strict = 1;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"width", "cells", 4, 12, "of the occluder"}, width);
      param(FieldInfo{"friction", "", 0, 0.015, "part of the speed lost in a step"}, friction);
      param(FieldInfo{"restitution", "", 0.5, 1, "part of the speed kept at a bounce"},
            restitution);
      param(FieldInfo{"walls", "", 0, 1, "probability of a wall at the occluder's far side"},
            walls);
      param(FieldInfo{"others", "", 0, kMovers - 1, "movers that distract"}, others);
      param(FieldInfo{"tolerance", "steps", 0, 4, "by which an answer may come early"}, tolerance);
      param(FieldInfo{"strict", "", 0, 1,
                      "1: an answer while the target is in sight, or a second one, ends the "
                      "episode; 0: it is a wait"},
            strict);
    }
  };
  static constexpr const char* difficulty[] = {"width", "friction", "walls", "others"};

  struct State {
    float x[kMovers], y[kMovers];    // [0, 32], [0, 8]; mover 0 is the target
    float vx[kMovers], vy[kMovers];  // cells a step
    std::int32_t wall;               // 1: there is one at column kFront + width
    std::int32_t answer;             // 0: none yet
    std::int32_t since;              // steps since the answer
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("x", x);
      field("y", y);
      field("vx", vx);
      field("vy", vy);
      field("wall", wall);
      field("answer", answer);
      field("since", since);
    }
  };

  using Observation = Planes<4, kRows, kColumns>;
  using Action = Discrete<1 + 2 * kRows>;
  static constexpr const char* keys = ".12345678asdfghjk";
  static constexpr FieldInfo observation_fields[] = {{"occluder", "", 0, 1},
                                                     {"wall", "", 0, 1},
                                                     {"target", "", 0, 1, "if not hidden"},
                                                     {"other", "", 0, 1, "those not hidden"}};
  static constexpr FieldInfo action_fields[] = {
      {"answer", "", 0, 2 * kRows, "0 wait, 1 + row: out on the left, 9 + row: on the right"}};

  // The slowest start from which every target comes out: friction takes `friction` times the way off the speed.
  RM_HD static float slowest(const Params& p) {
    const auto way = static_cast<float>(kFront + 2 * p.width);
    return math::max(0.4f, 1.6f * p.friction * way);
  }

  // A uniform integer of [0, n) as a float (bias below n / 2^32).
  RM_HD static float whole(std::uint32_t bits, std::uint32_t n) {
    return static_cast<float>(static_cast<std::int32_t>(multiply_high(bits, n)));
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    const float slow = slowest(p);
    s.wall = static_cast<std::int32_t>(rng.uniform() < p.walls);
    s.x[0] = 0.5f;
    s.y[0] = 1.5f + whole(rng.bits(), kRows - 2);
    s.vx[0] = slow * (1.0f + 0.125f * whole(rng.bits(), 8));
    s.vy[0] = slow * 0.25f * (whole(rng.bits(), 7) - 3.0f);
    place_other<1>(s, p, slow, rng);
    place_other<2>(s, p, slow, rng);
    place_other<3>(s, p, slow, rng);
    s.answer = 0;
    s.since = 0;
  }

  // Anywhere, in any direction, as fast as a target. (Where the parameter asks for fewer it stands still, unseen.)
  template <int k>
  RM_HD static void place_other(State& s, const Params& p, float slow, Rng& rng) {
    const float x = rng.uniform(0.0f, kColumns - 1), y = rng.uniform(0.0f, kRows - 1);
    const float vx = slow * rng.uniform(-1.875f, 1.875f), vy = slow * rng.uniform(-0.75f, 0.75f);
    const float there = static_cast<float>(static_cast<std::int32_t>(k <= p.others));
    s.x[k] = x * there;
    s.y[k] = y * there;
    s.vx[k] = vx * there;
    s.vy[k] = vy * there;
  }

  // Bounces one coordinate off the walls at `low` and `high`. It stays within [low, high - kSkin], so that it always lies in
  // one of the cells between them.
  static constexpr float kSkin = 0x1p-10f;
  struct Motion {
    float at, speed;
  };
  RM_HD static Motion bounce(Motion m, float low, float high, float restitution) {
    const bool hits_high = m.at > high - kSkin;
    const float wall = grid::pick(hits_high, high - kSkin, low);
    const bool hits = hits_high | (m.at < low);
    return {grid::pick(hits, wall - restitution * (m.at - wall), m.at),
            grid::pick(hits, -restitution * m.speed, m.speed)};
  }

  // One step of mover k. The wall behind the occluder, if there is one, is passed from neither side.
  RM_HD static void advance(State& s, const Params& p, int k) {
    const auto far_side = static_cast<float>(kFront + p.width);
    const bool right = s.x[k] >= far_side;
    const float low = grid::pick((s.wall != 0) & right, far_side, 0.0f);
    const float high = grid::pick((s.wall != 0) & !right, far_side, static_cast<float>(kColumns));
    const Motion x = bounce({s.x[k] + s.vx[k], s.vx[k]}, low, high, p.restitution);
    const Motion y =
        bounce({s.y[k] + s.vy[k], s.vy[k]}, 0.0f, static_cast<float>(kRows), p.restitution);
    s.x[k] = x.at;
    s.y[k] = y.at;
    s.vx[k] = x.speed * (1.0f - p.friction);
    s.vy[k] = y.speed * (1.0f - p.friction);
  }

  RM_HD static bool is_hidden(const State& s, const Params& p, int k) {
    return (s.x[k] >= static_cast<float>(kFront)) & (s.x[k] < static_cast<float>(kFront + p.width));
  }
  // Where the target is, as an answer.
  RM_HD static std::int32_t exit_of(const State& s) {
    const auto side = static_cast<std::int32_t>(s.x[0] >= static_cast<float>(kFront));
    return 1 + kRows * side + static_cast<std::int32_t>(s.y[0]);
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const bool hidden = is_hidden(s, p, 0);
    const bool answers = action > 0;
    const bool open = hidden & (s.answer == 0);
    static_assert(kMovers == 4);  // written out: such a loop keeps the step loop from vectorising
    advance(s, p, 0);
    advance(s, p, 1);
    advance(s, p, 2);
    advance(s, p, 3);
    s.answer = grid::pick(answers & open, action, s.answer);
    const bool waits = s.answer != 0;
    s.since += static_cast<std::int32_t>(waits);
    const bool out = hidden & !is_hidden(s, p, 0);
    const bool solved = out & (s.answer == exit_of(s));
    const std::uint32_t place = grid::pick(waits, 2u, 4u);
    const std::uint32_t at_exit = grid::pick(solved, 1u, place);
    const std::uint32_t passed = grid::pick(waits & (s.since > p.tolerance), 3u, 0u);
    const bool illegal = answers & !open & (p.strict != 0);
    const std::uint32_t end = grid::pick(out, at_exit, passed);
    const bool wins = solved & !illegal;
    return {static_cast<float>(static_cast<std::int32_t>(wins)), grid::pick(illegal, 5u, end)};
  }

  RM_HD static std::int32_t row_of(const State& s, int k) {
    return static_cast<std::int32_t>(s.y[k]);
  }
  // The bit of mover k's column; none where it is not seen.
  RM_HD static std::uint32_t column(const State& s, const Params& p, int k) {
    const auto shift = static_cast<std::uint32_t>(static_cast<std::int32_t>(s.x[k])) & 31u;
    return grid::all_if(!is_hidden(s, p, k) & (k <= p.others)) & (1u << shift);
  }

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    const std::uint32_t occluder = ((1u << p.width) - 1u) << kFront;
    const std::uint32_t wall = static_cast<std::uint32_t>(s.wall) << (kFront + p.width);
    const std::uint32_t at[] = {column(s, p, 0), column(s, p, 1), column(s, p, 2), column(s, p, 3)};
    const std::int32_t row[] = {row_of(s, 0), row_of(s, 1), row_of(s, 2), row_of(s, 3)};
    for (int r = 0; r < kRows; ++r) {
      out[r] = occluder;
      out[kRows + r] = wall;
      out[2 * kRows + r] = grid::all_if(row[0] == r) & at[0];
      out[3 * kRows + r] = (grid::all_if(row[1] == r) & at[1]) |
                           (grid::all_if(row[2] == r) & at[2]) |
                           (grid::all_if(row[3] == r) & at[3]);
    }
  }

  RM_HD static void mask(const State& s, const Params& p, Words out) {
    const bool open = is_hidden(s, p, 0) & (s.answer == 0);
    out[0] = 1u | (grid::all_if(open) & 0x1FFFEu);
  }

  // Looks one step ahead, and answers if that step brings the target out.
  static Action::Value expert(const State& s, const Params& p) {
    State next = s;
    advance(next, p, 0);
    return is_hidden(s, p, 0) && s.answer == 0 && !is_hidden(next, p, 0) ? exit_of(next) : 0;
  }

  // Both views show what is observed and no more, cell by cell.
  static void text(const State& s, const Params& p, TextView& view) {
    view.resize(kRows, kColumns, '.');
    for (int r = 0; r < kRows; ++r) {
      for (int c = kFront; c < kFront + p.width; ++c) view.put(c, r, '%');
      if (s.wall != 0) view.put(kFront + p.width, r, '|');
    }
    for (int k = p.others; k >= 0; --k) {
      if (is_hidden(s, p, k)) continue;
      view.put(static_cast<int>(s.x[k]), static_cast<int>(s.y[k]), k == 0 ? 'o' : 'x');
    }
    view.line(!is_hidden(s, p, 0) ? "watch"
              : s.answer == 0     ? "hidden: where, and when?"
                                  : "answered");
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    const Grid cells = canvas.resize_grid(kRows, kColumns, 14, 1);
    const Rect first = cells.cell(0, kFront);
    const Rect area = cells.area();
    for (int k = p.others; k >= 0; --k) {
      const Rect cell = cells.cell(static_cast<int>(s.y[k]), static_cast<int>(s.x[k]));
      if (k == 0) {
        canvas.circle({cell.center_x(), cell.center_y()}, 6, palette::kBlue);
      } else {
        canvas.diamond(cell, palette::kOrange);
      }
    }
    canvas.fill({first.x, area.y, p.width * cells.cell_size, area.h}, palette::kDarkGrey);
    if (s.wall != 0) {
      canvas.fill({first.x + p.width * cells.cell_size, area.y, 5, area.h}, palette::kVermillion);
    }
    canvas.footer(cells, !is_hidden(s, p, 0) ? "watch"
                         : s.answer == 0     ? "hidden: where, and when?"
                                             : "answered");
  }
};

}  // namespace rollmill
