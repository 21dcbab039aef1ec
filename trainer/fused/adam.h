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
inline double integer_power(double base, std::int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

inline AdamStep adam_step(float beta1, float beta2, float epsilon, double learning_rate,
                          std::int64_t t, float gradient_scale) {
  const double c1 = 1.0 - integer_power(static_cast<double>(beta1), t);
  const double c2 = 1.0 - integer_power(static_cast<double>(beta2), t);
  return {beta1,
          beta2,
          epsilon,
          static_cast<float>(learning_rate / c1),
          static_cast<float>(1.0 / std::sqrt(c2)),
          gradient_scale};
}

inline void adam_range(const AdamStep& s, const float* RM_RESTRICT gradient, std::int64_t begin,
                       std::int64_t end, float* RM_RESTRICT params, float* RM_RESTRICT m,
                       float* RM_RESTRICT v) {
  for (std::int64_t i = begin; i < end; ++i) {
    const float g = gradient[i] * s.gradient_scale;
    m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * g;
    v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * (g * g);
    params[i] -= s.step_size * m[i] / (math::sqrt(v[i]) * s.inv_root_v + s.epsilon);
  }
}

}  // namespace rollmill
