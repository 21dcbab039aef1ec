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
    RM_HD constexpr void visit(V&& param) {
      param(minatar::sticky_field(), sticky_probability);
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
    std::uint32_t x, y, last_x, last_y;  // ball
    std::uint32_t paddle;
    std::uint32_t right, down;  // the ball's way: 0 or 1
    std::uint32_t struck;       // 1: a brick was hit in the step before, the next one is passed
    std::uint32_t last_action;
  };
  RM_HD static Pieces unpack(const State& s) {
    const std::uint32_t r = s.rest;
    return {r & 15u,        (r >> 4) & 15u, (r >> 8) & 15u, (r >> 12) & 15u, (r >> 16) & 15u,
            (r >> 20) & 1u, (r >> 21) & 1u, (r >> 22) & 1u, r >> 24};
  }
  RM_HD static void pack(const Pieces& b, State& s) {
    s.rest = b.x | b.y << 4 | b.last_x << 8 | b.last_y << 12 | b.paddle << 16 | b.right << 20 |
             b.down << 21 | b.struck << 22 | b.last_action << 24;
  }

  static constexpr bool observe_apart = true;
  using Observation = Planes<4, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {
      {"paddle", "", 0, 1},
      {"ball", "", 0, 1},
      {"trail", "", 0, 1, "where the ball was one step ago"},
      {"brick", "", 0, 1}};
  static constexpr minatar::Look looks[] = {{'=', minatar::Mark::kBlock, palette::kBlue},
                                            {'o', minatar::Mark::kDisc, palette::kVermillion},
                                            {'\'', minatar::Mark::kDot, palette::kVermillion},
                                            {'#', minatar::Mark::kBlock, palette::kOrange}};

  struct ResetDraws {
    std::uint32_t from_right;  // 0 or 1
  };
  RM_HD static ResetDraws draw_reset(const Params&, Rng& rng) { return {rng.bits() >> 31}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws& d) {
    s.bricks = kWall;
    const std::uint32_t x = 9u * d.from_right;
    pack({x, 3, x, 3, 4, 1u - d.from_right, 1, 0, minatar::kNone}, s);
  }

  struct Draws {
    std::uint32_t sticky;  // all ones: the last action is done again
  };
  RM_HD static Draws draw(const Params& p, Rng& rng) {
    return {grid::all_if(minatar::draw_sticky(p.sticky_probability, rng))};
  }

  // In masks, not branches, so that the step loop vectorises.
  RM_HD static Transition apply(State& s, const Params&, std::int32_t chosen, const Draws& d) {
    Pieces b = unpack(s);
    b.last_action = (b.last_action & d.sticky) | (static_cast<std::uint32_t>(chosen) & ~d.sticky);
    b.paddle = minatar::move(b.paddle, b.last_action, minatar::kLeft, minatar::kRight, 0, 9);

    b.last_x = b.x;
    b.last_y = b.y;
    const std::uint32_t side = b.x + 2u * b.right - 1u;  // -1 at the left: a big number
    const std::uint32_t at_side = grid::all_if(side > 9u);
    b.x = (b.x & at_side) | (side & ~at_side);
    b.right ^= at_side & 1u;
    const std::uint32_t y = b.y + 2u * b.down - 1u;

    const std::uint32_t at_top = grid::all_if(y > 9u);
    const std::uint32_t in_wall = grid::all_if(y - 1u < 3u);
    const std::uint32_t place = 1u << ((10u * y - 10u + b.x) & 31u);
    const std::uint32_t brick = in_wall & place & s.bricks;
    const std::uint32_t strikes = grid::all_if(brick != 0);
    const std::uint32_t breaks = strikes & ~(0u - b.struck);
    b.struck = strikes & 1u;
    s.bricks ^= brick & breaks;

    const std::uint32_t at_bottom = grid::all_if(y == 9u);
    s.bricks |= grid::all_if(s.bricks == 0) & at_bottom & kWall;
    const std::uint32_t straight = at_bottom & grid::all_if(b.last_x == b.paddle);
    const std::uint32_t edge = at_bottom & ~straight & grid::all_if(b.x == b.paddle);
    const std::uint32_t back = breaks | straight | edge;  // to the row it came from
    b.y = ((b.last_y & back) | (y & ~back)) & ~at_top;
    b.down ^= (at_top | back) & 1u;
    b.right ^= edge & 1u;
    pack(b, s);
    return {static_cast<float>(static_cast<std::int32_t>(breaks & 1u)), at_bottom & ~back & 1u};
  }

  RM_HD static void observe(const State& s, const Params&, Words out) {
    const Pieces b = unpack(s);
    minatar::PlaneBits<4> planes;
    planes.put_row<0, 9>(1u << b.paddle);
    planes.set<1>(10u * b.y + b.x);
    planes.set<2>(10u * b.last_y + b.last_x);
    planes.put_row<3, 1>(s.bricks);
    planes.store(out);
  }

  // Of the two ways to send the ball back, straight or off the paddle's edge, the one that earns more sooner; three contacts
  // ahead. Repeated actions are not foreseen.
  static std::int32_t best_action(const State& s, const Params& p) {
    const std::int32_t target = plan(s, p, 3).target;
    const auto paddle = static_cast<std::int32_t>(unpack(s).paddle);
    return target < paddle ? minatar::kLeft : target > paddle ? minatar::kRight : minatar::kNone;
  }

 private:
  struct Plan {
    std::int32_t target;  // column of the paddle
    int value;
  };
  static Plan plan(State s, const Params& p, int contacts) {
    int value = 0, steps = 0;
    for (; steps < kHorizon && !(unpack(s).y == 8 && unpack(s).down == 1); ++steps)
      value += earned(apply(s, p, minatar::kNone, {0}), steps);
    const Pieces b = unpack(s);
    const std::uint32_t side = b.x + 2u * b.right - 1u;
    Plan best{static_cast<std::int32_t>(b.x), value - 1000 * kHorizon};
    for (const std::uint32_t target : {b.x, side > 9u ? b.x : side}) {
      const int way = static_cast<int>(target) - static_cast<int>(b.paddle);
      if ((way < 0 ? -way : way) > steps + 1) continue;  // cannot be there in time
      State next = s;
      Pieces there = b;
      there.paddle = target;
      pack(there, next);
      int total = value + earned(apply(next, p, minatar::kNone, {0}), steps);
      if (contacts > 1) total += plan(next, p, contacts - 1).value / 2;
      if (total > best.value) best = {static_cast<std::int32_t>(target), total};
    }
    return best;
  }
  static constexpr int kHorizon = 64;  // beyond the longest flight
  static int earned(const Transition& t, int steps) { return t.reward > 0 ? kHorizon - steps : 0; }
};

using Breakout = minatar::Minimal<BreakoutGame>;
using BreakoutSix = minatar::AllActions<BreakoutGame>;

}  // namespace rollmill
