// FrozenLake-v1 and FrozenLake8x8-v1: cross the ice to the goal, not into a hole; the ice is slippery.
// Rules, maps and options of Gymnasium's FrozenLakeEnv. A map is a bit mask of its holes, bit row * side + column, kept
// in the state because random_map draws another for each episode. The observation is the position alone, as in
// Gymnasium: on a random map the ice has to be found out by walking.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"
#include "envs/toy_text/frozen_map.h"
#include "envs/toy_text/slip.h"
#include "envs/toy_text/table_plan.h"

namespace rollmill {

namespace toy_text {

constexpr EnvInfo frozen_lake_info(int side) {
  const bool small = side == 4;
  return {small ? "FrozenLake-v1" : "FrozenLake8x8-v1",
          small ? "Walk over slippery ice to the goal, past four holes."
                : "Walk over slippery ice to the goal, past ten holes.",
          small ? 100 : 200,
          0.0,
          1.0,
          small ? 0.70 : 0.85,
          {"goal", "hole"},
          "Gymnasium gymnasium/envs/toy_text/frozen_lake.py",
          1,
          "Planning under uncertain moves; with random_map, exploration of an unseen map."};
}

}  // namespace toy_text

template <int kSide>
struct FrozenLakeTask {
  using Map = toy_text::FrozenMap<kSide>;
  static constexpr std::uint32_t kCells = kSide * kSide;
  static constexpr EnvInfo info = toy_text::frozen_lake_info(kSide);

  struct Params {
    std::int32_t is_slippery = 1;
    float success_rate = 1.0f / 3.0f;
    float goal_reward = 1.0f;
    float hole_reward = 0.0f;
    float frozen_reward = 0.0f;
    std::int32_t random_map = 0;
    float frozen_probability = 0.8f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"is_slippery", "", 0, 1, "1: a move may go to either side"}, is_slippery);
      param(FieldInfo{"success_rate", "", 0, 1, "of going the way one wants, if slippery"},
            success_rate);
      param(FieldInfo{"goal_reward", "", -1000, 1000}, goal_reward);
      param(FieldInfo{"hole_reward", "", -1000, 1000}, hole_reward);
      param(FieldInfo{"frozen_reward", "", -1000, 1000, "of every other step"}, frozen_reward);
      param(FieldInfo{"random_map", "", 0, 1, "1: each episode draws a map that can be crossed"},
            random_map);
      param(FieldInfo{"frozen_probability", "", 0, 1, "of each tile of a random map"},
            frozen_probability);
    }
  };

  struct State {
    std::uint32_t position;  // row * side + column
    std::uint32_t holes[Map::kWords];
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("position", position);
      field("holes", holes);
    }
  };

  static constexpr bool reset_searches = true;
  using Observation = Discrete<kCells>;
  using Action = Discrete<4>;
  static constexpr FieldInfo observation_fields[1] = {
      {"position", "", 0, kCells - 1, "row * side + column"}};
  static constexpr FieldInfo action_fields[1] = {
      {"move", "", 0, 3, "0 left, 1 down, 2 right, 3 up"}};
  static constexpr const char* keys = "asdw";
  static constexpr const char* difficulty[2] = {"is_slippery", "random_map"};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.position = 0;
    constexpr typename Map::Holes standard = Map::kStandard;
    standard.store(s.holes);
    if (p.random_map != 0) Map::draw(p.frozen_probability, rng).store(s.holes);
  }

  // What chance decides in a step.
  struct Draws {
    std::uint32_t turn;  // 0, 1, 2: one to the side of action - 1, as wanted, of action + 1
  };
  RM_HD static Draws draw(const State&, const Params& p, Rng& rng) {
    const float wanted = p.is_slippery != 0 ? p.success_rate : 1.0f;
    return {toy_text::one_of_three(rng.uniform(), 0.5f * (1.0f - wanted), wanted)};
  }

  RM_HD static Transition apply(State& s, const Params& p, Action::Value action, const Draws& d) {
    const std::uint32_t way = (static_cast<std::uint32_t>(action) + d.turn + 3u) & 3u;
    const std::uint32_t row = s.position / kSide, column = s.position % kSide;
    const std::uint32_t left = way == 0 && column > 0 ? 1u : 0u;
    const std::uint32_t down = way == 1 && row < kSide - 1 ? 1u : 0u;
    const std::uint32_t right = way == 2 && column < kSide - 1 ? 1u : 0u;
    const std::uint32_t up = way == 3 && row > 0 ? 1u : 0u;
    s.position += kSide * (down - up) + right - left;
    const bool goal = s.position == kCells - 1;
    const bool hole = Map::has(s.holes, s.position);
    return {goal   ? p.goal_reward
            : hole ? p.hole_reward
                   : p.frozen_reward,
            goal   ? 1u
            : hole ? 2u
                   : 0u};
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    return apply(s, p, action, draw(s, p, rng));
  }

  RM_HD static void observe(const State& s, const Params&, Ints out) {
    out[0] = static_cast<std::int32_t>(s.position);
  }

  // Value iteration on the episode's map. The discount stands for the time limit, which the state does not tell.
  static Action::Value expert(const State& s, const Params& p) {
    constexpr std::size_t kParams = toy_text::param_words<Params>();
    std::array<std::uint32_t, kParams + Map::kWords> key;
    toy_text::put_params(p, key);
    for (int k = 0; k < Map::kWords; ++k) key[kParams + k] = s.holes[k];
    const auto& plan = toy_text::cached_plan(key, [&] {
      const double aside =
          p.is_slippery != 0 ? 0.5 * (1.0 - static_cast<double>(p.success_rate)) : 0.0;
      const auto start = [&](int position) {
        State state = s;
        state.position = static_cast<std::uint32_t>(position);
        return state;
      };
      return toy_text::plan<FrozenLakeTask>(kCells, 4, 1.0 - 1.0 / info.time_limit, p,
                                            {{aside, {0}}, {1.0 - 2.0 * aside, {1}}, {aside, {2}}},
                                            start,
                                            [](const State& state) { return state.position; });
    });
    return plan[s.position % kCells];
  }

  static char tile(const State& s, std::uint32_t cell) {
    return cell == 0 ? 'S' : cell == kCells - 1 ? 'G' : Map::has(s.holes, cell) ? 'H' : 'F';
  }

  // S start, F frozen, H hole, G goal; @ where the walker is.
  static void text(const State& s, const Params&, TextView& view) {
    view.resize(kSide, kSide);
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      view.put(static_cast<int>(cell % kSide), static_cast<int>(cell / kSide),
               cell == s.position ? '@' : tile(s, cell));
    }
  }

  static void render(const State& s, const Params&, Canvas& canvas) {
    const Grid grid = canvas.resize_grid(kSide, kSide, 40);
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      const Rect r = grid.cell(static_cast<int>(cell / kSide), static_cast<int>(cell % kSide));
      const char c = tile(s, cell);
      canvas.fill(r.inset(1), mix(palette::kWhite, palette::kSkyBlue, 70));
      if (c == 'H') canvas.disc(r, mix(palette::kBlue, palette::kBlack, 110));
      if (c == 'G') canvas.diamond(r, palette::kGreen);
      if (c == 'S') canvas.label(r, "S", palette::kGrey, 2);
      if (cell == s.position) canvas.circle({r.center_x(), r.center_y()}, 11, palette::kOrange);
    }
  }
};

using FrozenLake = FrozenLakeTask<4>;
using FrozenLake8x8 = FrozenLakeTask<8>;

}  // namespace rollmill
