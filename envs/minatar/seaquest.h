// MinAtar Seaquest: a submarine shoots fish and submarines, picks up divers and brings them to the surface for air.
// The rules are those of the package `minatar` 1.0.15 (Young and Tian 2019), step for step, and so are their quirks:
// surfacing with six divers leaves -1 of them, and from below zero one may surface without a diver.
//
// The package keeps lists without a bound. What is provably enough, and exactly the same:
//   enemies         32 in the order of birth (envs/minatar/seaquest_enemies.h)
//   enemy bullets   two boards, by direction. They move every step and meet nothing but the player, so two in one cell that
//                   move the same way are one
//   bullets         2: one can be fired every 5 steps and has left the board after 9. They are in different cells: each is ahead
//                   of the player, who moves no faster
//   divers          2: one comes every 30 steps and has left after 59. All of them move in the same steps, as 30 is a multiple of
//                   their period of 6
#pragma once

#include <algorithm>
#include <cstdlib>

#include "envs/minatar/board.h"
#include "envs/minatar/seaquest_enemies.h"

namespace rollmill {

struct SeaquestGame {
  static constexpr EnvInfo about{
      "Seaquest",
      "Command a submarine: shoot enemies, rescue divers, surface in time for air.",
      0,
      0.0,
      11.0,
      20.0,
      {"hit", "out_of_oxygen", "surfaced_empty"},
      "Young and Tian 2019, MinAtar (arXiv:1903.03176); package minatar 1.0.15",
      0,
      "Several aims at once: danger, reward and a supply that must be renewed by a detour."};

  static constexpr const char* minimal_id = "MinAtar/Seaquest-v1";
  static constexpr const char* all_id = "MinAtar/Seaquest-v0";
  static constexpr std::int32_t minimal[] = {minatar::kNone,  minatar::kLeft, minatar::kUp,
                                             minatar::kRight, minatar::kDown, minatar::kFire};
  static constexpr const char* minimal_note = "0 none, 1 left, 2 up, 3 right, 4 down, 5 fire";

  static constexpr std::int32_t kMaxOxygen = 200, kEnemyInterval = 20, kDiverInterval = 30,
                                kMoveSpeed = 5, kCoolDown = 5, kMaxDivers = 6;

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

  // A bullet or a diver: bits 0-3 column, 4-7 row, 8 moves right, 9 there is one. 0: none.
  using Mover = std::uint32_t;
  static constexpr Mover kRight = 256, kPresent = 512;

  // Kept small: a step of a large batch is bound by memory.
  struct State {
    std::uint32_t rest;                // the small numbers of Scene, packed
    std::uint32_t air;                 // oxygen + 512 in bits 0-9, above them the divers held
    std::uint32_t bullets;             // two Movers, the older in bits 0-15
    std::uint32_t divers;              // the same
    minatar::Cells to_right, to_left;  // enemy bullets
    minatar::Enemies enemies;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("rest", rest);
      field("air", air);
      field("bullets", bullets);
      field("divers", divers);
      field("enemy_bullets_right_0", to_right.a);
      field("enemy_bullets_right_1", to_right.b);
      field("enemy_bullets_right_2", to_right.c);
      field("enemy_bullets_left_0", to_left.a);
      field("enemy_bullets_left_1", to_left.b);
      field("enemy_bullets_left_2", to_left.c);
      enemies.visit(field);
    }
  };

  // What a step works on.
  struct Scene {
    std::uint32_t x, y, faces_right;
    std::uint32_t surfaced;                 // 1: since it was last below
    std::int32_t shot_timer;                // steps until it can fire
    std::int32_t diver_timer, enemy_timer;  // steps until the next comes
    std::int32_t ramp;                      // surfacings that made the game harder, 0 to kMaxRamp
    std::int32_t last_action;
    std::int32_t oxygen, divers_held;
    Mover old_bullet, new_bullet, old_diver, new_diver;
    minatar::Cells to_right, to_left;
    minatar::Enemies enemies;
  };
  static constexpr std::int32_t kMaxRamp = 19;
  // Steps between births, and between moves less one.
  RM_HD static std::int32_t enemy_interval(std::int32_t ramp) { return kEnemyInterval - ramp; }
  RM_HD static std::uint32_t move_speed(std::int32_t ramp) {
    const std::int32_t faster = ramp >> 1;
    return static_cast<std::uint32_t>(kMoveSpeed - (faster < 3 ? faster : 3));
  }

