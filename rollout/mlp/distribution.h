// Action distributions on columns of a tile: parameters, actions and log-probabilities of row r at [a * kTile + r].
// Loops run over rows inside, so that they vectorise; each row alone, in a fixed order of actions. The CPU works on
// tiles of kTileRows; a CUDA thread has a tile of one row (kTile = 1), and so the same bits from the same text.
#pragma once

#include "core/base/macros.h"
#include "core/math/math.h"
#include "rollout/mlp/forward.h"

namespace rollmill {

inline constexpr float kHalfLog2Pi = 0.91893853f;

// Logit and log-probability of a choice that is not allowed: its probability is exp of it, exactly 0, and no finite logit
// changes it.
inline constexpr float kExcluded = -1e30f;

// Excludes those of the choices [first, first + choices) that a row's action mask does not allow; log_softmax then gives the
// distribution over the others, as if those were not there. mask [words][kTile], bit b of the mask is bit b % 32 of word
// b / 32; z [choices][kTile]. An empty mask, which no environment may give, allows everything.
template <int kTile = kTileRows>
RM_HD_NOINLINE void exclude_masked(float* RM_RESTRICT z, const Word* RM_RESTRICT mask, int first,
                                   int choices, int rows) {
  std::uint32_t any[kTile];
  for (int r = 0; r < rows; ++r) any[r] = 0;
  for (int a = 0; a < choices; ++a) {
    const int word = (first + a) / 32, bit = (first + a) % 32;
    for (int r = 0; r < rows; ++r) any[r] |= (mask[word * kTile + r] >> bit) & 1u;
  }
  for (int a = 0; a < choices; ++a) {
    const int word = (first + a) / 32, bit = (first + a) % 32;
    for (int r = 0; r < rows; ++r) {
      const std::uint32_t allowed = ((mask[word * kTile + r] >> bit) & 1u) | (any[r] ^ 1u);
      z[a * kTile + r] = allowed != 0 ? z[a * kTile + r] : kExcluded;
    }
  }
}

// logits -> log-probabilities in place; z [choices][kTile].
template <int kTile = kTileRows>
RM_HD_NOINLINE void log_softmax(float* RM_RESTRICT z, int choices, int rows) {
  float top[kTile], sum[kTile];
  for (int r = 0; r < rows; ++r) top[r] = z[r];
  for (int a = 1; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) top[r] = math::max(top[r], z[a * kTile + r]);
  }
  for (int r = 0; r < rows; ++r) sum[r] = 0.0f;
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) sum[r] += math::exp(z[a * kTile + r] - top[r]);
  }
  for (int r = 0; r < rows; ++r) sum[r] = top[r] + math::log(sum[r]);
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) z[a * kTile + r] -= sum[r];
  }
}

// Inverse-CDF sampling from log-probabilities with one uniform per row: the first action whose cumulative
// probability exceeds u (the last one takes what rounding leaves over).
template <int kTile = kTileRows>
RM_HD_NOINLINE void sample_categorical(const float* RM_RESTRICT logp, const float* RM_RESTRICT u,
                                       int choices, int rows, std::int32_t* RM_RESTRICT action) {
  float cumulative[kTile];
  for (int r = 0; r < rows; ++r) {
    cumulative[r] = 0.0f;
    action[r] = 0;
  }
  for (int a = 0; a + 1 < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      cumulative[r] += math::exp(logp[a * kTile + r]);
      action[r] += cumulative[r] <= u[r] ? 1 : 0;
    }
  }
}

// After sample_categorical with excluded choices: what rounding left over goes to the last allowed one. (A choice of
// probability 0 before that is never drawn: it does not raise the cumulative probability.)
template <int kTile = kTileRows>
RM_HD_NOINLINE void keep_allowed(const float* RM_RESTRICT logp, int choices, int rows,
                                 std::int32_t* RM_RESTRICT action) {
  std::int32_t last[kTile];
  for (int r = 0; r < rows; ++r) last[r] = 0;
  for (int a = 1; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) last[r] = logp[a * kTile + r] > kExcluded ? a : last[r];
  }
  for (int r = 0; r < rows; ++r) action[r] = action[r] < last[r] ? action[r] : last[r];
}

// The most probable action; the lowest index among equals.
template <int kTile = kTileRows>
RM_HD_NOINLINE void argmax_categorical(const float* RM_RESTRICT logp, int choices, int rows,
                                       std::int32_t* RM_RESTRICT action) {
  float top[kTile];
  for (int r = 0; r < rows; ++r) {
    top[r] = logp[r];
    action[r] = 0;
  }
  for (int a = 1; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      const bool better = logp[a * kTile + r] > top[r];
      action[r] = better ? a : action[r];
      top[r] = better ? logp[a * kTile + r] : top[r];
    }
  }
}

// Bounds of a log standard deviation that a network gives (as in the reference implementations of SAC).
inline constexpr float kMinLogStd = -20.0f, kMaxLogStd = 2.0f;

RM_HD float bound_log_std(float log_std) { return math::clamp(log_std, kMinLogStd, kMaxLogStd); }

// log(1 - tanh(u)^2) = 2 (log 2 - |u| - log(1 + exp(-2 |u|))): no difference of almost equal numbers, no overflow.
RM_HD float log_tanh_slope(float u) {
  const float size = math::abs(u);
  return 2.0f * (0.69314718f - size - math::log(1.0f + math::exp(-2.0f * size)));
}

// Log-density of tanh(raw) of one dimension, raw from a Gaussian of each row's own log standard deviation (not yet bounded),
// added to logp (Haarnoja et al. 2018, appendix C).
template <int kTile = kTileRows>
RM_HD_NOINLINE void add_squashed_logp(const float* RM_RESTRICT raw, const float* RM_RESTRICT mean,
                                      const float* RM_RESTRICT log_std, int rows,
                                      float* RM_RESTRICT logp) {
  for (int r = 0; r < rows; ++r) {
    const float bounded = bound_log_std(log_std[r]);
    const float z = (raw[r] - mean[r]) * math::exp(-bounded);
    logp[r] += -0.5f * z * z - bounded - kHalfLog2Pi - log_tanh_slope(raw[r]);
  }
}

// Log-density of one dimension of a diagonal Gaussian, added to logp.
template <int kTile = kTileRows>
RM_HD_NOINLINE void add_gaussian_logp(const float* RM_RESTRICT raw, const float* RM_RESTRICT mean,
                                      float log_std, int rows, float* RM_RESTRICT logp) {
  const float inv_std = math::exp(-log_std);
  for (int r = 0; r < rows; ++r) {
    const float z = (raw[r] - mean[r]) * inv_std;
    logp[r] += -0.5f * z * z - log_std - kHalfLog2Pi;
  }
}

}  // namespace rollmill
