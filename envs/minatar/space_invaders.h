// MinAtar Space Invaders: a cannon shoots at a block of aliens that comes down and shoots back.
// Rules of the `minatar` package 1.0.15 (Young and Tian 2019), step for step.
//
// Aliens and bullets are boards of bits, three rows of ten a word, that move by shifts. The cannon fires every fifth step at
// most, so there is never more than one bullet of its in a word.
#pragma once

#include "envs/minatar/common.h"

namespace rollmill {

struct SpaceInvadersGame {
  static constexpr EnvInfo about{
      "SpaceInvaders",
      "Shoot the aliens before they land, and do not get shot.",
      0,
      0.0,
      2.0,   // two bullets may hit in one step
      48.0,  // two waves
      {"shot", "aliens_landed"},
      "Young and Tian 2019, MinAtar (arXiv:1903.03176); package minatar 1.0.15"};
  static constexpr const char* minimal_id = "MinAtar/SpaceInvaders-v1";
  static constexpr const char* all_id = "MinAtar/SpaceInvaders-v0";
  static constexpr std::int32_t minimal[] = {minatar::kNone, minatar::kLeft, minatar::kRight,
                                             minatar::kFire};
  static constexpr const char* minimal_note = "0 none, 1 left, 2 right, 3 fire";

  static constexpr std::uint32_t kAliens = 24, kFireDelay = 5, kAlienShotDelay = 10;
  static constexpr std::uint32_t kSlowest = 12, kFastest = 6;  // steps between two moves of aliens

  struct Params {
    float sticky_probability = 0.1f;
    std::int32_t ramping = 1;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(minatar::sticky_field(), sticky_probability);
      param(minatar::ramping_field(), ramping);
    }
  };
  static constexpr const char* difficulty[] = {"ramping"};