  // Until the fourth surfacing births are 17 to 20 steps apart, or sums of such gaps where one was called off: the timer starts
  // again. An enemy is gone after 59 steps: none is older than the newest four. And submarines that shoot in one step are 11, 22,
  // 33 or 44 steps apart in age, which births 17 to 20, 34 to 40 and 51 to 60 apart never are: one shoots at most. (The look at
  // the enemies is for states that somebody made up.)
  RM_HD static bool usual(const State& s, const Params&) {
    return (((s.rest >> 23) & 31u) < 4u) & ((s.enemies.alive & 0x0FFFFFFFu) == 0);
  }

  RM_HD static Scene unpack(const State& s) {
    const auto bits = [&s](int from, std::uint32_t all) {
      return static_cast<std::int32_t>((s.rest >> from) & all);
    };
    return {s.rest & 15u,
            (s.rest >> 4) & 15u,
            (s.rest >> 8) & 1u,
            (s.rest >> 9) & 1u,
            bits(10, 7),
            bits(13, 31),
            bits(18, 31),
            bits(23, 31),
            bits(28, 7),
            static_cast<std::int32_t>(s.air & 1023u) - 512,
            static_cast<std::int32_t>(s.air) >> 10,
            s.bullets & 0xFFFFu,
            s.bullets >> 16,
            s.divers & 0xFFFFu,
            s.divers >> 16,
            s.to_right,
            s.to_left,
            s.enemies};
  }
  // (Divers held stop at -2^20, which takes a million surfacings; nothing depends on the number there.)
  RM_HD static void pack(const Scene& c, State& s) {
    constexpr std::int32_t kLeast = -(1 << 20);
    const std::int32_t held = c.divers_held > kLeast ? c.divers_held : kLeast;
    s.rest = c.x | (c.y << 4) | (c.faces_right << 8) | (c.surfaced << 9) |
             static_cast<std::uint32_t>(c.shot_timer << 10 | c.diver_timer << 13 |
                                        c.enemy_timer << 18 | c.ramp << 23 | c.last_action << 28);
    s.air = static_cast<std::uint32_t>(c.oxygen + 512) | (static_cast<std::uint32_t>(held) << 10);
    s.bullets = c.old_bullet | (c.new_bullet << 16);
    s.divers = c.old_diver | (c.new_diver << 16);
    s.to_right = c.to_right;
    s.to_left = c.to_left;
    s.enemies = c.enemies;
  }

  static constexpr bool observe_apart = true;
  using Observation = Planes<10, 10, 10>;
  static constexpr FieldInfo observation_fields[] = {
      {"sub front", "", 0, 1},
      {"sub back", "", 0, 1},
      {"friendly bullet", "", 0, 1},
      {"trail", "", 0, 1, "where enemies and divers came from"},
      {"enemy bullet", "", 0, 1},
      {"enemy fish", "", 0, 1},
      {"enemy sub", "", 0, 1},
      {"oxygen gauge", "", 0, 1, "bottom row, from the left"},
      {"diver gauge", "", 0, 1, "bottom row, from the right"},
      {"diver", "", 0, 1}};
  static constexpr minatar::Look looks[] = {{'@', minatar::Mark::kBlock, palette::kBlue},
                                            {'a', minatar::Mark::kDisc, palette::kBlue},
                                            {'*', minatar::Mark::kDot, palette::kInk},
                                            {',', minatar::Mark::kDot, palette::kGrey},
                                            {'!', minatar::Mark::kDot, palette::kVermillion},
                                            {'f', minatar::Mark::kDisc, palette::kOrange},
                                            {'S', minatar::Mark::kBlock, palette::kPurple},
                                            {'o', minatar::Mark::kBar, palette::kSkyBlue},
                                            {'d', minatar::Mark::kDiamond, palette::kGreen},
                                            {'D', minatar::Mark::kDiamond, palette::kGreen}};

