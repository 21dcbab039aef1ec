// Taxi-v3: fetch a passenger at one of four stations and bring them to another.
// Dietterich (2000) in the rules of Gymnasium. Its registry has come to call the task Taxi-v4: version 4 changed only the two
// options is_rainy and fickle_passenger, which are those of version 4 here.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"
#include "envs/toy_text/slip.h"
#include "envs/toy_text/table_plan.h"

namespace rollmill {

namespace toy_text {

// Nine characters a row: cells at even places, what stands between two of them at odd ones.
inline constexpr char kTaxiMap[] =
    "R: | : :G"
    " : | : : "
    " : : : : "
    " | : | : "
    "Y| : |B: ";

// Bit row * 5 + column: whether one may drive one cell east (to = 1) or west (to = -1).
constexpr std::uint32_t taxi_open(int to) {
  std::uint32_t open = 0;
  for (int row = 0; row < 5; ++row) {
    for (int column = 0; column < 5; ++column) {
      const int between = 2 * column + to;
      if (between > 0 && between < 9 && kTaxiMap[row * 9 + between] == ':') {
        open |= 1u << (row * 5 + column);
      }
    }
  }
  return open;
}

}  // namespace toy_text

struct Taxi {
  static constexpr EnvInfo info{
      "Taxi-v3",
      "Drive to a passenger, pick them up and bring them to their destination.",
      200,
      -10.0,
      20.0,
      8.0,
      {"delivered"},
      "Dietterich 2000; Gymnasium gymnasium/envs/toy_text/taxi.py",
      1,
      "Planning with sub-goals: reach the passenger, then the destination."};

