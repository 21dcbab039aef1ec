// What the oracle tests know of each task: magnitudes for error bounds, angles, and how far a state
// is from ending.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
#include "envs/classic/mountain_car.h"
#include "envs/classic/mountain_car_continuous.h"
#include "envs/classic/pendulum.h"

namespace rollmill::test {

inline constexpr double kUnit = 0x1p-24;  // largest relative error of one float32 rounding
inline constexpr double kTwoPi64 = 6.283185307179586476925286766559;

// For each task:
//   kRoundings    roundings on the longest chain of operations of a step, with the parameters'
//   kFloor        magnitude of each state component's roundings even where it is 0 itself:
//                 timestep times the largest single term of its derivative
//   kAngle        components known up to a turn
//   kTrigOf       the angle component under each sine or cosine of the observation
//   kRest         the state component that each further observation element is
//   margin(s)     positive where, and only where, the task ends; margin_error: its error, from
//                 the components' errors
template <class Env>
struct OracleEnv;

template <>
struct OracleEnv<CartPole> {
  static constexpr double kRoundings = 12;
  // cart: 10 N / 1.1 kg * 0.02 s; pole: that acceleration over 0.63 m
  static constexpr std::array<double, 4> kFloor = {0, 0.18, 0, 0.29};
  static constexpr std::array<bool, 4> kAngle = {false, false, false, false};
  static constexpr std::array<int, 0> kTrigOf = {};
  static constexpr std::array<int, 4> kRest = {0, 1, 2, 3};
  template <class S>
  static double margin(const S& s) {
    return std::max(std::abs(s[0]) - 2.4, std::abs(s[2]) - 12 * kTwoPi64 / 360);
  }
  template <class E>
  static double margin_error(const E& e) {
    return std::max(e[0] + 2.4 * kUnit, e[2] + 0.21 * kUnit);
  }
};

template <>
struct OracleEnv<Acrobot> {
  static constexpr double kRoundings = 12;
  // gravity: 0.2 s * 14.7 N m over an inertia of 0.57 to 2.5 kg m^2
  static constexpr std::array<double, 4> kFloor = {0, 0, 1.2, 5.2};
  static constexpr std::array<bool, 4> kAngle = {true, true, false, false};
  static constexpr std::array<int, 4> kTrigOf = {0, 0, 1, 1};
  static constexpr std::array<int, 2> kRest = {2, 3};
  template <class S>
  static double margin(const S& s) {
    return -std::cos(s[0]) - std::cos(s[0] + s[1]) - 1.0;
  }
  template <class E>
  static double margin_error(const E& e) {
    return 2 * e[0] + e[1] + 8 * kUnit;
  }
};

// The car's position and speed must both suffice; a recorded speed is never near 0 at the goal.
template <>
struct OracleEnv<MountainCar> {
  static constexpr double kRoundings = 6;
  static constexpr std::array<double, 2> kFloor = {0, 0.0035};
  static constexpr std::array<bool, 2> kAngle = {false, false};
  static constexpr std::array<int, 0> kTrigOf = {};
  static constexpr std::array<int, 2> kRest = {0, 1};
  template <class S>
  static double margin(const S& s) {
    return std::min(s[0] - 0.5, s[1]);
  }
  template <class E>
  static double margin_error(const E& e) {
    return e[0] + e[1];
  }
};

template <>
struct OracleEnv<MountainCarContinuous> {
  static constexpr double kRoundings = 6;
  static constexpr std::array<double, 2> kFloor = {0, 0.004};
  static constexpr std::array<bool, 2> kAngle = {false, false};
  static constexpr std::array<int, 0> kTrigOf = {};
  static constexpr std::array<int, 2> kRest = {0, 1};
  template <class S>
  static double margin(const S& s) {
    return std::min(s[0] - 0.45, s[1]);
  }
  template <class E>
  static double margin_error(const E& e) {
    return e[0] + e[1] + 0.45 * kUnit;
  }
};

template <>
struct OracleEnv<Pendulum> {
  static constexpr double kRoundings = 8;
  static constexpr std::array<double, 2> kFloor = {0, 0.75};  // 0.05 s * 15 / s^2
  static constexpr std::array<bool, 2> kAngle = {true, false};
  static constexpr std::array<int, 2> kTrigOf = {0, 0};
  static constexpr std::array<int, 1> kRest = {1};
  template <class S>
  static double margin(const S&) {
    return -1.0;
  }  // never ends by itself
  template <class E>
  static double margin_error(const E&) {
    return 0.0;
  }
};

}  // namespace rollmill::test
