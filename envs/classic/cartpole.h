// CartPole-v1: balance a pole on a cart by pushing left or right.
// Dynamics of Barto, Sutton and Anderson (1983) as integrated by Gymnasium's CartPoleEnv (explicit
// Euler, positions first); Gymnasium computes in float64, this in float32.
#pragma once

#include "core/math/math.h"
#include "envs/canvas.h"
#include "envs/env.h"

namespace rollmill {

struct CartPole {
  static constexpr EnvInfo info{
      "CartPole-v1",
      "Keep a pole upright on a cart by pushing the cart left or right.",
      500,
      1.0,
      1.0,
      475.0,
      {"pole_fell", "left_track"},
      "Barto, Sutton, Anderson 1983; Gymnasium gymnasium/envs/classic_control/cartpole.py"};

  struct Params {
    float gravity = 9.8f;
    float cart_mass = 1.0f;
    float pole_mass = 0.1f;
    float pole_half_length = 0.5f;
    float force = 10.0f;
    float timestep = 0.02f;
    float angle_limit = 0.20943951f;  // 12 degrees
    float position_limit = 2.4f;
    float reset_bound = 0.05f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"gravity", "m/s^2", 0, 100}, gravity);
      param(FieldInfo{"cart_mass", "kg", 0.01, 100}, cart_mass);
      param(FieldInfo{"pole_mass", "kg", 0.001, 100}, pole_mass);
      param(FieldInfo{"pole_half_length", "m", 0.01, 10}, pole_half_length);
      param(FieldInfo{"force", "N", 0, 1000}, force);
      param(FieldInfo{"timestep", "s", 0.0001, 0.1}, timestep);
      param(FieldInfo{"angle_limit", "rad", 0.001, 1.5, "the episode ends beyond it"}, angle_limit);
      param(FieldInfo{"position_limit", "m", 0.01, 100, "the episode ends beyond it"},
            position_limit);
      param(FieldInfo{"reset_bound", "m, m/s, rad, rad/s", 0, 1, "each state starts within +-this"},
            reset_bound);
    }
  };

  struct State {
    float x, x_dot, theta, theta_dot;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("x", x);
      field("x_dot", x_dot);
      field("theta", theta);
      field("theta_dot", theta_dot);
    }
  };

  using Observation = Box<4>;
  using Action = Discrete<2>;
  static constexpr const char* keys = "ad";  // of actions 0, 1, ... in `rollmill play`
  static constexpr FieldInfo observation_fields[] = {
      {"cart position", "m", -4.8, 4.8},
      {"cart velocity", "m/s", -3.4e38, 3.4e38},
      {"pole angle", "rad", -0.41887903, 0.41887903},
      {"pole angular velocity", "rad/s", -3.4e38, 3.4e38}};
  static constexpr FieldInfo action_fields[] = {{"push", "", 0, 1, "0 left, 1 right"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.x = rng.uniform(-p.reset_bound, p.reset_bound);
    s.x_dot = rng.uniform(-p.reset_bound, p.reset_bound);
    s.theta = rng.uniform(-p.reset_bound, p.reset_bound);
    s.theta_dot = rng.uniform(-p.reset_bound, p.reset_bound);
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    return advance(s, p, action, math::sincos_near(s.theta));
  }

  // Within the usual limit of 12 degrees, and far beyond: no quadrants.
  static constexpr int usual_lanes = 256;
  RM_HD static bool usual(const State& s, const Params&) { return math::abs(s.theta) < 0.78f; }
  RM_HD static Transition step_usual(State& s, const Params& p, Action::Value action, Rng&) {
    return advance(s, p, action, math::sincos_small(s.theta));
  }

  RM_HD static Transition advance(State& s, const Params& p, Action::Value action,
                                  const math::SinCos& angle) {
    const float force = action == 1 ? p.force : -p.force;
    // Gymnasium divides by the total mass three times; the same for all environments, its inverse is taken once.
    const float inverse_mass = 1.0f / (p.cart_mass + p.pole_mass);
    const float pole_moment = p.pole_mass * p.pole_half_length;
    const float push =
        (force + pole_moment * (s.theta_dot * s.theta_dot) * angle.sin) * inverse_mass;
    const float theta_acc =
        (p.gravity * angle.sin - angle.cos * push) /
        (p.pole_half_length * (4.0f / 3.0f) - pole_moment * inverse_mass * (angle.cos * angle.cos));
    const float x_acc = push - pole_moment * inverse_mass * (theta_acc * angle.cos);
    s.x += p.timestep * s.x_dot;
    s.x_dot += p.timestep * x_acc;
    s.theta += p.timestep * s.theta_dot;
    s.theta_dot += p.timestep * theta_acc;
    const std::uint32_t left = math::abs(s.x) > p.position_limit ? 2u : 0u;
    return {1.0f, math::abs(s.theta) > p.angle_limit ? 1u : left};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    out[0] = s.x;
    out[1] = s.x_dot;
    out[2] = s.theta;
    out[3] = s.theta_dot;
  }

  // Linear state feedback; the weights have the proportions of the discrete-time LQR gain at the upright position.
  RM_HD static Action::Value expert(Strided<const float> o, const Params&) {
    const float push = 1.0f * o[0] + 1.7f * o[1] + 26.0f * o[2] + 5.6f * o[3];
    return push > 0.0f ? 1 : 0;
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    canvas.resize(480, 220);
    const double scale = 200.0 / double{p.position_limit};  // pixels a metre
    const double track = 170, x = 240 + scale * double{s.x};
    const double length =
        double{math::clamp(static_cast<float>(scale) * 2.0f * p.pole_half_length, 20.0f, 130.0f)};
    const auto tip = [&](float angle, double reach) {
      const math::SinCos a = math::sincos(angle);
      return Point{x + reach * double{a.sin}, track - 18 - reach * double{a.cos}};
    };
    canvas.triangle({x, track - 18}, tip(-p.angle_limit, length + 12),
                    tip(p.angle_limit, length + 12), mix(palette::kPaper, palette::kGreen, 40));
    canvas.line({0, track}, {480, track}, palette::kGrey, 2);
    for (const double end : {40.0, 440.0}) {
      canvas.line({end, track - 14}, {end, track + 14}, palette::kVermillion, 3);
    }
    canvas.rod({x - 26, track - 12}, {x + 26, track - 12}, palette::kInk, 20);
    canvas.rod({x, track - 18}, tip(s.theta, length), palette::kOrange, 9);
    canvas.circle({x, track - 18}, 4, palette::kBlue);
  }
};

}  // namespace rollmill
