// MinAtar Asterix: collect the gold that crosses eight lanes and keep clear of the enemies that cross them too.
// The rules are those of the package `minatar` 1.0.15 (Young and Tian 2019), step for step.
//
// A lane holds one thing or none, so all eight fit into one word of nibbles: nibble k is the column of the thing in
// row k + 1. A step works on the eight lanes at once, inside the word; the runtime works on sixteen environments at once.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "envs/minatar/board.h"

namespace rollmill {

struct AsterixGame {
  static constexpr EnvInfo about{
      "Asterix",
      "Collect gold that crosses eight lanes without touching an enemy; it gets faster.",
      0,
      0.0,
      1.0,
      20.0,
      {"caught"},
      "Young and Tian 2019, MinAtar (arXiv:1903.03176); package minatar 1.0.15",
      0,
      "Reaction to many moving things at once: what to meet, what to avoid."};

  static constexpr const char* minimal_id = "MinAtar/Asterix-v1";
  static constexpr const char* all_id = "MinAtar/Asterix-v0";
  static constexpr std::int32_t minimal[] = {minatar::kNone, minatar::kLeft, minatar::kUp,
                                             minatar::kRight, minatar::kDown};
  static constexpr const char* minimal_note = "0 none, 1 left, 2 up, 3 right, 4 down";

  static constexpr std::uint32_t kEmpty = 15;           // a lane's nibble without a thing
  static constexpr std::uint32_t kLanes = 0x11111111u;  // bit 0 of each nibble
  static constexpr std::int32_t kSpawnSpeed = 10, kMoveSpeed = 5, kRampInterval = 100;

  struct Params {
    float sticky_probability = 0.1f;
    std::int32_t ramping = 1;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(minatar::sticky_field(), sticky_probability);
      param(minatar::ramping_field(), ramping);
    }
  };
  static constexpr const char* difficulty[] = {"sticky_probability", "ramping"};