  struct State {
    std::uint32_t aliens[4];    // rows 0 to 9
    std::uint32_t friendly[3];  // rows 0 to 8
    std::uint32_t enemy[4];     // rows 0 to 9
    std::uint32_t timers;       // Timers, packed
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("aliens", aliens);
      field("friendly", friendly);
      field("enemy", enemy);
      field("timers", timers);
    }
  };

  struct Timers {
    std::uint32_t cannon;        // its column
    std::uint32_t fire;          // steps until the cannon may fire
    std::uint32_t move, shot;    // steps until the aliens move, shoot
    std::uint32_t interval;      // steps between their moves while there are many
    std::uint32_t count, right;  // how many are left; 1: they move to the right
    std::uint32_t last_action;
  };
  RM_HD static Timers unpack(const State& s) {
    const std::uint32_t t = s.timers;
    return {t & 15u,         (t >> 4) & 7u,   (t >> 8) & 15u, (t >> 12) & 15u,
            (t >> 16) & 15u, (t >> 20) & 31u, (t >> 25) & 1u, t >> 28};
  }
  RM_HD static void pack(const Timers& t, State& s) {
    s.timers = t.cannon | t.fire << 4 | t.move << 8 | t.shot << 12 | t.interval << 16 |
               t.count << 20 | t.right << 25 | t.last_action << 28;
  }

  using Observation = Planes<6, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {
      {"cannon", "", 0, 1},
      {"alien", "", 0, 1},
      {"alien to the left", "", 0, 1, "the aliens, while they move to the left"},
      {"alien to the right", "", 0, 1, "the aliens, while they move to the right"},
      {"friendly bullet", "", 0, 1},
      {"enemy bullet", "", 0, 1}};
  static constexpr minatar::Look looks[] = {{'A', minatar::Mark::kUp, palette::kBlue},
                                            {' ', minatar::Mark::kBlock, palette::kGreen},
                                            {'<', minatar::Mark::kLeft, palette::kGreen},
                                            {'>', minatar::Mark::kRight, palette::kPurple},
                                            {'!', minatar::Mark::kBar, palette::kBlue},
                                            {'*', minatar::Mark::kBar, palette::kVermillion}};

  struct ResetDraws {};
  RM_HD static ResetDraws draw_reset(const Params&, Rng&) { return {}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws&) {
    s.aliens[0] = kWave;
    s.aliens[1] = kWaveRow;
    s.aliens[2] = s.aliens[3] = 0;
    s.friendly[0] = s.friendly[1] = s.friendly[2] = 0;
    s.enemy[0] = s.enemy[1] = s.enemy[2] = s.enemy[3] = 0;
    pack({5, 0, kSlowest, kAlienShotDelay, kSlowest, kAliens, 0, minatar::kNone}, s);
  }

  struct Draws {
    std::uint32_t sticky;  // all ones: the last action is done again
  };
  RM_HD static Draws draw(const Params& p, Rng& rng) {
    return {all_if(minatar::draw_sticky(p.sticky_probability, rng))};
  }

  RM_HD static Transition apply(State& s, const Params& p, std::int32_t chosen, const Draws& d) {
    Timers t = unpack(s);
    t.last_action = (t.last_action & d.sticky) | (static_cast<std::uint32_t>(chosen) & ~d.sticky);
    const std::uint32_t fires = all_if(t.last_action == minatar::kFire) & all_if(t.fire == 0);
    t.cannon = minatar::move(t.cannon, t.last_action, minatar::kLeft, minatar::kRight, 0, 9);
    const std::uint32_t cannon = 1u << t.cannon;
    t.fire = (t.fire & ~fires) | (kFireDelay & fires);
    move_bullets(s, cannon & fires);
    const std::uint32_t shot = s.enemy[3] & cannon;

    std::uint32_t landed = s.aliens[3] & cannon;
    landed |= move_aliens(s, t);
    landed |= s.aliens[3] & cannon;  // a contact before the move is a contact in any case
    shoot_back(s, t, cannon);
    const std::uint32_t kills = hit_aliens(s);
    t.count -= kills;
    t.fire += all_if(t.fire != 0);  // a mask is -1
    t.move -= 1;
    t.shot -= 1;

    const std::uint32_t cleared = all_if(t.count == 0);
    t.interval += cleared & all_if(t.interval > kFastest) & all_if(p.ramping != 0);
    s.aliens[0] |= kWave & cleared;
    s.aliens[1] |= kWaveRow & cleared;
    t.count += kAliens & cleared;
    pack(t, s);
    const std::uint32_t hit = all_if(shot != 0);
    return {static_cast<float>(static_cast<std::int32_t>(kills)),
            (hit & 1u) | (~hit & all_if(landed != 0) & 2u)};
  }

  RM_HD static void observe(const State& s, const Params&, Words out) {
    const Timers t = unpack(s);
    const std::uint32_t right = 0u - t.right;
    minatar::PlaneBits<6> planes;
    planes.put_row<0, 9>(1u << t.cannon);
    planes.put_board<1>({s.aliens[0], s.aliens[1], s.aliens[2], s.aliens[3]});
    planes.put_board<2>(
        {s.aliens[0] & ~right, s.aliens[1] & ~right, s.aliens[2] & ~right, s.aliens[3] & ~right});
    planes.put_board<3>(
        {s.aliens[0] & right, s.aliens[1] & right, s.aliens[2] & right, s.aliens[3] & right});
    planes.put_board<4>({s.friendly[0], s.friendly[1], s.friendly[2], 0});
    planes.put_board<5>({s.enemy[0], s.enemy[1], s.enemy[2], s.enemy[3]});
    planes.store(out);
  }

  // Plans: go to a column, perhaps after some steps, and fire all the time. The first action of the plan that shoots most within
  // the horizon and lives. Repeated actions are not foreseen.
  static std::int32_t best_action(const State& s, const Params& p) {
    std::int32_t best = minatar::kNone;
    int best_value = -1000000;
    for (int delay = 0; delay <= 2; ++delay) {
      for (int target = 0; target < 10; ++target) {
        State next = s;
        int value = 0;
        std::int32_t first = minatar::kNone;
        for (int t = 0; t < kHorizon; ++t) {
          const Timers now = unpack(next);
          const int way = target - static_cast<int>(now.cannon);
          const std::int32_t action = way == 0 || t < delay
                                          ? (now.fire == 0 ? minatar::kFire : minatar::kNone)
                                          : (way < 0 ? minatar::kLeft : minatar::kRight);
          if (t == 0) first = action;
          const Transition result = apply(next, p, action, {0});
          value += static_cast<int>(result.reward) * (2 * kHorizon - t);
          if (result.reason == 0) continue;
          value -= 10000 - 100 * t;
          break;
        }
        const int way = target - static_cast<int>(unpack(s).cannon);
        value = 16 * value - (way < 0 ? -way : way) - delay;  // of equally good ones the shortest
        if (value > best_value) {
          best_value = value;
          best = first;
        }
      }
    }
    return best;
  }

 private:
  static constexpr int kHorizon = 24;
  static constexpr std::uint32_t kRow = 0x3FFu, kBoard = 0x3FFFFFFFu;
  static constexpr std::uint32_t kWaveRow = 0xFCu;  // columns 2 to 7
  static constexpr std::uint32_t kEachRow = 1u | 1u << 10 | 1u << 20;
  static constexpr std::uint32_t kWave = kWaveRow * kEachRow;
  RM_HD static std::uint32_t all_if(bool condition) { return grid::all_if(condition); }

  // A word whose rows come from the row above: its own ones and the last of the word above it.
  RM_HD static std::uint32_t down(std::uint32_t above, std::uint32_t word) {
    return ((word << 10) | (above >> 20)) & kBoard;
  }
  RM_HD static void move_bullets(State& s, std::uint32_t fired) {
    s.friendly[0] = (s.friendly[0] >> 10) | ((s.friendly[1] & kRow) << 20);
    s.friendly[1] = (s.friendly[1] >> 10) | ((s.friendly[2] & kRow) << 20);
    s.friendly[2] = (s.friendly[2] >> 10) | (fired << 20);
    s.enemy[3] = s.enemy[2] >> 20;
    s.enemy[2] = down(s.enemy[1], s.enemy[2]);
    s.enemy[1] = down(s.enemy[0], s.enemy[1]);
    s.enemy[0] = down(0, s.enemy[0]);
  }

  // Moves the aliens when it is time; not 0 if they turn with one in the last row. That row then goes to the top, as in the
  // package, in the last picture of the episode.
  RM_HD static std::uint32_t move_aliens(State& s, Timers& t) {
    const std::uint32_t now = all_if(t.move == 0);
    const std::uint32_t fewer = all_if(t.count < t.interval);
    t.move = (t.move & ~now) | (((t.count & fewer) | (t.interval & ~fewer)) & now);
    const std::uint32_t right = 0u - t.right;
    const std::uint32_t any = s.aliens[0] | s.aliens[1] | s.aliens[2] | s.aliens[3];
    const std::uint32_t edge = ((kEachRow << 9) & right) | (kEachRow & ~right);
    const std::uint32_t turns = now & all_if((any & edge) != 0);
    const std::uint32_t to_right = now & ~turns & right, to_left = now & ~turns & ~right;
    const std::uint32_t a0 = s.aliens[0], a1 = s.aliens[1], a2 = s.aliens[2], a3 = s.aliens[3];
    // Sideways no alien leaves its row: one at the edge makes them turn.
    s.aliens[0] = moved(a0, ((a0 << 10) & kBoard) | a3, turns, to_left, to_right);
    s.aliens[1] = moved(a1, down(a0, a1), turns, to_left, to_right);
    s.aliens[2] = moved(a2, down(a1, a2), turns, to_left, to_right);
    s.aliens[3] = moved(a3, a2 >> 20, turns, to_left, to_right);
    t.right ^= turns & 1u;
    return turns & a3;
  }
  RM_HD static std::uint32_t moved(std::uint32_t still, std::uint32_t lower, std::uint32_t turns,
                                   std::uint32_t to_left, std::uint32_t to_right) {
    return (lower & turns) | ((still >> 1) & to_left) | ((still << 1) & to_right) |
           (still & ~(turns | to_left | to_right));
  }

  // When it is time, the lowest alien of the column nearest to the cannon shoots; of two equally near ones the left.
  RM_HD static void shoot_back(State& s, Timers& t, std::uint32_t cannon) {
    const std::uint32_t now = all_if(t.shot == 0);
    t.shot = (t.shot & ~now) | (kAlienShotDelay & now);
    const std::uint32_t any = s.aliens[0] | s.aliens[1] | s.aliens[2] | s.aliens[3];
    const std::uint32_t occupied = (any | any >> 10 | any >> 20) & kRow;
    std::uint32_t left = occupied & (2u * cannon - 1u);  // the cannon's column included
    const std::uint32_t later = occupied & ~(2u * cannon - 1u);
    const std::uint32_t right = later & (0u - later);  // lowest bit
    left |= left >> 1;
    left |= left >> 2;
    left |= left >> 4;
    left |= left >> 8;
    left ^= left >> 1;  // highest bit
    // Columns as powers of two: cannon - left <= right - cannon if and only if left * right >= cannon^2.
    const std::uint32_t take_left = all_if(left * right >= cannon * cannon) | all_if(right == 0);
    const std::uint32_t column = ((left & take_left) | (right & ~take_left)) * kEachRow & now;
    const std::uint32_t m3 = s.aliens[3] & column, m2 = s.aliens[2] & column;
    const std::uint32_t m1 = s.aliens[1] & column, m0 = s.aliens[0] & column;
    const std::uint32_t none3 = all_if(m3 == 0), none2 = none3 & all_if(m2 == 0);
    s.enemy[3] |= m3;
    s.enemy[2] |= lowest(m2) & none3;
    s.enemy[1] |= lowest(m1) & none2;
    s.enemy[0] |= lowest(m0) & none2 & all_if(m1 == 0);
  }
  // Of the bits in one column of three rows, that in the lowest row.
  RM_HD static std::uint32_t lowest(std::uint32_t m) { return m & ~(m >> 10) & ~(m >> 20); }

  // Takes away aliens and the bullets that hit them; how many. (At most one bullet a word.)
  RM_HD static std::uint32_t hit_aliens(State& s) {
    const std::uint32_t k0 = s.aliens[0] & s.friendly[0], k1 = s.aliens[1] & s.friendly[1];
    const std::uint32_t k2 = s.aliens[2] & s.friendly[2];
    s.aliens[0] ^= k0;
    s.aliens[1] ^= k1;
    s.aliens[2] ^= k2;
    s.friendly[0] ^= k0;
    s.friendly[1] ^= k1;
    s.friendly[2] ^= k2;
    return 0u - all_if(k0 != 0) - all_if(k1 != 0) - all_if(k2 != 0);
  }
};

using SpaceInvaders = minatar::Minimal<SpaceInvadersGame>;
using SpaceInvadersSix = minatar::AllActions<SpaceInvadersGame>;

}  // namespace rollmill
