// PPO's loss of one tile of rows and its derivatives by the network's outputs, written out by hand: columns of rows, so
// that the loops vectorise. trainer/torch/torch_learner.cc is the same in autograd; a test holds them together.
#pragma once

#include <cstdint>
#include <vector>

#include "rollout/mlp/beta.h"
#include "rollout/mlp/distribution.h"
#include "trainer/ppo_options.h"

namespace rollmill {

// Sums over rows, in float64; a shard's rows are added in row order.
struct LossSums {
  double policy = 0, value = 0, entropy = 0, kl = 0, clipped = 0, ratio_error = 0;
  void add(const LossSums& o) {
    policy += o.policy;
    value += o.value;
    entropy += o.entropy;
    kl += o.kl;
    clipped += o.clipped;
    if (!(o.ratio_error <= ratio_error)) ratio_error = o.ratio_error;  // a NaN is kept
  }
};

// What a minibatch row brings along; columns of one tile.
struct TileRows {
  explicit TileRows(const PolicyShape& shape)
      : choices(shape.choices.size() * kTileRows),
        raw(static_cast<std::size_t>(shape.reals) * kTileRows),
        masks(static_cast<std::size_t>((shape.total_choices() + 31) / 32) * kTileRows) {}
  AlignedVector<std::int32_t> choices;  // [discrete columns][kTileRows] taken
  AlignedVector<float> raw;             // [real columns][kTileRows] samples
  std::vector<std::uint32_t> masks;     // [mask columns][kTileRows] what was allowed
  bool masked = false;
  alignas(kColumnAlignment) float old_logp[kTileRows], advantage[kTileRows], target[kTileRows],
      old_value[kTileRows];
};

// d loss / d logp of each row, and the policy's part of the sums. inv_n = 1 / rows of the whole minibatch.
inline void policy_gradient_rows(const PpoOptions& o, const TileRows& tile,
                                 const float* RM_RESTRICT logp, int rows, float inv_n,
                                 float* RM_RESTRICT dlogp, LossSums& sums) {
  if (o.objective != Objective::kPpo) {
    const bool weighted = o.objective == Objective::kImitateWeighted;
    for (int r = 0; r < rows; ++r) dlogp[r] = -inv_n * (weighted ? tile.advantage[r] : 1.0f);
    for (int r = 0; r < rows; ++r)
      sums.policy -= static_cast<double>(logp[r] * (weighted ? tile.advantage[r] : 1.0f));
    return;
  }
  float policy[kTileRows], kl[kTileRows], clipped[kTileRows], error[kTileRows];
  for (int r = 0; r < rows; ++r) {
    const float log_ratio = logp[r] - tile.old_logp[r];
    const float ratio = math::exp(log_ratio);
    const float a = tile.advantage[r];
    const float plain = ratio * a;
    const float bounded = math::clamp(ratio, 1.0f - o.clip, 1.0f + o.clip) * a;
    policy[r] = -math::min(plain, bounded);
    // The clipped branch is constant in the weights: no gradient where it is the smaller one.
    dlogp[r] = plain <= bounded ? -inv_n * plain : 0.0f;
    kl[r] = (ratio - 1.0f) - log_ratio;
    const float away = math::abs(ratio - 1.0f);
    clipped[r] = away > o.clip ? 1.0f : 0.0f;
    error[r] = away;
  }
  for (int r = 0; r < rows; ++r) {
    sums.policy += static_cast<double>(policy[r]);
    sums.kl += static_cast<double>(kl[r]);
    sums.clipped += static_cast<double>(clipped[r]);
    // Written so that a NaN is kept.
    if (!(static_cast<double>(error[r]) <= sums.ratio_error))
      sums.ratio_error = static_cast<double>(error[r]);
  }
}

// One discrete column. z: logits in, log-probabilities out; p: probabilities; the taken action's log-probability is added to
// logp. z and p [choices][kTileRows]; entropy [kTileRows] is this column's.
inline void categorical_forward(const std::int32_t* RM_RESTRICT taken, float* RM_RESTRICT z,
                                int choices, int rows, float* RM_RESTRICT p,
                                float* RM_RESTRICT logp, float* RM_RESTRICT entropy) {
  float column_logp[kTileRows] = {};
  log_softmax(z, choices, rows);
  for (int r = 0; r < rows; ++r) entropy[r] = 0.0f;
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      const float l = z[a * kTileRows + r];
      const float probability = math::exp(l);
      p[a * kTileRows + r] = probability;
      entropy[r] -= probability * l;  // of an excluded choice: 0 times a finite number
      column_logp[r] = taken[r] == a ? l : column_logp[r];
    }
  }
  for (int r = 0; r < rows; ++r) logp[r] += column_logp[r];
}

