// Thermostat: keep a room at 20 degrees by a heater, while the weather outside drifts. Newton's law of cooling, explicit Euler;
// the weather is a random walk that is drawn back to its mean. The heater can only heat.
#pragma once

#include <string>

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"

namespace rollmill {

struct Thermostat {
  static constexpr EnvInfo info{
      .id = "Example/Thermostat-v0",
      .summary = "Keep a room at 20 degrees by a heater, while the weather drifts.",
      .time_limit = 288,  // a day of five-minute steps
      .reward_low = -10.0,
      .reward_high = 0.0,
      .solved_at = -60.0,
      .outcomes = {"frozen_pipe"},
      .references = "Newton's law of cooling",
      .success = 0,
      .measures = "Control of a slow, disturbed process with an actuator that saturates."};

  static constexpr float kTarget = 20.0f;

  struct Params {
    float leak = 0.05f;
    float heating = 2.5f;
    float weather_mean = 5.0f;
    float weather_noise = 0.5f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"leak", "1/step", 0.001, 0.5, "share of the difference lost"}, leak);
      param(FieldInfo{"heating", "K/step", 0.1, 10, "at full power"}, heating);
      param(FieldInfo{"weather_mean", "C", -30, 19}, weather_mean);
      param(FieldInfo{"weather_noise", "K", 0, 5, "largest step of the weather"}, weather_noise);
    }
  };
  static constexpr const char* difficulty[] = {"weather_noise"};

  struct State {
    float room, weather;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("room", room);
      field("weather", weather);
    }
  };

  using Observation = Box<2>;
  using Action = Box<1>;
  static constexpr FieldInfo observation_fields[] = {{"room", "C", -60, 120},
                                                     {"weather", "C", -60, 60}};
  static constexpr FieldInfo action_fields[] = {{"power", "", 0, 1, "clipped"}};

  RM_HD static float clip(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.room = rng.uniform(10.0f, 25.0f);
    s.weather = p.weather_mean + rng.uniform(-5.0f, 5.0f);
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    const float gust = rng.uniform(-p.weather_noise, p.weather_noise);
    const float power = clip(action[0], 0.0f, 1.0f);
    s.room = clip(s.room + p.leak * (s.weather - s.room) + p.heating * power, -60.0f, 120.0f);
    s.weather = clip(s.weather + 0.02f * (p.weather_mean - s.weather) + gust, -60.0f, 60.0f);
    const float error = s.room - kTarget;
    const float cost = error < 0.0f ? -error : error;
    return {-clip(cost, 0.0f, 10.0f), s.room < 0.0f ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = s.room;
    out[1] = s.weather;
  }

  // The power that reaches the target in one step, if any does.
  RM_HD static Action::Value expert(Strided<const float> o, const Params& p) {
    const float wanted = kTarget - o[0] - p.leak * (o[1] - o[0]);
    return {{clip(wanted / p.heating, 0.0f, 1.0f)}};
  }

  static void text(const State& s, const Params&, TextView& view) {
    view.resize(0, 0);
    view.line("room " + std::to_string(static_cast<int>(s.room)) + " C, outside " +
              std::to_string(static_cast<int>(s.weather)) + " C");
  }

  static void render(const State& s, const Params&, Canvas& canvas) {
    canvas.resize(120, 160);
    const auto height = [](float celsius) { return static_cast<int>(clip(celsius, 0, 40) * 3.5f); };
    canvas.fill({20, 150 - height(s.weather), 30, height(s.weather)}, palette::kSkyBlue);
    canvas.fill({70, 150 - height(s.room), 30, height(s.room)}, palette::kOrange);
    canvas.fill({10, 150 - height(kTarget), 100, 2}, palette::kInk);
  }
};

}  // namespace rollmill
