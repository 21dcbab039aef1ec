// Pendulum-v1: swing a pendulum up and hold it there with a torque too weak to lift it directly.
// As in Gymnasium's PendulumEnv (semi-implicit Euler), which computes in float64, this in float32.
#pragma once

#include "core/math/math.h"
#include "envs/canvas.h"
#include "envs/classic/angle.h"
#include "envs/env.h"

namespace rollmill {

struct Pendulum {
  // Reward: lowest is -(pi^2 + 0.1 * 8^2 + 0.001 * 2^2). Gymnasium states no score at which the
  // task is solved; -200 is our own figure (mean returns of published agents lie around -150).
  static constexpr EnvInfo info{"Pendulum-v1",
                                "Swing a pendulum up and hold it upright with a weak torque.",
                                200,
                                -16.2736044,
                                0.0,
                                -200.0,
                                {},
                                "Gymnasium gymnasium/envs/classic_control/pendulum.py; solved_at "
                                "is ours, there is no official figure"};

  struct Params {
    float gravity = 10.0f;
    float mass = 1.0f;
    float length = 1.0f;
    float max_torque = 2.0f;
    float max_speed = 8.0f;
    float timestep = 0.05f;
    float reset_angle = 3.1415927f;
    float reset_speed = 1.0f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"gravity", "m/s^2", 0, 100}, gravity);
      param(FieldInfo{"mass", "kg", 0.01, 100}, mass);
      param(FieldInfo{"length", "m", 0.01, 100}, length);
      param(FieldInfo{"max_torque", "N m", 0, 100}, max_torque);
      param(FieldInfo{"max_speed", "rad/s", 0.1, 100}, max_speed);
      param(FieldInfo{"timestep", "s", 0.0001, 0.2}, timestep);
      param(FieldInfo{"reset_angle", "rad", 0, 3.1415928, "the angle starts within +-this"},
            reset_angle);
      param(FieldInfo{"reset_speed", "rad/s", 0, 100, "the speed starts within +-this"},
            reset_speed);
    }
  };

  // theta: 0 is upright. Gymnasium lets it grow; here each step starts from the angle within one
  // turn, which is the same pendulum and keeps float32's precision however long it spins: |theta|
  // <= pi + timestep * max_speed.
  struct State {
    float theta, theta_dot;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("theta", theta);
      field("theta_dot", theta_dot);
    }
  };

  using Observation = Box<3>;
  using Action = Box<1>;
  static constexpr FieldInfo observation_fields[] = {
      {"cos theta", "", -1, 1}, {"sin theta", "", -1, 1}, {"angular velocity", "rad/s", -8, 8}};
  static constexpr FieldInfo action_fields[] = {{"torque", "N m", -2, 2, "clipped to its range"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.theta = rng.uniform(-p.reset_angle, p.reset_angle);
    s.theta_dot = rng.uniform(-p.reset_speed, p.reset_speed);
  }

  // The reward is that of the state before the step.
  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const float torque = math::clamp(action[0], -p.max_torque, p.max_torque);
    const float theta = wrap_angle(s.theta);
    const float cost =
        theta * theta + 0.1f * (s.theta_dot * s.theta_dot) + 0.001f * (torque * torque);
    const float weight = 3.0f * p.gravity / (2.0f * p.length);
    const float lever = 3.0f / (p.mass * (p.length * p.length));
    const float acceleration = weight * math::sincos_near(theta).sin + lever * torque;
    s.theta_dot = math::clamp(s.theta_dot + acceleration * p.timestep, -p.max_speed, p.max_speed);
    s.theta = theta + s.theta_dot * p.timestep;
    return {-cost, 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    const math::SinCos angle = math::sincos_near(s.theta);
    out[0] = angle.cos;
    out[1] = angle.sin;
    out[2] = s.theta_dot;
  }

  // Energy shaping (Astrom and Furuta 2000) far from upright, proportional-derivative control near it.
  RM_HD static Action::Value expert(Strided<const float> o, const Params& p) {
    const float theta = math::atan2(o[1], o[0]);
    const float inertia = p.mass * p.length * p.length / 3.0f;
    const float energy =
        0.5f * inertia * (o[2] * o[2]) + 0.5f * p.mass * p.gravity * p.length * (o[0] - 1.0f);
    const float pump = energy < 0.0f ? (o[2] < 0.0f ? -p.max_torque : p.max_torque) : 0.0f;
    const float hold = -(10.0f * theta + 2.0f * o[2]);
    const float torque = o[0] > 0.9f ? hold : pump;
    // (A stronger motor does not widen the action space.)
    const float bound = p.max_torque < 2.0f ? p.max_torque : 2.0f;
    return {{math::clamp(torque, -bound, bound)}};
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    canvas.resize(260, 260);
    constexpr double kCenter = 130, kReach = 96;
    const math::SinCos a = math::sincos_near(s.theta);
    canvas.ring({kCenter, kCenter}, kReach + 12, palette::kPaleGrey, 2);
    canvas.triangle({kCenter, 18}, {kCenter - 8, 4}, {kCenter + 8, 4}, palette::kGreen);
    const Point tip = {kCenter - kReach * double{a.sin}, kCenter - kReach * double{a.cos}};
    canvas.rod({kCenter, kCenter}, tip, palette::kVermillion, 18);
    canvas.circle({kCenter, kCenter}, 5, palette::kInk);
    // Angular velocity as a tangent at the tip.
    const double pace = 50 * double{s.theta_dot} / double{p.max_speed};
    canvas.line(tip, {tip.x - pace * double{a.cos}, tip.y + pace * double{a.sin}}, palette::kBlue,
                4);
  }
};

}  // namespace rollmill
