// The Beta distribution of real actions (Chou, Maturana and Scherer 2017): x in (0, 1), which is then scaled to the action's
// range, with shapes 1 + softplus of two outputs of the network, so that the density has one peak and no pole. Nothing lies
// outside the bounds, and nothing has to be clamped to them.
//
// Densities are written around x = shape / sum, so that large shapes cost little accuracy, and Stirling's formulas need only
// their corrections, polynomials in 1 / shape (tools/fit_stirling.py).
#pragma once

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/layout.h"

namespace rollmill {

// A sample is kept this far from the ends, where a density may be 0 and its logarithm infinite.
inline constexpr float kBetaEdge = 0x1p-24f;
// Shapes beyond it are cut off and get no gradient: the standard deviation is 0.004 of the range by then.
inline constexpr float kMaxBetaShape = 1e4f;

RM_HD float beta_shape(float output) {
  const float softplus = math::max(output, 0.0f) + math::log(1.0f + math::exp(-math::abs(output)));
  return 1.0f + math::min(softplus, kMaxBetaShape);
}
// d beta_shape / d output.
RM_HD float beta_shape_slope(float output) {
  return output > kMaxBetaShape ? 0.0f : 1.0f / (1.0f + math::exp(-output));
}

namespace internal {
RM_HD float polynomial6(float w, float c0, float c1, float c2, float c3, float c4, float c5,
                        float c6) {
  return (((((c6 * w + c5) * w + c4) * w + c3) * w + c2) * w + c1) * w + c0;
}
}  // namespace internal

// Of w = 1 / z, z >= 1:
//   log gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + log_gamma_rest(w)
//   digamma(z)   = log z - digamma_rest(w)
//   trigamma(z)  = w + trigamma_rest(w)
RM_HD float log_gamma_rest(float w) {
  return w * internal::polynomial6(w, 0x1.555554p-4f, -0x1.534b02p-24f, -0x1.6b8312p-9f,
                                   -0x1.a785a0p-15f, 0x1.11de0ap-10f, -0x1.4a2c04p-11f,
                                   0x1.1f8c6cp-13f);
}
RM_HD float digamma_rest(float w) {
  return w * (0.5f + w * internal::polynomial6(w, 0x1.55554cp-4f, 0x1.38dce4p-19f, -0x1.11a158p-7f,
                                               -0x1.0b0876p-14f, 0x1.439b60p-8f, -0x1.cb93a4p-9f,
                                               0x1.c44fc8p-11f));
}
RM_HD float trigamma_rest(float w) {
  return w * w *
         (0.5f + w * internal::polynomial6(w, 0x1.555520p-3f, 0x1.0df874p-15f, -0x1.144502p-5f,
                                           0x1.384daep-10f, 0x1.b13590p-6f, -0x1.5f9b82p-6f,
                                           0x1.7b596ep-8f));
}

// What the density, its derivatives and the entropy of one row share.
struct BetaTerms {
  float a, b;          // the shapes
  float wa, wb, ws;    // 1 / a, 1 / b, 1 / (a + b)
  float log_a, log_b;  // log(a / (a + b)), log(b / (a + b))
  float log_sum;       // log(a + b)
};
RM_HD BetaTerms beta_terms(float a, float b) {
  const float s = a + b, ws = 1.0f / s;
  return {a, b, 1.0f / a, 1.0f / b, ws, math::log(a * ws), math::log(b * ws), math::log(s)};
}
// log B(a, b) less a log_a + b log_b.
RM_HD float beta_log_norm(const BetaTerms& t) {
  const float rest = log_gamma_rest(t.wa) + log_gamma_rest(t.wb) - log_gamma_rest(t.ws);
  return 0.91893853f - 0.5f * (t.log_a + t.log_b + t.log_sum) + rest;
}
// digamma(a) - digamma(a + b), of the shape whose inverse is w and whose logarithm is log_part.
RM_HD float digamma_difference(const BetaTerms& t, float w, float log_part) {
  return log_part - (digamma_rest(w) - digamma_rest(t.ws));
}

// Log-density of 2 x - 1 in [-1, 1], as all our distributions of real actions have it.
RM_HD float beta_logp(const BetaTerms& t, float x) {
  const float log_x = math::log(x), log_rest = math::log(1.0f - x);
  return t.a * (log_x - t.log_a) + t.b * (log_rest - t.log_b) - log_x - log_rest -
         beta_log_norm(t) - 0.69314718f;
}
RM_HD float beta_entropy(const BetaTerms& t) {
  const float ea = digamma_difference(t, t.wa, 0.0f), eb = digamma_difference(t, t.wb, 0.0f);
  return t.log_a + t.log_b + beta_log_norm(t) - (t.a - 1.0f) * ea - (t.b - 1.0f) * eb + 0.69314718f;
}
// d logp / d a.
RM_HD float beta_logp_slope(const BetaTerms& t, float log_x, float w, float log_part) {
  return log_x - digamma_difference(t, w, log_part);
}
// d entropy / d shape: (a + b - 2) trigamma(a + b) - (shape - 1) trigamma(shape), its leading ones cancelled by hand.
RM_HD float beta_entropy_slope(const BetaTerms& t, float shape, float w) {
  const float sum = t.a + t.b;
  return w - (shape - 1.0f) * trigamma_rest(w) - 2.0f * t.ws + (sum - 2.0f) * trigamma_rest(t.ws);
}

// Gamma of a shape >= 1 by rejection (Marsaglia and Tsang 2000): 95 % of the first tries stand. A NaN ends the tries.
RM_HD float sample_gamma(float shape, Rng& rng) {
  const float d = shape - 1.0f / 3.0f, c = 1.0f / math::sqrt(9.0f * d);
  float v = 1.0f;
  for (int tries = 0; tries < 64; ++tries) {
    const float x = rng.normal();
    const float u = rng.uniform() + 0x1p-25f;
    const float root = 1.0f + c * x;
    v = root * root * root;
    if (root > 0.0f && math::log(u) < 0.5f * x * x + d - d * v + d * math::log(v)) break;
    if (!(d * v == d * v)) break;
  }
  return d * v;
}
RM_HD float bound_beta(float x) { return math::clamp(x, kBetaEdge, 1.0f - kBetaEdge); }
RM_HD float sample_beta(float a, float b, Rng& rng) {
  const float first = sample_gamma(a, rng), second = sample_gamma(b, rng);
  return bound_beta(first / (first + second));
}
RM_HD float beta_mean(float a, float b) { return bound_beta(a / (a + b)); }

// Log-density of one dimension, added to logp; x, and the two outputs of the network for each row, [kTile].
template <int kTile>
RM_HD_NOINLINE void add_beta_logp(const float* RM_RESTRICT x, const float* RM_RESTRICT first,
                                  const float* RM_RESTRICT second, int rows,
                                  float* RM_RESTRICT logp) {
  for (int r = 0; r < rows; ++r)
    logp[r] += beta_logp(beta_terms(beta_shape(first[r]), beta_shape(second[r])), x[r]);
}

}  // namespace rollmill
