// MyEnv: walk along a line to a flag, against gusts of wind.
//
//     . . . . @ . . F .      length = 9: the walker @ starts on any cell but the flag's
//
// A skeleton that runs: replace the task, keep the shape. The contract is envs/env.h; docs/guides/write_an_environment.md
// says what to do next. Plain scalar code: it is compiled for the CPU, where the step loop runs over many environments at once
// if it has selects (?:) instead of branches, and by nvcc for the GPU.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"

namespace rollmill {

struct MyEnv {
  static constexpr EnvInfo info{
      .id = "Rollmill/MyEnv-v0",  // a task that changes gets a new version
      .summary = "Walk along a line to a flag, against the wind.",
      .time_limit = 200,  // steps; the runtime truncates
      .reward_low = 0.0,  // of one step
      .reward_high = 1.0,
      .solved_at = 0.95,                    // mean return
      .outcomes = {"arrived"},              // reasons 1, 2, ... why an episode ends
      .references = "Rollmill's template",  // where rules and constants come from
      .success = 1,                         // the reason that means success
      .measures = "Nothing yet: that a new environment works."};  // the ability it tests

  static constexpr int kMaxLength = 64;

  // Settable in [env.params]. float or std::int32_t; a range for each.
  struct Params {
    std::int32_t length = 9;
    float wind = 0.1f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"length", "cells", 2, kMaxLength, "of the line"}, length);
      param(FieldInfo{"wind", "", 0, 0.9, "probability of a gust, which pushes one cell left"},
            wind);
    }
  };
  // Parameters that make it harder when they grow.
  static constexpr const char* difficulty[] = {"length", "wind"};

  // All that the future depends on, in 32-bit words: this is what a snapshot holds.
  struct State {
    std::int32_t position, flag;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("position", position);
      field("flag", flag);
    }
  };

  // What a policy reads and answers; envs/spaces.h has the others (Planes, Pixels, MultiDiscrete, Mixed).
  using Observation = Box<2>;
  static constexpr FieldInfo observation_fields[] = {
      {"position", "line", 0, 1, "0 left end, 1 right end"}, {"flag", "line", 0, 1, "the same"}};
  using Action = Discrete<2>;
  static constexpr FieldInfo action_fields[] = {{"move", "", 0, 1, "0 left, 1 right"}};
  static constexpr const char* keys = "ad";  // in `rollmill play`; the arrows are w, a, s, d

  // A new episode. The state comes zeroed; randomness comes from rng and from nowhere else.
  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    const auto length = static_cast<std::uint32_t>(p.length);
    const std::uint32_t flag = multiply_high(rng.bits(), length);       // 0 .. length - 1
    const std::uint32_t away = multiply_high(rng.bits(), length - 1u);  // so never on the flag
    const std::uint32_t start = flag + 1u + away;
    s.flag = static_cast<std::int32_t>(flag);
    s.position = static_cast<std::int32_t>(start >= length ? start - length : start);
  }

  // A step in two parts: what chance decides (always as many draws, before any decision), and what follows from it. A test
  // can then put recorded outcomes into apply().
  struct Draws {
    bool gust;
  };
  RM_HD static Draws draw(const State&, const Params& p, Rng& rng) {
    return {rng.uniform() < p.wind};
  }
  RM_HD static Transition apply(State& s, const Params& p, Action::Value action, const Draws& d) {
    const std::int32_t moved = s.position + (action == 1 ? 1 : -1) - (d.gust ? 1 : 0);
    const std::int32_t last = p.length - 1;
    s.position = moved < 0 ? 0 : moved > last ? last : moved;
    const bool arrived = s.position == s.flag;
    return {arrived ? 1.0f : 0.0f, arrived ? 1u : 0u};  // reward; reason, 0: goes on
  }
  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    return apply(s, p, action, draw(s, p, rng));
  }

  RM_HD static void observe(const State& s, const Params& p, Strided<float> out) {
    const float scale = 1.0f / static_cast<float>(p.length - 1);
    const float position = static_cast<float>(s.position) * scale;
    const float flag = static_cast<float>(s.flag) * scale;
    out[0] = position < 1.0f ? position : 1.0f;  // the product may round to above 1
    out[1] = flag < 1.0f ? flag : 1.0f;
  }

  // Optional from here on: leave out what the task does not have.

  // Which actions are allowed, one bit a choice; at least one. Here: not into the wall.
  RM_HD static void mask(const State& s, const Params& p, Words out) {
    out[0] = (s.position > 0 ? 1u : 0u) | (s.position < p.length - 1 ? 2u : 0u);
  }

  // A scripted solution: `--policy expert`. This one sees the state; expert(Strided<const float>, const Params&) would see what
  // a policy sees.
  static Action::Value expert(const State& s, const Params&) { return s.position < s.flag ? 1 : 0; }

  // The same state for people and for policies that read characters.
  static void text(const State& s, const Params& p, TextView& view) {
    view.resize(1, p.length, '.');
    view.put(s.flag, 0, 'F');
    view.put(s.position, 0, '@');
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    const Grid cells = canvas.resize_grid(1, p.length, 32);
    const Rect flag = cells.cell(0, s.flag), walker = cells.cell(0, s.position);
    canvas.fill(flag.inset(3), palette::kGreen);
    canvas.label(flag, "F", palette::kPaper, 2);
    canvas.disc(walker, palette::kOrange);
  }
};

}  // namespace rollmill