  struct ResetDraws {};
  RM_HD static ResetDraws draw_reset(const Params&, Rng&) { return {}; }
  RM_HD static void apply_reset(State& s, const Params&, const ResetDraws&) {
    Scene c{};
    c.x = 5;
    c.oxygen = kMaxOxygen;
    c.surfaced = 1;
    c.enemy_timer = kEnemyInterval;
    c.diver_timer = kDiverInterval;
    pack(c, s);
  }

  // The random outcomes of a step, drawn whether or not something is due. Rows are 0 to 7, of the board's 1 to 8.
  struct Draws {
    std::uint32_t sticky;                                // 0 or 1
    std::uint32_t enemy_right, enemy_row, enemy_is_sub;  // 0 or 1, 0 to 7, 0 or 1
    std::uint32_t diver_right, diver_row;
  };

  // (One of three by a product: the bias is below 3 / 2^32.)
  RM_HD static Draws draw(const Params& p, Rng& rng) {
    const bool sticky = minatar::draw_sticky(p.sticky_probability, rng);
    const std::uint32_t kind = rng.bits(), places = rng.bits();
    return {minatar::one_if(sticky),
            (places >> 3) & 1u,
            places & 7u,
            minatar::one_if(multiply_high(kind, 3) == 0),
            (places >> 7) & 1u,
            (places >> 4) & 7u};
  }

  RM_HD static Mover mover(std::uint32_t x, std::uint32_t y, std::uint32_t right) {
    return x | (y << 4) | (right << 8) | kPresent;
  }
  RM_HD static std::uint32_t column(Mover m) { return m & 15u; }
  RM_HD static std::uint32_t row(Mover m) { return (m >> 4) & 15u; }
  // One column on; none once it leaves the board.
  RM_HD static Mover moved(Mover m) {
    const std::uint32_t x = column(m), right = m & kRight;
    const std::uint32_t edge = right != 0 ? 9u : 0u;
    const Mover next = right != 0 ? m + 1u : m - 1u;
    return x == edge ? 0u : next;  // (none: 0 at the left edge)
  }
  RM_HD static minatar::Cells cells_of(Mover m) {
    return minatar::Cells::cell(column(m), row(m), m != 0);
  }
  // Where it came from, if that is on the board.
  RM_HD static minatar::Cells trail_of(Mover m) {
    return cells_of(moved(m != 0 ? m ^ kRight : 0u));
  }

  RM_HD static void act(Scene& s, std::int32_t action) {
    const auto left = static_cast<std::uint32_t>(action == 1);
    const auto right = static_cast<std::uint32_t>(action == 3);
    const bool fires = (action == 5) & (s.shot_timer == 0);
    s.old_bullet = fires ? s.new_bullet : s.old_bullet;
    s.new_bullet = fires ? mover(s.x, s.y, s.faces_right) : s.new_bullet;
    s.shot_timer = fires ? kCoolDown : s.shot_timer;
    s.x += (right & static_cast<std::uint32_t>(s.x < 9)) -
           (left & static_cast<std::uint32_t>(s.x > 0));
    s.y += static_cast<std::uint32_t>((action == 4) & (s.y < 8)) -
           static_cast<std::uint32_t>((action == 2) & (s.y > 0));
    s.faces_right = (s.faces_right | right) & ~left;
  }

  // A bullet takes the oldest fish of the cell it has come to, or else the oldest submarine.
  RM_HD static std::uint32_t strike(minatar::Enemies& e, Mover& bullet,
                                    const minatar::Place& place) {
    const std::uint32_t met = bullet != 0 ? minatar::enemies_at(e, place) & e.alive : 0u;
    const std::uint32_t fish = met & ~e.submarine;
    const std::uint32_t choice = fish != 0 ? fish : met;
    e.alive &= ~(choice & (0u - choice));
    bullet = choice != 0 ? 0u : bullet;
    return choice != 0 ? 1u : 0u;
  }