// dz: probabilities in, d loss / d logits out.
inline void categorical_backward(const std::int32_t* RM_RESTRICT taken, const float* RM_RESTRICT z,
                                 const float* RM_RESTRICT entropy, const float* RM_RESTRICT dlogp,
                                 float entropy_scale, int choices, int rows,
                                 float* RM_RESTRICT dz) {
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      const float p = dz[a * kTileRows + r];
      const float here = taken[r] == a ? 1.0f : 0.0f;
      dz[a * kTileRows + r] =
          dlogp[r] * (here - p) + entropy_scale * p * (z[a * kTileRows + r] + entropy[r]);
    }
  }
}

// Real columns. mean and raw: [dims][kTileRows]; dmean likewise; dlog_std [dims] accumulates.
inline void gaussian_backward(const PpoOptions& o, const float* mean, const float* raw,
                              const float* log_std, const float* dlogp, int dims, int rows,
                              float inv_n, float* dmean, float* dlog_std) {
  for (int a = 0; a < dims; ++a) {
    const float inv_std = math::exp(-log_std[a]);
    float by_std = 0.0f;
    for (int r = 0; r < rows; ++r) {
      const float z = (raw[a * kTileRows + r] - mean[a * kTileRows + r]) * inv_std;
      dmean[a * kTileRows + r] = dlogp[r] * z * inv_std;
      by_std += dlogp[r] * (z * z - 1.0f) - o.entropy_coefficient * inv_n;
    }
    dlog_std[a] += by_std;
  }
}

// Real columns of a squashed Gaussian. mean, log_std and raw [dims][kTileRows], dmean and dlog_std likewise. tanh's slope is a
// constant of the sample; the entropy is the Gaussian's, since that of its tanh has no closed form.
inline void squashed_backward(const PpoOptions& o, const float* mean, const float* log_std,
                              const float* raw, const float* dlogp, int dims, int rows, float inv_n,
                              float* dmean, float* dlog_std, LossSums& sums) {
  for (int a = 0; a < dims; ++a) {
    float entropy[kTileRows];
    for (int r = 0; r < rows; ++r) {
      const int at = a * kTileRows + r;
      const float bounded = bound_log_std(log_std[at]);
      const float inv_std = math::exp(-bounded);
      const float z = (raw[at] - mean[at]) * inv_std;
      const float slope = dlogp[r] * (z * z - 1.0f) - o.entropy_coefficient * inv_n;
      dmean[at] = dlogp[r] * z * inv_std;
      dlog_std[at] = bounded == log_std[at] ? slope : 0.0f;
      entropy[r] = bounded + 0.5f + kHalfLog2Pi;
    }
    for (int r = 0; r < rows; ++r) sums.entropy += static_cast<double>(entropy[r]);
  }
}

// Real columns of a Beta. first, second: the network's outputs, x: the samples, [dims][kTileRows]; dfirst, dsecond likewise.
inline void beta_backward(const PpoOptions& o, const float* first, const float* second,
                          const float* x, const float* dlogp, int dims, int rows, float inv_n,
                          float* dfirst, float* dsecond, LossSums& sums) {
  for (int a = 0; a < dims; ++a) {
    float entropy[kTileRows];
    const float by_entropy = -o.entropy_coefficient * inv_n;
    for (int r = 0; r < rows; ++r) {
      const int at = a * kTileRows + r;
      const BetaTerms t = beta_terms(beta_shape(first[at]), beta_shape(second[at]));
      const float log_x = math::log(x[at]), log_rest = math::log(1.0f - x[at]);
      dfirst[at] =
          beta_shape_slope(first[at]) * (dlogp[r] * beta_logp_slope(t, log_x, t.wa, t.log_a) +
                                         by_entropy * beta_entropy_slope(t, t.a, t.wa));
      dsecond[at] =
          beta_shape_slope(second[at]) * (dlogp[r] * beta_logp_slope(t, log_rest, t.wb, t.log_b) +
                                          by_entropy * beta_entropy_slope(t, t.b, t.wb));
      entropy[r] = beta_entropy(t);
    }
    for (int r = 0; r < rows; ++r) sums.entropy += static_cast<double>(entropy[r]);
  }
}

