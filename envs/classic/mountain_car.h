// MountainCar-v0: an underpowered car must gain height on the opposite slope before it can climb a
// hill. Dynamics of Moore (1990) as in Gymnasium's MountainCarEnv, which computes in float64, this
// in float32.
#pragma once

#include "core/math/math.h"
#include "envs/classic/draw_hill.h"
#include "envs/env.h"

namespace rollmill {

struct MountainCar {
  static constexpr EnvInfo info{"MountainCar-v0",
                                "Drive an underpowered car up a hill by rocking it back and forth.",
                                200,
                                -1.0,
                                -1.0,
                                -110.0,
                                {"reached_goal"},
                                "Moore 1990; Sutton and Barto 1998; Gymnasium "
                                "gymnasium/envs/classic_control/mountain_car.py"};

  // Lengths, times and masses of this task carry no units: a step is one unit of time.
  struct Params {
    float force = 0.001f;
    float gravity = 0.0025f;
    float max_speed = 0.07f;
    float min_position = -1.2f;
    float max_position = 0.6f;
    float goal_position = 0.5f;
    float goal_velocity = 0.0f;
    float reset_low = -0.6f;
    float reset_high = -0.4f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"force", "1/step^2", 0, 1}, force);
      param(FieldInfo{"gravity", "1/step^2", 0, 1}, gravity);
      param(FieldInfo{"max_speed", "1/step", 0.0001, 10}, max_speed);
      param(FieldInfo{"min_position", "", -10, 0, "an inelastic wall"}, min_position);
      param(FieldInfo{"max_position", "", -10, 10}, max_position);
      param(FieldInfo{"goal_position", "", -10, 10, "the episode ends from it on"}, goal_position);
      param(FieldInfo{"goal_velocity", "1/step", -10, 10, "needed at the goal"}, goal_velocity);
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
  using Action = Discrete<3>;
  static constexpr const char* keys = "asd";  // of actions 0, 1, ... in `rollmill play`
  static constexpr FieldInfo observation_fields[] = {{"car position", "", -1.2, 0.6},
                                                     {"car velocity", "1/step", -0.07, 0.07}};
  static constexpr FieldInfo action_fields[] = {{"push", "", 0, 2, "0 left, 1 none, 2 right"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.position = rng.uniform(p.reset_low, p.reset_high);
    s.velocity = 0.0f;
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const float push = static_cast<float>(action - 1) * p.force;
    const float slope = math::sincos_near(3.0f * s.position).cos;
    const float faster = s.velocity + (push - p.gravity * slope);
    const float velocity = math::clamp(faster, -p.max_speed, p.max_speed);
    s.position = math::clamp(s.position + velocity, p.min_position, p.max_position);
    const bool stopped = s.position == p.min_position && velocity < 0.0f;
    s.velocity = stopped ? 0.0f : velocity;
    const bool reached = s.position >= p.goal_position && s.velocity >= p.goal_velocity;
    return {-1.0f, reached ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = s.position;
    out[1] = s.velocity;
  }

  // Energy pumping: push the way the car moves.
  RM_HD static Action::Value expert(Strided<const float> o, const Params&) {
    return o[1] < 0.0f ? 0 : 2;
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    draw_hill_and_car(canvas, p.min_position, p.max_position, p.goal_position, s.position,
                      s.velocity, p.max_speed);
  }
};

}  // namespace rollmill
