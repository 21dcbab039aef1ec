// MinAtar Breakout: a ball that moves along diagonals breaks three rows of bricks; the paddle must send it back.
// Rules of the `minatar` package 1.0.15 (Young and Tian 2019), step for step.
#pragma once

#include "envs/minatar/common.h"

namespace rollmill {

struct BreakoutGame {
  static constexpr EnvInfo about{
      "Breakout",
      "Keep a bouncing ball from leaving the board and break three rows of bricks with it.",
      0,
      0.0,
      1.0,
      30.0,  // the first wall
      {"ball_lost"},
      "Young and Tian 2019, MinAtar (arXiv:1903.03176); package minatar 1.0.15"};
  static constexpr const char* minimal_id = "MinAtar/Breakout-v1";
  static constexpr const char* all_id = "MinAtar/Breakout-v0";
  static constexpr std::int32_t minimal[] = {minatar::kNone, minatar::kLeft, minatar::kRight};
  static constexpr const char* minimal_note = "0 none, 1 left, 2 right";

  struct Params {
    float sticky_probability = 0.1f;
    template <class V>
    constexpr void visit(V&& param) {
      param(minatar::kStickyField, sticky_probability);
    }
  };

  static constexpr std::uint32_t kWall = (1u << 30) - 1u;

  struct State {
    std::uint32_t bricks;  // rows 1 to 3: cell (x, y) is bit 10 (y - 1) + x
    std::uint32_t rest;    // Pieces, packed
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("bricks", bricks);
      field("rest", rest);
    }
  };

  // The rest of the state; four bits each in State::rest, from the lowest.
  struct Pieces {
    std::int32_t x, y, last_x, last_y;  // ball
    std::int32_t paddle;
    std::int32_t right, down;  // the ball's way: 0 or 1
    std::int32_t struck;       // 1: a brick was hit in the step before, the next one is passed
    std::int32_t last_action;
  };
  RM_HD static Pieces unpack(const State& s) {
    const auto bits = [&s](int from, std::uint32_t all) {
      return static_cast<std::int32_t>((s.rest >> from) & all);
    };
    return {bits(0, 15), bits(4, 15), bits(8, 15), bits(12, 15), bits(16, 15),
            bits(20, 1), bits(21, 1), bits(22, 1), bits(24, 7)};
  }
  RM_HD static void pack(const Pieces& b, State& s) {
    s.rest = static_cast<std::uint32_t>(b.x | b.y << 4 | b.last_x << 8 | b.last_y << 12 |
                                        b.paddle << 16 | b.right << 20 | b.down << 21 |
                                        b.struck << 22 | b.last_action << 24);
  }

  using Observation = Planes<4, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {
      {"paddle", "", 0, 1},
      {"ball", "", 0, 1},
      {"trail", "", 0, 1, "where the ball was one step ago"},
      {"brick", "", 0, 1}};

  struct ResetDraws {
    bool from_right;
  };
  RM_HD static ResetDraws draw_reset(const Params&, Rng& rng) { return {rng.bits() >> 31 != 0}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws& d) {
    s.bricks = kWall;
    const std::int32_t x = d.from_right ? 9 : 0;
    pack({x, 3, x, 3, 4, d.from_right ? 0 : 1, 1, 0, minatar::kNone}, s);
  }

  struct Draws {
    bool sticky;
  };
  RM_HD static Draws draw(const Params& p, Rng& rng) {
    return {minatar::draw_sticky(p.sticky_probability, rng)};
  }

  RM_HD static Transition apply(State& s, const Params&, std::int32_t chosen, const Draws& d) {
    Pieces b = unpack(s);
    const std::int32_t action = d.sticky ? b.last_action : chosen;
    b.last_action = action;
    b.paddle += (action == minatar::kRight && b.paddle < 9 ? 1 : 0) -
                (action == minatar::kLeft && b.paddle > 0 ? 1 : 0);

    b.last_x = b.x;
    b.last_y = b.y;
    const std::int32_t side = b.x + 2 * b.right - 1;
    const bool at_side = side < 0 || side > 9;
    const std::int32_t x = at_side ? b.x : side;
    b.right ^= at_side ? 1 : 0;
    const std::int32_t y = b.y + 2 * b.down - 1;

    const bool at_top = y < 0;
    const bool in_wall = y >= 1 && y <= 3;
    const auto place = static_cast<std::uint32_t>(10 * (y - 1) + x) & 31u;
    const std::uint32_t brick = (in_wall ? 1u << place : 0u) & s.bricks;
    const bool breaks = brick != 0 && b.struck == 0;
    s.bricks ^= breaks ? brick : 0u;

    const bool at_bottom = y == 9;
    s.bricks = at_bottom && s.bricks == 0 ? kWall : s.bricks;
    const bool straight = at_bottom && b.last_x == b.paddle;
    const bool edge = at_bottom && !straight && x == b.paddle;
    const bool lost = at_bottom && !straight && !edge;

    b.x = x;
    b.y = at_top ? 0 : breaks || straight || edge ? b.last_y : y;
    b.down ^= at_top || breaks || straight || edge ? 1 : 0;
    b.right ^= edge ? 1 : 0;
    b.struck = brick != 0 ? 1 : 0;
    pack(b, s);
    return {breaks ? 1.0f : 0.0f, lost ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Words out) {
    const Pieces b = unpack(s);
    minatar::PlaneBits<4> planes;
    planes.put_row<0, 9>(1u << b.paddle);
    planes.set<1>(static_cast<std::uint32_t>(10 * b.y + b.x));
    planes.set<2>(static_cast<std::uint32_t>(10 * b.last_y + b.last_x));
    planes.put_row<3, 1>(s.bricks);
    planes.store(out);
  }
};

using Breakout = minatar::Minimal<BreakoutGame>;
using BreakoutSix = minatar::AllActions<BreakoutGame>;

}  // namespace rollmill