// The actor's whole head, [outputs][kTileRows]: the action's log-probability and the entropy are sums over its columns.
// head: outputs in, overwritten; dhead: d loss / d outputs; entropy: scratch [discrete columns][kTileRows].
inline void policy_rows(const PpoOptions& o, const PolicyShape& shape, const TileRows& tile,
                        float* head, const float* log_std, int rows, float inv_n, float* entropy,
                        float* dhead, float* dlog_std, LossSums& sums) {
  float logp[kTileRows] = {}, dlogp[kTileRows];
  const float* raw = tile.raw.data();
  const float* mean = head + shape.total_choices() * kTileRows;
  int first = 0, column = 0;
  for (const int n : shape.choices) {
    float* z = head + first * kTileRows;
    if (tile.masked) exclude_masked(z, tile.masks.data(), first, n, rows);
    categorical_forward(tile.choices.data() + column * kTileRows, z, n, rows,
                        dhead + first * kTileRows, logp, entropy + column * kTileRows);
    first += n;
    ++column;
  }
  const bool squashed = shape.distribution == RealDistribution::kSquashed;
  const bool beta = shape.distribution == RealDistribution::kBeta;
  const float* own_log_std =
      mean + shape.reals * kTileRows;  // squashed: outputs, too; of a Beta the second shape
  float gaussian_entropy = 0.0f;
  for (int a = 0; a < shape.reals; ++a) {
    const int at = a * kTileRows;
    if (squashed) {
      add_squashed_logp(raw + at, mean + at, own_log_std + at, rows, logp);
    } else if (beta) {
      add_beta_logp<kTileRows>(raw + at, mean + at, own_log_std + at, rows, logp);
    } else {
      add_gaussian_logp(raw + at, mean + at, log_std[a], rows, logp);
      gaussian_entropy += log_std[a] + 0.5f + kHalfLog2Pi;
    }
  }
  policy_gradient_rows(o, tile, logp, rows, inv_n, dlogp, sums);
  first = column = 0;
  for (const int n : shape.choices) {
    const float* h = entropy + column * kTileRows;
    categorical_backward(tile.choices.data() + column * kTileRows, head + first * kTileRows, h,
                         dlogp, o.entropy_coefficient * inv_n, n, rows, dhead + first * kTileRows);
    // (A Gaussian's entropy is the same in all states.)
    const bool weighted = o.objective == Objective::kImitateWeighted && shape.reals == 0;
    for (int r = 0; r < rows; ++r)
      sums.entropy += static_cast<double>(weighted ? h[r] * tile.advantage[r] : h[r]);
    first += n;
    ++column;
  }
  float* dmean = dhead + first * kTileRows;
  if (squashed) {
    return squashed_backward(o, mean, own_log_std, raw, dlogp, shape.reals, rows, inv_n, dmean,
                             dmean + shape.reals * kTileRows, sums);
  }
  if (beta) {
    return beta_backward(o, mean, own_log_std, raw, dlogp, shape.reals, rows, inv_n, dmean,
                         dmean + shape.reals * kTileRows, sums);
  }
  gaussian_backward(o, mean, raw, log_std, dlogp, shape.reals, rows, inv_n, dmean, dlog_std);
  sums.entropy += static_cast<double>(gaussian_entropy) * rows;
}

// Of one error of the value: its loss, squared or beyond `huber` (if that is not 0) linear, and the loss's derivative.
RM_HD float value_loss(float error, float huber) {
  const float size = math::abs(error);
  return huber > 0.0f && size > huber ? huber * (size - 0.5f * huber) : 0.5f * error * error;
}
RM_HD float value_slope(float error, float huber) {
  return huber > 0.0f ? math::clamp(error, -huber, huber) : error;
}

// d loss / d value of each row.
inline void value_rows(const PpoOptions& o, const TileRows& tile, const float* RM_RESTRICT value,
                       int rows, float inv_n, float* RM_RESTRICT dvalue, LossSums& sums) {
  const float scale = o.value_coefficient * inv_n;
  float loss[kTileRows];
  for (int r = 0; r < rows; ++r) {
    const float error = value[r] - tile.target[r];
    loss[r] = value_loss(error, o.value_huber);
    dvalue[r] = scale * value_slope(error, o.value_huber);
  }
  if (o.value_clip > 0.0f) {
    for (int r = 0; r < rows; ++r) {
      const float change = value[r] - tile.old_value[r];
      const float bounded = math::clamp(change, -o.value_clip, o.value_clip);
      const float error = tile.old_value[r] + bounded - tile.target[r];
      const float clipped_loss = value_loss(error, o.value_huber);
      const bool use_clipped = clipped_loss > loss[r];
      const float gradient =
          math::abs(change) <= o.value_clip ? scale * value_slope(error, o.value_huber) : 0.0f;
      dvalue[r] = use_clipped ? gradient : dvalue[r];
      loss[r] = math::max(loss[r], clipped_loss);
    }
  }
  if (o.objective == Objective::kImitateWeighted) {
    for (int r = 0; r < rows; ++r) {
      loss[r] *= tile.advantage[r];
      dvalue[r] *= tile.advantage[r];
    }
  }
  for (int r = 0; r < rows; ++r) sums.value += static_cast<double>(loss[r]);
}

}  // namespace rollmill
