// Acrobot-v1: swing the tip of a two-link pendulum above a line, with a motor at the elbow only.
// Dynamics of Sutton and Barto's book (section 11.3 of the first edition) as integrated by
// Gymnasium's AcrobotEnv: one classical Runge-Kutta step over the whole timestep, angles wrapped,
// speeds bounded. Gymnasium computes in float64, this in float32. Its torque noise (0 by default)
// is not offered.
#pragma once

#include "core/math/math.h"
#include "envs/canvas.h"
#include "envs/classic/angle.h"
#include "envs/env.h"

namespace rollmill {

struct Acrobot {
  static constexpr EnvInfo info{
      "Acrobot-v1",
      "Swing a two-link pendulum's tip above a line by a torque at the elbow.",
      500,
      -1.0,
      0.0,
      -100.0,
      {"reached_goal"},
      "Sutton 1996; Sutton and Barto 1998; Gymnasium gymnasium/envs/classic_control/acrobot.py"};

  struct Params {
    float gravity = 9.8f;
    float link_length_1 = 1.0f;
    float link_mass_1 = 1.0f;
    float link_mass_2 = 1.0f;
    float link_com_1 = 0.5f;
    float link_com_2 = 0.5f;
    float link_inertia = 1.0f;
    float torque = 1.0f;
    float timestep = 0.2f;
    float max_speed_1 = 12.566371f;  // 4 pi
    float max_speed_2 = 28.274334f;  // 9 pi
    float goal_height = 1.0f;
    float reset_bound = 0.1f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"gravity", "m/s^2", 0, 100}, gravity);
      param(FieldInfo{"link_length_1", "m", 0.01, 10}, link_length_1);
      param(FieldInfo{"link_mass_1", "kg", 0.01, 100}, link_mass_1);
      param(FieldInfo{"link_mass_2", "kg", 0.01, 100}, link_mass_2);
      param(FieldInfo{"link_com_1", "m", 0, 10, "from the shoulder to link 1's centre of mass"},
            link_com_1);
      param(FieldInfo{"link_com_2", "m", 0, 10, "from the elbow to link 2's centre of mass"},
            link_com_2);
      param(FieldInfo{"link_inertia", "kg m^2", 0.01, 100, "of each link"}, link_inertia);
      param(FieldInfo{"torque", "N m", 0, 100}, torque);
      param(FieldInfo{"timestep", "s", 0.001, 0.5}, timestep);
      param(FieldInfo{"max_speed_1", "rad/s", 0.1, 100}, max_speed_1);
      param(FieldInfo{"max_speed_2", "rad/s", 0.1, 100}, max_speed_2);
      param(FieldInfo{"goal_height", "", -2, 2,
                      "of the tip over the shoulder, both links taken as 1"},
            goal_height);
      param(FieldInfo{"reset_bound", "rad, rad/s", 0, 3.14, "each state starts within +-this"},
            reset_bound);
    }
  };

  // theta1: link 1 from hanging down. theta2: link 2 relative to link 1.
  struct State {
    float theta1, theta2, theta1_dot, theta2_dot;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("theta1", theta1);
      field("theta2", theta2);
      field("theta1_dot", theta1_dot);
      field("theta2_dot", theta2_dot);
    }
  };

  using Observation = Box<6>;
  using Action = Discrete<3>;
  static constexpr const char* keys = "asd";  // of actions 0, 1, ... in `rollmill play`
  static constexpr FieldInfo observation_fields[] = {
      {"cos theta1", "", -1, 1},
      {"sin theta1", "", -1, 1},
      {"cos theta2", "", -1, 1},
      {"sin theta2", "", -1, 1},
      {"theta1 velocity", "rad/s", -12.566371, 12.566371},
      {"theta2 velocity", "rad/s", -28.274334, 28.274334}};
  static constexpr FieldInfo action_fields[] = {
      {"torque", "", 0, 2, "0 negative, 1 none, 2 positive"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.theta1 = rng.uniform(-p.reset_bound, p.reset_bound);
    s.theta2 = rng.uniform(-p.reset_bound, p.reset_bound);
    s.theta1_dot = rng.uniform(-p.reset_bound, p.reset_bound);
    s.theta2_dot = rng.uniform(-p.reset_bound, p.reset_bound);
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const float torque = static_cast<float>(action - 1) * p.torque;
    const float half = 0.5f * p.timestep;
    const State k1 = derivative(s, p, torque);
    const State k2 = derivative(advance(s, k1, half), p, torque);
    const State k3 = derivative(advance(s, k2, half), p, torque);
    const State k4 = derivative(advance(s, k3, p.timestep), p, torque);
    const float sixth = p.timestep / 6.0f;
    s.theta1 += sixth * (k1.theta1 + 2.0f * k2.theta1 + 2.0f * k3.theta1 + k4.theta1);
    s.theta2 += sixth * (k1.theta2 + 2.0f * k2.theta2 + 2.0f * k3.theta2 + k4.theta2);
    s.theta1_dot +=
        sixth * (k1.theta1_dot + 2.0f * k2.theta1_dot + 2.0f * k3.theta1_dot + k4.theta1_dot);
    s.theta2_dot +=
        sixth * (k1.theta2_dot + 2.0f * k2.theta2_dot + 2.0f * k3.theta2_dot + k4.theta2_dot);
    s.theta1 = wrap_angle(s.theta1);
    s.theta2 = wrap_angle(s.theta2);
    s.theta1_dot = math::clamp(s.theta1_dot, -p.max_speed_1, p.max_speed_1);
    s.theta2_dot = math::clamp(s.theta2_dot, -p.max_speed_2, p.max_speed_2);
    const math::SinCos a = math::sincos_near(s.theta1);
    const math::SinCos b = math::sincos_near(s.theta2);
    const float tip_height = -a.cos - (a.cos * b.cos - a.sin * b.sin);
    const bool reached = tip_height > p.goal_height;
    return {reached ? 0.0f : -1.0f, reached ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    const math::SinCos a = math::sincos_near(s.theta1);
    const math::SinCos b = math::sincos_near(s.theta2);
    out[0] = a.cos;
    out[1] = a.sin;
    out[2] = b.cos;
    out[3] = b.sin;
    out[4] = s.theta1_dot;
    out[5] = s.theta2_dot;
  }

  // Energy pumping: a torque at the elbow against the first link's swing drives that link on by reaction.
  RM_HD static Action::Value expert(Strided<const float> o, const Params&) {
    return o[4] < 0.0f ? 2 : 0;
  }

  // Both links as long as each other, as the goal's height takes them.
  static void render(const State& s, const Params& p, Canvas& canvas) {
    canvas.resize(300, 300);
    constexpr double kCenter = 150, kLink = 62;
    const math::SinCos a = math::sincos_near(s.theta1);
    const math::SinCos b = math::sincos_near(s.theta1 + s.theta2);
    const Point elbow = {kCenter + kLink * double{a.sin}, kCenter + kLink * double{a.cos}};
    const Point tip = {elbow.x + kLink * double{b.sin}, elbow.y + kLink * double{b.cos}};
    const double goal = kCenter - kLink * double{p.goal_height};
    for (int x = 10; x < 290; x += 12)
      canvas.line({double(x), goal}, {x + 7.0, goal}, palette::kGreen, 2);
    canvas.rod({kCenter, kCenter}, elbow, palette::kBlue, 14);
    canvas.rod(elbow, tip, palette::kSkyBlue, 14);
    canvas.circle({kCenter, kCenter}, 5, palette::kInk);
    canvas.circle(elbow, 5, palette::kOrange);
    canvas.circle(tip, 4, palette::kVermillion);
  }

 private:
  RM_HD static State advance(const State& s, const State& k, float dt) {
    return {s.theta1 + dt * k.theta1, s.theta2 + dt * k.theta2, s.theta1_dot + dt * k.theta1_dot,
            s.theta2_dot + dt * k.theta2_dot};
  }

  // Time derivative of the state. Gymnasium writes sin as cos of the angle minus pi/2, and takes
  // the sine of theta1 + theta2 where this uses the addition theorem: one sincos less in each of
  // the four stages.
  RM_HD static State derivative(const State& s, const Params& p, float torque) {
    const math::SinCos a = math::sincos_near(s.theta1);
    const math::SinCos b = math::sincos_near(s.theta2);
    const float sin_sum = a.sin * b.cos + a.cos * b.sin;
    const float com_2_squared = p.link_com_2 * p.link_com_2;
    const float coupling = p.link_mass_2 * p.link_length_1 * p.link_com_2;
    const float inertia_2 = p.link_mass_2 * com_2_squared + p.link_inertia;
    const float inertia_1 = p.link_mass_1 * (p.link_com_1 * p.link_com_1) + p.link_inertia +
                            p.link_mass_2 * (p.link_length_1 * p.link_length_1) + inertia_2;
    const float d1 = inertia_1 + 2.0f * coupling * b.cos;
    const float d2 = inertia_2 + coupling * b.cos;
    const float phi2 = p.link_mass_2 * p.link_com_2 * p.gravity * sin_sum;
    const float spin = coupling * b.sin;
    const float phi1 =
        (p.link_mass_1 * p.link_com_1 + p.link_mass_2 * p.link_length_1) * p.gravity * a.sin +
        phi2 - spin * s.theta2_dot * (s.theta2_dot + 2.0f * s.theta1_dot);
    // d1 a1 + d2 a2 = -phi1 and d2 a1 + inertia_2 a2 = drive, by Cramer's rule: one division. The determinant is positive,
    // for the link's own inertia is.
    const float drive = torque - spin * (s.theta1_dot * s.theta1_dot) - phi2;
    const float inverse = 1.0f / (d1 * inertia_2 - d2 * d2);
    const float acceleration_1 = (-inertia_2 * phi1 - d2 * drive) * inverse;
    const float acceleration_2 = (d1 * drive + d2 * phi1) * inverse;
    return {s.theta1_dot, s.theta2_dot, acceleration_1, acceleration_2};
  }
};

}  // namespace rollmill
