// What the policy does to one number, for the CPU's loops (rollout/mlp/*.cc) and the CUDA kernels
// alike.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"

namespace rollmill {

RM_HD float normalize_observation(float x, float shift, float scale, float clip) {
  return math::clamp((x - shift) * scale, -clip, clip);
}

// a * b + c, rounded once.
RM_HD float fused_multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

// tanh as an activation, where it costs as much as the matrix products: an odd rational function in fused multiply-adds, fitted
// to the least relative error on [0, kTanhLimit] (tools/fit_tanh.py), 5.7 ulp in float32; math::tanh has 2 ulp at three times the
// cost. Within (-1, 1); NaN stays NaN. Kernels only: without FMA hardware it is slow.
inline constexpr float kTanhLimit = 7.9f;

// Of x within the limit: one number or, on the CPU, sixteen (rollout/mlp/dense.h). number(c): the constant c as such.
template <class Number, class Make>
RM_HD Number tanh_quotient(Number x, const Make& number) {
  const Number z = x * x;
  Number p = fused_multiply_add(z, number(0x1.090ceep-26f), number(0x1.717d1cp-16f));
  p = fused_multiply_add(z, p, number(0x1.d51b0ap-9f));
  p = fused_multiply_add(z, p, number(0x1.1377fep-3f));
  p = fused_multiply_add(z, p, number(1.0f));
  Number q = fused_multiply_add(z, number(0x1.cda4b8p-21f), number(0x1.66feeap-12f));
  q = fused_multiply_add(z, q, number(0x1.ad2234p-6f));
  q = fused_multiply_add(z, q, number(0x1.df1150p-2f));
  q = fused_multiply_add(z, q, number(1.0f));
  return x * p / q;
}
RM_HD float activation_tanh(float x) {
  return tanh_quotient(math::clamp(x, -kTanhLimit, kTanhLimit), [](float c) { return c; });
}

// 1 / (1 + exp(-x)), by the program's own tanh: no overflow, one function to keep exact.
RM_HD float sigmoid(float x) { return 0.5f * math::tanh(0.5f * x) + 0.5f; }

// One number of a GRU's next state (Cho et al. 2014, as torch.nn.GRU): r, z, n hold what the input says of the gates and become
// their values; ur, uz, un are what the state h says.
RM_HD float gru_next(float& r, float& z, float& n, float ur, float uz, float un, float h) {
  r = sigmoid(r + ur);
  z = sigmoid(z + uz);
  n = math::tanh(n + r * un);
  return (1.0f - z) * n + z * h;
}

// The same of a MinGRU (Feng et al. 2024).
RM_HD float min_gru_next(float& z, float n, float h) {
  z = sigmoid(z);
  return (1.0f - z) * h + z * n;
}

// The stream of a policy's draws for one environment's step.
RM_HD Rng action_rng(std::uint64_t seed, std::uint32_t environment, std::uint32_t episode,
                     std::uint32_t step) {
  return Rng(seed, Purpose::kAction, environment, episode, step);
}

// Discrete action columns take one word each of the stream, in order; real ones two each, after them.
RM_HD float action_uniform(Rng rng, int column) {
  for (int skip = 0; skip < column; ++skip) rng.bits();
  return rng.uniform();
}

// The normal draw of real action a, after `choices` discrete columns.
RM_HD float action_normal(Rng rng, int choices, int a) {
  for (int skip = 0; skip < choices + 2 * a; ++skip) rng.bits();
  return rng.normal();
}

// The stream after `choices` discrete columns, for real actions that take as many words as they need.
RM_HD Rng real_action_rng(Rng rng, int choices) {
  for (int skip = 0; skip < choices; ++skip) rng.bits();
  return rng;
}

// From the unbounded sample to the environment's bounds.
RM_HD float bound_action(float raw, float middle, float half_range, float low, float high) {
  return math::clamp(middle + half_range * raw, low, high);
}

}  // namespace rollmill