  // A diver is picked up where it is, else moves if that is due (all ones) and may be picked up there.
  RM_HD static void drift(Scene& s, Mover& diver, std::uint32_t due) {
    constexpr Mover kPlace = kPresent | 255u;
    const Mover here = s.x | (s.y << 4) | kPresent;
    const Mover next = (moved(diver) & due) | (diver & ~due);
    const std::uint32_t here_mask =
        minatar::all_if((diver & kPlace) == here) | minatar::all_if((next & kPlace) == here);
    const std::uint32_t taken = here_mask & minatar::all_if(s.divers_held < kMaxDivers);
    diver = next & ~taken;
    s.divers_held += static_cast<std::int32_t>(taken & 1u);
  }

  // An enemy has moved into a bullet: both are gone.
  RM_HD static std::uint32_t run_into(minatar::Enemies& e, std::uint32_t moved_set, Mover& bullet,
                                      const minatar::Place& place) {
    const std::uint32_t met =
        bullet != 0 ? minatar::enemies_at(e, place) & moved_set & e.alive : 0u;
    e.alive &= ~met;
    bullet = met != 0 ? 0u : bullet;
    return met != 0 ? 1u : 0u;
  }

  // Submarines, their bullets, fish. The order among enemies does not matter: each meets a bullet of its own. Returns not 0
  // if one of them hits the player.
  template <bool kUsual>
  RM_HD static std::uint32_t move_enemies(Scene& s, const minatar::Place& old_place,
                                          const minatar::Place& new_place, std::uint32_t& kills) {
    minatar::Enemies& e = s.enemies;
    const minatar::Cells player = minatar::Cells::cell(s.x, s.y, true);
    const minatar::Place place = minatar::place_at(s.x, s.y);
    const std::uint32_t submarines = e.alive & e.submarine;
    const std::uint32_t touching = e.alive & minatar::enemies_at(e, place);
    const std::uint32_t moving = e.alive & ~(e.timer[0] | e.timer[1] | e.timer[2]);
    minatar::advance(e, moving);
    minatar::tick_timers(e, move_speed(s.ramp));
    const std::uint32_t shooting = submarines & minatar::tick_shots(e);
    const std::uint32_t gone = moving & minatar::off_board(e);
    const std::uint32_t came = moving & ~gone;
    const std::uint32_t reaching = came & minatar::enemies_at(e, place);
    e.alive &= ~gone;
    // (A bullet in the player's cell cannot be; the package would not look for it.)
    kills += run_into(e, came & ~reaching, s.old_bullet, old_place);
    kills += run_into(e, came & ~reaching, s.new_bullet, new_place);
    shoot<kUsual>(s, shooting & ~gone);
    std::uint32_t hit = touching | reaching | (s.to_right | s.to_left).meets(player);
    s.to_right = s.to_right.moved_right();
    s.to_left = s.to_left.moved_left();
    hit |= (s.to_right | s.to_left).meets(player);
    return hit;
  }

  // Bullets of the submarines in `set` (one at most if kOne, else three) where these are, be they just hit or not.
  template <bool kOne>
  RM_HD static void shoot(Scene& s, std::uint32_t set) {
    const minatar::Enemies& e = s.enemies;
    std::uint32_t rest = set;
    shoot_oldest(s, e, rest);
    if constexpr (kOne) return;
    shoot_oldest(s, e, rest);
    shoot_oldest(s, e, rest);
  }
  RM_HD static void shoot_oldest(Scene& s, const minatar::Enemies& e, std::uint32_t& set) {
    const std::uint32_t one = set & (0u - set);
    const minatar::Cells cell = minatar::cell_of_oldest(e, set);
    const std::uint32_t right = minatar::all_if((e.right & one) != 0);
    s.to_right = s.to_right | (cell & right);
    s.to_left = s.to_left | (cell & ~right);
    set ^= one;
  }

  // Air: returns the reward of bringing six divers up. Sets `empty` if the player comes up without any.
  RM_HD static std::int32_t breathe(Scene& s, const Params& p, bool& empty) {
    const bool below = s.y > 0;
    const bool up = !below & (s.surfaced == 0);
    empty = up & (s.divers_held == 0);
    const bool fills = up & (s.divers_held != 0);
    const bool full = fills & (s.divers_held == kMaxDivers);
    const std::int32_t tenths = (s.oxygen * 3277) >> 16;  // oxygen / 20, from 0 to 200
    s.divers_held = (full ? 0 : s.divers_held) - (fills ? 1 : 0);
    s.oxygen = fills ? kMaxOxygen : s.oxygen - (below ? 1 : 0);
    s.surfaced = below ? 0u : fills ? 1u : s.surfaced;
    s.ramp += fills & (p.ramping != 0) & (s.ramp < kMaxRamp) ? 1 : 0;
    return full ? tenths : 0;
  }