  struct State {
    std::uint32_t player_x, player_y;
    std::uint32_t column;  // nibble k: column of the thing in row k + 1, or kEmpty
    std::uint32_t right;   // bit 4k: it moves right
    std::uint32_t gold;    // bit 4k: it is gold, not an enemy
    std::int32_t spawn_timer, spawn_speed;
    std::int32_t move_timer, move_speed;
    std::int32_t ramp_timer, ramp_index;
    std::int32_t last_action;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("player_x", player_x);
      field("player_y", player_y);
      field("column", column);
      field("right", right);
      field("gold", gold);
      field("spawn_timer", spawn_timer);
      field("spawn_speed", spawn_speed);
      field("move_timer", move_timer);
      field("move_speed", move_speed);
      field("ramp_timer", ramp_timer);
      field("ramp_index", ramp_index);
      field("last_action", last_action);
    }
  };

  static constexpr bool observe_apart = true;
  using Observation = Planes<4, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {{"player", "", 0, 1},
                                                     {"enemy", "", 0, 1},
                                                     {"trail", "", 0, 1, "where a thing came from"},
                                                     {"gold", "", 0, 1}};
  struct ResetDraws {};
  RM_HD static ResetDraws draw_reset(const Params&, Rng&) { return {}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws&) {
    s.player_x = 5;
    s.player_y = 5;
    s.column = 0xFFFFFFFFu;
    s.spawn_timer = s.spawn_speed = kSpawnSpeed;
    s.move_timer = s.move_speed = kMoveSpeed;
    s.ramp_timer = kRampInterval;
  }

  static constexpr minatar::Look looks[] = {{'@', minatar::Mark::kBlock, palette::kBlue},
                                            {'E', minatar::Mark::kDisc, palette::kVermillion},
                                            {',', minatar::Mark::kDot, palette::kGrey},
                                            {'$', minatar::Mark::kDiamond, palette::kYellow}};

  // The random outcomes of a step. The spawn's are drawn whether or not something spawns.
  struct Draws {
    std::uint32_t sticky, right, gold;  // 0 or 1
    std::uint32_t lane;                 // which of the empty lanes, counted from the top
  };

  // Bit 4k: lane k is empty.
  RM_HD static std::uint32_t empty_lanes(std::uint32_t column) {
    return column & (column >> 1) & (column >> 2) & (column >> 3) & kLanes;
  }
  // In nibble k, the number of set lanes up to and including k.
  RM_HD static std::uint32_t count_up(std::uint32_t lanes) { return lanes * kLanes; }

  // (One of n by a product: the bias is below 8 / 2^32.)
  RM_HD static Draws draw(const State& s, const Params& p, Rng& rng) {
    const bool sticky = minatar::draw_sticky(p.sticky_probability, rng);
    const std::uint32_t side = rng.bits(), kind = rng.bits(), lane = rng.bits();
    const std::uint32_t empty = count_up(empty_lanes(s.column)) >> 28;
    return {minatar::one_if(sticky), side >> 31, minatar::one_if(multiply_high(kind, 3) == 0),
            multiply_high(lane, empty)};
  }

  RM_HD static void spawn(State& s, bool due, const Draws& d) {
    const std::uint32_t empty = empty_lanes(s.column);
    const std::uint32_t off = count_up(empty) ^ ((d.lane + 1u) * kLanes);  // nibble 0: this count
    const std::uint32_t other = off | (off >> 1) | (off >> 2) | (off >> 3);
    const std::uint32_t lane = due ? empty & ~other : 0u;
    const std::uint32_t left = d.right != 0 ? 0u : lane;
    s.column = (s.column & ~(lane * 15u)) | (left * 9u);
    s.right = (s.right & ~lane) | (lane ^ left);
    s.gold = (s.gold & ~lane) | (d.gold != 0 ? lane : 0u);
  }

  RM_HD static void move_player(State& s, std::int32_t action) {
    s.player_x -= (action == 1) & (s.player_x > 0) ? 1u : 0u;
    s.player_x += (action == 3) & (s.player_x < 9) ? 1u : 0u;
    s.player_y -= (action == 2) & (s.player_y > 1) ? 1u : 0u;
    s.player_y += (action == 4) & (s.player_y < 8) ? 1u : 0u;
  }

  // Everything one column on; what leaves the board leaves its lane empty.
  RM_HD static void move_things(State& s, bool due) {
    const std::uint32_t column = s.column;
    const std::uint32_t moving = due ? kLanes & ~empty_lanes(column) : 0u;
    const std::uint32_t to_right = moving & s.right, to_left = moving & ~s.right;
    const std::uint32_t away_from_0 = column | (column >> 1) | (column >> 2) | (column >> 3);
    const std::uint32_t at_9 = column & (column >> 3) & kLanes;  // or empty, which does not move
    const std::uint32_t gone = (to_left & ~away_from_0) | (to_right & at_9);
    s.column = (column + (to_right & ~gone) - (to_left & ~gone)) | (gone * 15u);
  }

  // What the player's lane holds where the player stands: taken if gold, else the end.
  RM_HD static void meet(State& s, std::uint32_t& taken, std::uint32_t& caught) {
    const std::uint32_t shift = 4u * (s.player_y - 1u);
    const bool here = ((s.column >> shift) & 15u) == s.player_x;
    const std::uint32_t gold = (s.gold >> shift) & 1u;
    const std::uint32_t now = here ? gold : 0u;
    s.column |= (now * 15u) << shift;
    taken |= now;
    caught |= here ? gold ^ 1u : 0u;
  }

  RM_HD static void ramp(State& s, const Params& p) {
    const bool ramps = (p.ramping != 0) & ((s.spawn_speed > 1) | (s.move_speed > 1));
    const bool harder = ramps & (s.ramp_timer < 0);
    s.move_speed -= harder & (s.move_speed > 1) ? s.ramp_index & 1 : 0;
    s.spawn_speed -= harder & (s.spawn_speed > 1) ? 1 : 0;
    s.ramp_index += harder ? 1 : 0;
    s.ramp_timer = harder ? kRampInterval : s.ramp_timer - (ramps ? 1 : 0);
  }

  RM_HD static Transition apply(State& s, const Params& p, std::int32_t chosen, const Draws& d) {
    const std::int32_t action = d.sticky != 0 ? s.last_action : chosen;
    s.last_action = action;
    const bool spawns = s.spawn_timer == 0, moves = s.move_timer == 0;
    spawn(s, spawns, d);
    s.spawn_timer = (spawns ? s.spawn_speed : s.spawn_timer) - 1;
    move_player(s, action);
    std::uint32_t taken = 0, caught = 0;
    meet(s, taken, caught);
    move_things(s, moves);
    meet(s, taken, caught);  // once more changes nothing if nothing moved
    s.move_timer = (moves ? s.move_speed : s.move_timer) - 1;
    ramp(s, p);
    return {taken != 0 ? 1.0f : 0.0f, caught};
  }

  template <int lane>
  RM_HD static void observe_lane(const State& s, minatar::PlaneBits<4>& planes) {
    constexpr int y = lane + 1, shift = 4 * lane;
    const std::uint32_t there = 1u << ((s.column >> shift) & 15u);  // bit 15: none
    const std::uint32_t from = ((s.right >> shift) & 1u) != 0 ? there >> 1 : there << 1;
    const std::uint32_t cell = there & 0x3FFu;
    const std::uint32_t gold = ((s.gold >> shift) & 1u) != 0 ? cell : 0u;
    planes.put<10 * y, 10>(minatar::one_if(s.player_y == y) << s.player_x);
    planes.put<minatar::kCells + 10 * y, 10>(cell ^ gold);
    planes.put<2 * minatar::kCells + 10 * y, 10>(from & 0x3FFu);
    planes.put<3 * minatar::kCells + 10 * y, 10>(gold);
    if constexpr (lane < 7) observe_lane<lane + 1>(s, planes);
  }

  RM_HD static void observe(const State& s, const Params&, Words out) {
    minatar::PlaneBits<4> planes;
    observe_lane<0>(s, planes);
    planes.store(out);
  }

  // Looks four steps ahead, as if nothing new came: gold soon, no enemy, and the nearest gold near. Near the sides newcomers
  // would be met at once.
  static float outlook(const State& s, const Params& p, int steps) {
    if (steps == 0) {
      float nearest = 5.0f;
      for (int k = 0; k < 8; ++k) {
        const auto x = static_cast<int>((s.column >> (4 * k)) & 15u);
        if (x == 15 || ((s.gold >> (4 * k)) & 1u) == 0) continue;
        const int away = std::abs(x - static_cast<int>(s.player_x)) +
                         std::abs(k + 1 - static_cast<int>(s.player_y));
        nearest = std::min(nearest, static_cast<float>(away));
      }
      const bool side = s.player_x < 2 || s.player_x > 7;
      return -0.05f * nearest - (side ? 0.1f : 0.0f);
    }
    float best = -1e9f;
    for (const std::int32_t action : minimal) best = std::max(best, worth(s, p, action, steps));
    return best;
  }
  static float worth(State s, const Params& p, std::int32_t action, int steps) {
    const Transition t = apply(s, p, action, {0, 0, 0, 8});  // lane 8 of eight: nothing spawns
    return t.reason != 0 ? -10.0f : t.reward + 0.95f * outlook(s, p, steps - 1);
  }
  static std::int32_t best_action(const State& s, const Params& p) {
    std::int32_t best = minatar::kNone;
    float most = -1e9f;
    for (const std::int32_t action : minimal) {
      const float value = worth(s, p, action, 4);
      best = value > most ? action : best;
      most = std::max(most, value);
    }
    return best;
  }
};

using Asterix = minatar::Minimal<AsterixGame>;
using AsterixSix = minatar::AllActions<AsterixGame>;

}  // namespace rollmill
