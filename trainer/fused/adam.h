// Adam (Kingma and Ba 2015) over flat storage, as torch.optim.Adam computes it: m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps).
#pragma once

#include <cmath>
#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"

namespace rollmill {

struct AdamStep {
  float beta1, beta2, epsilon;
  float step_size;   // lr / (1 - beta1^t)
  float inv_root_v;  // 1 / sqrt(1 - beta2^t)
  float gradient_scale;
};

// By squaring, not by libm: C libraries differ in pow's last bit, and ranks may have different ones.
RM_HD double integer_power(double base, std::int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

RM_HD AdamStep adam_step(float beta1, float beta2, float epsilon, double learning_rate,
                         std::int64_t t, float gradient_scale) {
  const double c1 = 1.0 - integer_power(static_cast<double>(beta1), t);
  const double c2 = 1.0 - integer_power(static_cast<double>(beta2), t);
  return {beta1,
          beta2,
          epsilon,
          static_cast<float>(learning_rate / c1),
          static_cast<float>(1.0 / sqrt(c2)),
          gradient_scale};
}

// What brings a gradient of this norm down to max_norm; 1 where it is below, or max_norm is 0.
RM_HD float clip_scale(float max_norm, double norm) {
  if (!(max_norm > 0.0f)) return 1.0f;
  const double scale = static_cast<double>(max_norm) / (norm + 1e-6);
  return scale < 1.0 ? static_cast<float>(scale) : 1.0f;
}

RM_HD void adam_element(const AdamStep& s, float gradient, float& param, float& m, float& v) {
  const float g = gradient * s.gradient_scale;
  m = s.beta1 * m + (1.0f - s.beta1) * g;
  v = s.beta2 * v + (1.0f - s.beta2) * (g * g);
  param -= s.step_size * m / (math::sqrt(v) * s.inv_root_v + s.epsilon);
}

// A target network's parameter after one step behind `param`.
RM_HD float tracked(float param, float tau, float target) {
  return tau == 1.0f ? param : target + tau * (param - target);
}

inline void adam_range(const AdamStep& s, const float* RM_RESTRICT gradient, std::int64_t begin,
                       std::int64_t end, float* RM_RESTRICT params, float* RM_RESTRICT m,
                       float* RM_RESTRICT v) {
  for (std::int64_t i = begin; i < end; ++i) {
    adam_element(s, gradient[i], params[i], m[i], v[i]);
  }
}

}  // namespace rollmill
