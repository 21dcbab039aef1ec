// MountainCarContinuous-v0: the mountain car with a real-valued force and a price on using it. As
// in Gymnasium's Continuous_MountainCarEnv, which keeps its state in float32 too. As there, the
// force is clipped to [-1, 1] but the price is that of the action as given.
#pragma once

#include "core/math/math.h"
#include "envs/classic/draw_hill.h"
#include "envs/env.h"

namespace rollmill {

struct MountainCarContinuous {
  static constexpr EnvInfo info{
      "MountainCarContinuous-v0",
      "Drive an underpowered car up a hill by rocking it, with as little force as it takes.",
      999,
      -0.1,
      100.0,
      90.0,
      {"reached_goal"},
      "Moore 1990; Gymnasium gymnasium/envs/classic_control/continuous_mountain_car.py"};

  // Lengths, times and masses of this task carry no units: a step is one unit of time.
  struct Params {
    float power = 0.0015f;
    float gravity = 0.0025f;
    float max_speed = 0.07f;
    float min_position = -1.2f;
    float max_position = 0.6f;
    float goal_position = 0.45f;
    float goal_velocity = 0.0f;
    float goal_reward = 100.0f;
    float action_cost = 0.1f;
    float reset_low = -0.6f;
    float reset_high = -0.4f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"power", "1/step^2", 0, 1, "acceleration at action 1"}, power);
      param(FieldInfo{"gravity", "1/step^2", 0, 1}, gravity);
      param(FieldInfo{"max_speed", "1/step", 0.0001, 10}, max_speed);
      param(FieldInfo{"min_position", "", -10, 0, "an inelastic wall"}, min_position);
      param(FieldInfo{"max_position", "", -10, 10}, max_position);
      param(FieldInfo{"goal_position", "", -10, 10, "the episode ends from it on"}, goal_position);
      param(FieldInfo{"goal_velocity", "1/step", -10, 10, "needed at the goal"}, goal_velocity);
      param(FieldInfo{"goal_reward", "", 0, 1e6}, goal_reward);
      param(FieldInfo{"action_cost", "", 0, 1e6, "reward lost per squared action"}, action_cost);
      param(FieldInfo{"reset_low", "", -10, 10, "lowest position at the start"}, reset_low);
      param(FieldInfo{"reset_high", "", -10, 10, "highest position at the start"}, reset_high);
    }
  };

  struct State {
    float position, velocity;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("position", position);
      field("velocity", velocity);
    }
  };

  using Observation = Box<2>;
  using Action = Box<1>;
  static constexpr FieldInfo observation_fields[] = {{"car position", "", -1.2, 0.6},
                                                     {"car velocity", "1/step", -0.07, 0.07}};
  static constexpr FieldInfo action_fields[] = {{"force", "", -1, 1, "clipped to its range"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.position = rng.uniform(p.reset_low, p.reset_high);
    s.velocity = 0.0f;
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const float force = math::clamp(action[0], -1.0f, 1.0f);
    const float slope = math::sincos_near(3.0f * s.position).cos;
    const float faster = s.velocity + (force * p.power - p.gravity * slope);
    const float velocity = math::clamp(faster, -p.max_speed, p.max_speed);
    s.position = math::clamp(s.position + velocity, p.min_position, p.max_position);
    const bool stopped = s.position == p.min_position && velocity < 0.0f;
    s.velocity = stopped ? 0.0f : velocity;
    const bool reached = s.position >= p.goal_position && s.velocity >= p.goal_velocity;
    const float prize = reached ? p.goal_reward : 0.0f;
    return {prize - p.action_cost * (action[0] * action[0]), reached ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = s.position;
    out[1] = s.velocity;
  }

  // Energy pumping: push the way the car moves.
  RM_HD static Action::Value expert(Strided<const float> o, const Params&) {
    return {{o[1] < 0.0f ? -1.0f : 1.0f}};
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    draw_hill_and_car(canvas, p.min_position, p.max_position, p.goal_position, s.position,
                      s.velocity, p.max_speed);
  }
};

}  // namespace rollmill