  struct Params {
    std::int32_t is_rainy = 0;
    std::int32_t fickle_passenger = 0;
    float rainy_probability = 0.8f;
    float fickle_probability = 0.3f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"is_rainy", "", 0, 1, "1: a drive may go to either side"}, is_rainy);
      param(FieldInfo{"fickle_passenger", "", 0, 1, "1: the passenger may change their mind once"},
            fickle_passenger);
      param(FieldInfo{"rainy_probability", "", 0, 1, "of going the way one wants, in rain"},
            rainy_probability);
      param(FieldInfo{"fickle_probability", "", 0, 1, "of an episode with another destination"},
            fickle_probability);
    }
  };

  static constexpr std::uint32_t kRiding = 4;

  struct State {
    std::uint32_t cell;         // row * 5 + column
    std::uint32_t passenger;    // waits at station 0 to 3, or rides: 4
    std::uint32_t destination;  // station
    std::uint32_t fickle;       // 1: changes destination on the first drive
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("cell", cell);
      field("passenger", passenger);
      field("destination", destination);
      field("fickle", fickle);
    }
  };

  using Observation = Discrete<500>;
  using Action = Discrete<6>;
  static constexpr FieldInfo observation_fields[] = {
      {"situation", "", 0, 499, "((row * 5 + column) * 5 + passenger) * 4 + destination"}};
  static constexpr FieldInfo action_fields[] = {
      {"action", "", 0, 5, "0 south, 1 north, 2 east, 3 west, 4 pick up, 5 drop off"}};
  static constexpr const char* keys = "swdaeo";
  static constexpr const char* difficulty[] = {"is_rainy", "fickle_passenger"};

  // Stations R, G, Y, B: cells 0, 4, 20, 23, a byte each.
  RM_HD static std::uint32_t station_cell(std::uint32_t station) {
    return (0x17140400u >> (8u * (station & 3u))) & 0xFFu;
  }
  // Whether a cell is a station, and which one. (Bits of masks: chains of comparisons become control flow or look-up tables
  // in g++ 12, which then does not vectorise.)
  RM_HD static std::uint32_t is_station(std::uint32_t cell) {
    return (0x00900011u >> (cell & 31u)) & 1u;
  }
  RM_HD static std::uint32_t station_at(std::uint32_t cell) {
    return ((0x00800010u >> (cell & 31u)) & 1u) | ((0x00900000u >> (cell & 31u)) & 1u) << 1;
  }
  // Which of south, north, east, west are free, one bit each.
  RM_HD static std::uint32_t free_ways(std::uint32_t cell) {
    constexpr std::uint32_t kSouth = 0x000FFFFFu, kNorth = 0x01FFFFE0u;
    constexpr std::uint32_t kEast = toy_text::taxi_open(1), kWest = toy_text::taxi_open(-1);
    const std::uint32_t n = cell & 31u;
    return ((kSouth >> n) & 1u) | ((kNorth >> n) & 1u) << 1 | ((kEast >> n) & 1u) << 2 |
           ((kWest >> n) & 1u) << 3;
  }
  RM_HD static std::uint32_t rides(const State& s) { return (s.passenger >> 2) & 1u; }
  RM_HD static std::uint32_t can_pick_up(const State& s) {
    return (s.cell == station_cell(s.passenger) ? 1u : 0u) & (rides(s) ^ 1u);
  }
  RM_HD static std::uint32_t can_drop(const State& s) { return rides(s) & is_station(s.cell); }

  // Station and side by 24-bit fractions: a probability is off by less than 2^-24.
  RM_HD static std::uint32_t choose(std::uint32_t bits, std::uint32_t n) {
    return ((bits >> 8) * n) >> 24;
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.cell = choose(rng.bits(), 25);
    s.passenger = choose(rng.bits(), 4);
    s.destination = (s.passenger + 1u + choose(rng.bits(), 3)) & 3u;
    const float changing = p.fickle_passenger != 0 ? p.fickle_probability : 0.0f;
    s.fickle = rng.uniform() < changing ? 1u : 0u;
  }

  // What chance decides in a step.
  struct Draws {
    std::uint32_t turn;  // 0: as wanted; 1, 2: to the left, to the right of it
    std::uint32_t
        other_goal;  // 1 to 3: added to the destination if the passenger changes their mind
  };
  RM_HD static Draws draw(const State&, const Params& p, Rng& rng) {
    const float wanted = p.is_rainy != 0 ? p.rainy_probability : 1.0f;
    const std::uint32_t turn =
        toy_text::one_of_three(rng.uniform(), wanted, 0.5f * (1.0f - wanted));
    return {turn, 1u + choose(rng.bits(), 3)};
  }

  RM_HD static Transition apply(State& s, const Params&, Action::Value action, const Draws& d) {
    const auto a = static_cast<std::uint32_t>(action);
    // Left of south, north, east, west: east, west, north, south; right is the other one.
    const std::uint32_t left = (0x0132u >> (4u * (a & 3u))) & 3u;
    const std::uint32_t way = d.turn == 0 ? a : d.turn == 1 ? left : left ^ 1u;
    // The wanted way must be free, too. Picking up and dropping off (4, 5) have no bit, so nothing moves.
    const std::uint32_t ways = free_ways(s.cell);
    const std::uint32_t moves = (ways >> a) & (ways >> (way & 7u)) & 1u;
    const std::uint32_t by =
        (way == 0 ? 5u : 0u) - (way == 1 ? 5u : 0u) + (way == 2 ? 1u : 0u) - (way == 3 ? 1u : 0u);
    s.cell += moves * by;

    const std::uint32_t riding = rides(s), station = station_at(s.cell);
    const std::uint32_t picks_up = (a == 4 ? 1u : 0u) & can_pick_up(s);
    const std::uint32_t drops = (a == 5 ? 1u : 0u) & can_drop(s);
    const std::uint32_t delivers = drops & (station == s.destination ? 1u : 0u);
    const std::uint32_t illegal = (a >= 4 ? 1u : 0u) & ~(picks_up | drops);
    s.passenger = picks_up != 0 ? kRiding : drops != 0 ? station : s.passenger;

    const std::uint32_t changes = s.fickle & riding & moves;
    s.destination = (s.destination + changes * d.other_goal) & 3u;
    s.fickle -= changes;
    const auto reward = static_cast<std::int32_t>(21u * delivers - 9u * illegal) - 1;
    return {static_cast<float>(reward), delivers};
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    return apply(s, p, action, draw(s, p, rng));
  }

  RM_HD static void observe(const State& s, const Params&, Ints out) {
    out[0] = static_cast<std::int32_t>((s.cell * 5u + s.passenger) * 4u + s.destination);
  }

  // Actions that change something, as Gymnasium's action_mask.
  RM_HD static void mask(const State& s, const Params&, Words out) {
    out[0] = free_ways(s.cell) | can_pick_up(s) << 4 | can_drop(s) << 5;
  }

  // Value iteration that expects the passenger to stay with their destination.
  static Action::Value expert(const State& s, const Params& p) {
    constexpr std::size_t kParams = toy_text::param_words<Params>();
    std::array<std::uint32_t, kParams> key;
    toy_text::put_params(p, key);
    const auto& plan = toy_text::cached_plan(key, [&] {
      const double wanted = p.is_rainy != 0 ? static_cast<double>(p.rainy_probability) : 1.0;
      const double aside = 0.5 * (1.0 - wanted);
      return toy_text::plan<Taxi>(500, 6, 1.0 - 1.0 / info.time_limit, p,
                                  {{wanted, {0, 1}}, {aside, {1, 1}}, {aside, {2, 1}}}, from_index,
                                  index_of);
    });
    return plan[index_of(s) % 500];
  }

  static State from_index(int index) {
    const auto i = static_cast<std::uint32_t>(index);
    return {i / 20, i / 4 % 5, i % 4, 0};
  }
  static std::uint32_t index_of(const State& s) {
    return (s.cell * 5u + s.passenger) * 4u + s.destination;
  }

  // @ the taxi (& with the passenger in it), p the waiting passenger's station.
  static void text(const State& s, const Params&, TextView& view) {
    constexpr char kNames[] = "RGYB";
    view.resize(5, 9);
    for (int row = 0; row < 5; ++row) {
      for (int column = 0; column < 9; ++column) {
        view.put(column, row, toy_text::kTaxiMap[row * 9 + column]);
      }
    }
    const auto put = [&](std::uint32_t cell, char c) {
      view.put(static_cast<int>(2 * (cell % 5)), static_cast<int>(cell / 5), c);
    };
    if (s.passenger < kRiding) put(station_cell(s.passenger), 'p');
    put(s.cell, s.passenger == kRiding ? '&' : '@');
    const std::string from = s.passenger < kRiding
                                 ? std::string("passenger at ") + kNames[s.passenger]
                                 : "passenger rides";
    view.line(from + ", to " + kNames[s.destination & 3u]);
  }

  static void render(const State& s, const Params&, Canvas& canvas) {
    constexpr Color kColors[] = {palette::kVermillion, palette::kGreen, palette::kYellow,
                                 palette::kBlue};
    const Grid grid = canvas.resize_grid(5, 5, 40);
    const auto cell_of = [&](std::uint32_t cell) {
      return grid.cell(static_cast<int>(cell / 5), static_cast<int>(cell % 5));
    };
    for (std::uint32_t k = 0; k < 4; ++k) {
      const Rect r = cell_of(station_cell(k));
      canvas.fill(r.inset(2), mix(kColors[k], palette::kWhite, 150));
      if (k == s.destination) canvas.outline(r.inset(2), kColors[k], 4);
    }
    for (int row = 0; row < 5; ++row) {
      for (int column = 0; column < 4; ++column) {
        if (toy_text::kTaxiMap[row * 9 + 2 * column + 1] != '|') continue;
        const Rect r = grid.cell(row, column);
        canvas.fill({r.x + r.w - 2, r.y, 4, r.h}, palette::kInk);
      }
    }
    const Rect taxi = cell_of(s.cell);
    canvas.rod({taxi.x + 12.0, taxi.center_y()}, {taxi.x + 28.0, taxi.center_y()}, palette::kOrange,
               16);
    const Rect at = s.passenger < kRiding ? cell_of(station_cell(s.passenger)) : taxi;
    canvas.circle({at.center_x(), at.center_y()}, 5, palette::kPurple);
  }
};

}  // namespace rollmill