  RM_HD static Transition apply(State& state, const Params& p, std::int32_t chosen,
                                const Draws& d) {
    return apply_to<false>(state, p, chosen, d);
  }
  RM_HD static Transition apply_usual(State& state, const Params& p, std::int32_t chosen,
                                      const Draws& d) {
    return apply_to<true>(state, p, chosen, d);
  }
  template <bool kUsual>
  RM_HD static Transition apply_to(State& state, const Params& p, std::int32_t chosen,
                                   const Draws& d) {
    Scene s = unpack(state);
    const std::int32_t action = d.sticky != 0 ? s.last_action : chosen;
    s.last_action = action;
    const bool birth = s.enemy_timer == 0, diver = s.diver_timer == 0;
    minatar::give_birth(s.enemies, birth, d.enemy_row, d.enemy_right, d.enemy_is_sub,
                        move_speed(s.ramp));
    s.enemy_timer = birth ? enemy_interval(s.ramp) : s.enemy_timer;
    const Mover newcomer = mover(d.diver_right != 0 ? 0u : 9u, d.diver_row + 1u, d.diver_right);
    s.old_diver = diver ? s.new_diver : s.old_diver;
    s.new_diver = diver ? newcomer : s.new_diver;
    s.diver_timer = diver ? kDiverInterval : s.diver_timer;
    act(s, action);
    s.new_bullet = moved(s.new_bullet);
    s.old_bullet = moved(s.old_bullet);
    const minatar::Place old_place = minatar::place_at(column(s.old_bullet), row(s.old_bullet));
    const minatar::Place new_place = minatar::place_at(column(s.new_bullet), row(s.new_bullet));
    std::uint32_t kills = strike(s.enemies, s.new_bullet, new_place);
    kills += strike(s.enemies, s.old_bullet, old_place);
    // Divers move 5 steps after they came, and every 6 steps from then on.
    constexpr std::uint32_t kDrift = 1u << 1 | 1u << 7 | 1u << 13 | 1u << 19 | 1u << 25;
    const std::uint32_t drifts = minatar::spread(kDrift, s.diver_timer);
    drift(s, s.new_diver, drifts);
    drift(s, s.old_diver, drifts);
    const std::uint32_t hit = move_enemies<kUsual>(s, old_place, new_place, kills);
    s.enemy_timer -= s.enemy_timer > 0 ? 1 : 0;
    s.diver_timer -= s.diver_timer > 0 ? 1 : 0;
    s.shot_timer -= s.shot_timer > 0 ? 1 : 0;
    const bool breathless = s.oxygen <= 0;
    bool empty = false;
    const std::int32_t reward = static_cast<std::int32_t>(kills) + breathe(s, p, empty);
    pack(s, state);
    // (Arithmetic, not a chain of selects: g++ threads its jumps through the runtime's and then gives the loop up.)
    const std::uint32_t other = breathless ? 2u : 0u, third = empty ? 3u : 0u;
    const std::uint32_t reason = other | (third & ~(other | other >> 1));
    return {static_cast<float>(reward), hit != 0 ? 1u : reason};
  }

