// CliffWalking-v1: walk along a cliff to the goal; a fall costs 100 and leads back to the start.
// Sutton and Barto (2018), example 6.6, in the rules of Gymnasium's CliffWalkingEnv. There is no time limit.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"
#include "envs/toy_text/slip.h"
#include "envs/toy_text/table_plan.h"

namespace rollmill {

struct CliffWalking {
  static constexpr std::uint32_t kRows = 4, kColumns = 12, kCells = kRows * kColumns;
  static constexpr std::uint32_t kStart = 36, kGoal = 47;

  static constexpr EnvInfo info{
      "CliffWalking-v1",
      "Walk along a cliff to the goal without falling.",
      0,
      -100.0,
      -1.0,
      -13.0,
      {"goal"},
      "Sutton, Barto 2018, example 6.6; Gymnasium gymnasium/envs/toy_text/cliffwalking.py",
      1,
      "Planning beside a costly mistake: the shortest way is the dangerous one if moves slip."};

  struct Params {
    std::int32_t is_slippery = 0;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(
          FieldInfo{"is_slippery", "", 0, 1, "1: a move goes to either side in 1 of 3 cases each"},
          is_slippery);
    }
  };

  struct State {
    std::uint32_t position;  // row * 12 + column
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("position", position);
    }
  };

  using Observation = Discrete<kCells>;
  using Action = Discrete<4>;
  static constexpr FieldInfo observation_fields[] = {
      {"position", "", 0, kCells - 1, "row * 12 + column"}};
  static constexpr FieldInfo action_fields[] = {
      {"move", "", 0, 3, "0 up, 1 right, 2 down, 3 left"}};
  static constexpr const char* keys = "wdsa";
  static constexpr const char* difficulty[] = {"is_slippery"};

  RM_HD static void reset(State& s, const Params&, Rng&) { s.position = kStart; }

  // What chance decides in a step.
  struct Draws {
    std::uint32_t turn;  // 0, 1, 2: the direction before the wanted one, that one, the one after it
  };
  RM_HD static Draws draw(const State&, const Params& p, Rng& rng) {
    const float aside = p.is_slippery != 0 ? 1.0f / 3.0f : 0.0f;
    return {toy_text::one_of_three(rng.uniform(), aside, 1.0f - 2.0f * aside)};
  }

  RM_HD static Transition apply(State& s, const Params&, Action::Value action, const Draws& d) {
    const std::uint32_t way = (static_cast<std::uint32_t>(action) + d.turn + 3u) & 3u;
    const std::uint32_t at = s.position;
    const std::uint32_t row = (at * 43u) >> 9;  // at / 12 below 48
    const std::uint32_t column = at - kColumns * row;
    const std::uint32_t up = way == 0 && row > 0 ? 1u : 0u;
    const std::uint32_t right = way == 1 && column < kColumns - 1 ? 1u : 0u;
    const std::uint32_t down = way == 2 && row < kRows - 1 ? 1u : 0u;
    const std::uint32_t left = way == 3 && column > 0 ? 1u : 0u;
    const std::uint32_t next = at + kColumns * (down - up) + right - left;
    const bool fell = next - (kStart + 1) < kColumns - 2;
    s.position = fell ? kStart : next;
    return {fell ? -100.0f : -1.0f, next == kGoal ? 1u : 0u};
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    return apply(s, p, action, draw(s, p, rng));
  }

  RM_HD static void observe(const State& s, const Params&, Ints out) {
    out[0] = static_cast<std::int32_t>(s.position);
  }

  static Action::Value expert(const State& s, const Params& p) {
    constexpr std::size_t kParams = toy_text::param_words<Params>();
    std::array<std::uint32_t, kParams> key;
    toy_text::put_params(p, key);
    const auto& plan = toy_text::cached_plan(key, [&] {
      const double aside = p.is_slippery != 0 ? 1.0 / 3.0 : 0.0;
      return toy_text::plan<CliffWalking>(
          kCells, 4, 1.0, p, {{aside, {0}}, {1.0 - 2.0 * aside, {1}}, {aside, {2}}},
          [](int position) { return State{static_cast<std::uint32_t>(position)}; },
          [](const State& state) { return state.position; });
    });
    return plan[s.position % kCells];
  }

  static char tile(std::uint32_t cell) {
    return cell == kGoal ? 'G' : cell == kStart ? 'S' : cell > kStart ? 'C' : '.';
  }

  // S start, C cliff, G goal; @ where the walker is.
  static void text(const State& s, const Params&, TextView& view) {
    view.resize(kRows, kColumns);
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      view.put(static_cast<int>(cell % kColumns), static_cast<int>(cell / kColumns),
               cell == s.position ? '@' : tile(cell));
    }
  }

  static void render(const State& s, const Params&, Canvas& canvas) {
    const Grid grid = canvas.resize_grid(kRows, kColumns, 32);
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      const Rect r =
          grid.cell(static_cast<int>(cell / kColumns), static_cast<int>(cell % kColumns));
      const char c = tile(cell);
      if (c == 'C') canvas.block(r, palette::kDarkGrey);
      if (c == 'G') canvas.diamond(r, palette::kGreen);
      if (c == 'S') canvas.label(r, "S", palette::kGrey, 2);
      if (cell == s.position) canvas.circle({r.center_x(), r.center_y()}, 9, palette::kOrange);
    }
  }
};

}  // namespace rollmill