  RM_HD static void observe(const State& state, const Params&, Words out) {
    minatar::EnemyCells enemies;
    minatar::find_cells(state.enemies, minatar::enemy_columns(state.enemies), enemies);
    write_planes(state, enemies, out);
  }
  RM_HD static void observe_usual(const State& state, const Params&, Words out) {
    minatar::EnemyCells enemies;
    minatar::find_newest(state.enemies, enemies);
    write_planes(state, enemies, out);
  }
  RM_HD static void write_planes(const State& state, const minatar::EnemyCells& enemies,
                                 Words out) {
    const Scene s = unpack(state);
    using minatar::Cells;
    using minatar::put_cells;
    minatar::PlaneBits<10> planes;
    put_cells<0>(planes, Cells::cell(s.x, s.y, true));
    put_cells<1>(planes, Cells::cell(s.x + 1u - 2u * s.faces_right, s.y, true));
    put_cells<2>(planes, cells_of(s.old_bullet) | cells_of(s.new_bullet));
    const Cells all = enemies.fish | enemies.submarines;
    const Cells trail =
        (all & enemies.right).moved_left() | all.without(enemies.right).moved_right();
    put_cells<3>(planes, trail | trail_of(s.old_diver) | trail_of(s.new_diver));
    put_cells<4>(planes, s.to_right | s.to_left);
    put_cells<9>(planes, cells_of(s.old_diver) | cells_of(s.new_diver));
    const std::int32_t held = s.divers_held > 0 ? s.divers_held : 0;
    const std::int32_t oxygen = s.oxygen > 0 ? (s.oxygen * 3277) >> 16 : 0;
    planes.put<minatar::kCells * 7 + 90, 10>((1u << oxygen) - 1u);
    planes.put<minatar::kCells * 8 + 90, 10>(((1u << held) - 1u) << (9 - held));
    put_cells<5>(planes, enemies.fish);
    put_cells<6>(planes, enemies.submarines);
    planes.store(out);
  }

  // Where a good player wants to be: at the surface with divers when air is short or no more fit in, else at a diver, else
  // half way down.
  static float distance_to_goal(const Scene& s) {
    const auto x = static_cast<int>(s.x), y = static_cast<int>(s.y);
    const bool rises = s.divers_held == kMaxDivers || s.oxygen < 40 + 2 * y;
    if (rises && s.divers_held != 0) return 4.0f * static_cast<float>(y);
    int nearest = 20;
    for (const Mover diver : {s.old_diver, s.new_diver}) {
      if (diver == 0) continue;
      nearest = std::min(nearest, std::abs(static_cast<int>(column(diver)) - x) +
                                      std::abs(static_cast<int>(row(diver)) - y));
    }
    const int middle = std::abs(x - 4) + std::abs(y - 5);
    const float urgency = s.divers_held == 0 ? 2.0f : 1.0f;
    return urgency * static_cast<float>(nearest < 20 ? nearest : middle);
  }
  // Looks three steps ahead. (A birth that falls due is put into the row farthest away.)
  static float worth(State state, const Params& p, std::int32_t action, int steps) {
    const Scene before = unpack(state);
    const std::uint32_t far = before.y < 5 ? 7u : 0u;
    const Transition t = apply(state, p, action, {0, 0, far, 0, 0, far});
    if (t.reason != 0) return -10.0f;
    const Scene s = unpack(state);
    const float gain = t.reward + (s.divers_held > before.divers_held ? 0.5f : 0.0f);
    if (steps == 1) return gain - 0.05f * distance_to_goal(s) + chance_to_hit(s);
    float best = -1e9f;
    for (const std::int32_t next : minimal) best = std::max(best, worth(state, p, next, steps - 1));
    return gain + 0.95f * best;
  }
  // A bullet under way to an enemy is worth most of it.
  static float chance_to_hit(const Scene& s) {
    float chance = 0.0f;
    for (const Mover bullet : {s.old_bullet, s.new_bullet}) {
      Mover b = bullet;
      bool hits = false;
      for (int k = 0; k < 9 && b != 0; ++k, b = moved(b)) {
        hits |= (s.enemies.alive &
                 minatar::enemies_at(s.enemies, minatar::place_at(column(b), row(b)))) != 0;
      }
      chance += hits ? 0.7f : 0.0f;
    }
    return chance;
  }
  static std::int32_t best_action(const State& s, const Params& p) {
    std::int32_t best = minatar::kNone;
    float most = -1e9f;
    for (const std::int32_t action : minimal) {
      const float value = worth(s, p, action, 3);
      best = value > most ? action : best;
      most = std::max(most, value);
    }
    return best;
  }
};

using Seaquest = minatar::Minimal<SeaquestGame>;
using SeaquestSix = minatar::AllActions<SeaquestGame>;

}  // namespace rollmill
