// PPO's loss of one tile of rows and its derivatives by the network's outputs, written out by hand: columns of rows, so
// that the loops vectorise. The CPU works on tiles of kTileRows; a CUDA thread has a tile of one row (kTile = 1), and so the
// same bits from the same text. trainer/torch/torch_learner.cc is the same in autograd; a test holds them together.
#pragma once

#include <cstdint>

#include "rollout/mlp/beta.h"
#include "rollout/mlp/distribution.h"
#include "trainer/ppo_options.h"

namespace rollmill {

// A maximum in which a NaN is kept, whenever it comes.
RM_HD double larger_or_nan(double a, double b) { return a == a && !(b <= a) ? b : a; }

// Sums over rows, in float64; a shard's rows are added in row order.
struct LossSums {
  double policy = 0, value = 0, entropy = 0, kl = 0, clipped = 0, ratio_error = 0;
  // In this order.
  RM_HD double& term(int q) {
    switch (q) {
      case 0: return policy;
      case 1: return value;
      case 2: return entropy;
      case 3: return kl;
      case 4: return clipped;
      default: return ratio_error;
    }
  }
  RM_HD void add(const LossSums& o) {
    policy += o.policy;
    value += o.value;
    entropy += o.entropy;
    kl += o.kl;
    clipped += o.clipped;
    ratio_error = larger_or_nan(ratio_error, o.ratio_error);
  }
};

// What each row adds to them.
template <int kTile>
struct RowTerms {
  alignas(kTile == 1 ? 4 : kColumnAlignment) float policy[kTile];
  float value[kTile], entropy[kTile], kl[kTile], clipped[kTile], ratio_error[kTile];
};

// What a minibatch row brings along: columns of one tile, [columns][kTile] or [kTile].
struct RowData {
  const std::int32_t* choices;  // taken
  const float* raw;             // samples of real actions
  const Word* masks;            // what was allowed; null: everything
  const float *old_logp, *advantage, *target, *old_value;
};

// The actor's head: logits of `choices[c]` choices for each discrete column, then the real actions' outputs.
struct HeadShape {
  const std::int32_t* choices;
  int choice_columns, total_choices, reals;
  RealDistribution distribution;
};

// d loss / d logp of each row, and the policy's part of the terms. inv_n = 1 / rows of the whole minibatch.
template <int kTile>
RM_HD void policy_gradient_rows(const PpoOptions& o, const RowData& tile,
                                const float* RM_RESTRICT logp, int rows, float inv_n,
                                float* RM_RESTRICT dlogp, RowTerms<kTile>& terms) {
  const float* RM_RESTRICT advantage = tile.advantage;
  const float* RM_RESTRICT old_logp = tile.old_logp;
  float* RM_RESTRICT policy = terms.policy;
  float* RM_RESTRICT kl = terms.kl;
  float* RM_RESTRICT clipped = terms.clipped;
  float* RM_RESTRICT error = terms.ratio_error;
  if (o.objective != Objective::kPpo) {
    const bool weighted = o.objective == Objective::kImitateWeighted;
    for (int r = 0; r < rows; ++r) {
      const float weight = weighted ? advantage[r] : 1.0f;
      dlogp[r] = -inv_n * weight;
      policy[r] = -(logp[r] * weight);
      kl[r] = clipped[r] = error[r] = 0.0f;
    }
    return;
  }
  const float clip = o.clip;
  for (int r = 0; r < rows; ++r) {
    const float log_ratio = logp[r] - old_logp[r];
    const float ratio = math::exp(log_ratio);
    const float plain = ratio * advantage[r];
    const float bounded = math::clamp(ratio, 1.0f - clip, 1.0f + clip) * advantage[r];
    policy[r] = -math::min(plain, bounded);
    // The clipped branch is constant in the weights: no gradient where it is the smaller one.
    dlogp[r] = plain <= bounded ? -inv_n * plain : 0.0f;
    kl[r] = (ratio - 1.0f) - log_ratio;
    const float away = math::abs(ratio - 1.0f);
    clipped[r] = away > clip ? 1.0f : 0.0f;
    error[r] = away;
  }
}

// One discrete column. z: logits in, log-probabilities out; p: probabilities; the taken action's log-probability is added to
// logp. z and p [choices][kTile]; entropy [kTile] is this column's.
template <int kTile>
RM_HD void categorical_forward(const std::int32_t* RM_RESTRICT taken, float* RM_RESTRICT z,
                               int choices, int rows, float* RM_RESTRICT p, float* RM_RESTRICT logp,
                               float* RM_RESTRICT entropy) {
  float column_logp[kTile] = {};
  log_softmax<kTile>(z, choices, rows);
  for (int r = 0; r < rows; ++r) entropy[r] = 0.0f;
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      const float l = z[a * kTile + r];
      const float probability = math::exp(l);
      p[a * kTile + r] = probability;
      entropy[r] -= probability * l;  // of an excluded choice: 0 times a finite number
      column_logp[r] = taken[r] == a ? l : column_logp[r];
    }
  }
  for (int r = 0; r < rows; ++r) logp[r] += column_logp[r];
}

// dz: probabilities in, d loss / d logits out.
template <int kTile>
RM_HD void categorical_backward(const std::int32_t* RM_RESTRICT taken, const float* RM_RESTRICT z,
                                const float* RM_RESTRICT entropy, const float* RM_RESTRICT dlogp,
                                float entropy_scale, int choices, int rows, float* RM_RESTRICT dz) {
  for (int a = 0; a < choices; ++a) {
    for (int r = 0; r < rows; ++r) {
      const float p = dz[a * kTile + r];
      const float here = taken[r] == a ? 1.0f : 0.0f;
      dz[a * kTile + r] =
          dlogp[r] * (here - p) + entropy_scale * p * (z[a * kTile + r] + entropy[r]);
    }
  }
}

// Real columns of a Gaussian. mean and raw: [dims][kTile]; dmean likewise, and dlog_std: what each row adds to the gradient of
// the one log standard deviation.
template <int kTile>
RM_HD void gaussian_backward(const PpoOptions& o, const float* mean, const float* raw,
                             const float* log_std, const float* dlogp, int dims, int rows,
                             float inv_n, float* dmean, float* dlog_std) {
  for (int a = 0; a < dims; ++a) {
    const float inv_std = math::exp(-log_std[a]);
    for (int r = 0; r < rows; ++r) {
      const int at = a * kTile + r;
      const float z = (raw[at] - mean[at]) * inv_std;
      dmean[at] = dlogp[r] * z * inv_std;
      dlog_std[at] = dlogp[r] * (z * z - 1.0f) - o.entropy_coefficient * inv_n;
    }
  }
}

// Real columns of a squashed Gaussian. mean, log_std and raw [dims][kTile], dmean and dlog_std likewise. tanh's slope is a
// constant of the sample; the entropy is the Gaussian's, since that of its tanh has no closed form.
template <int kTile>
RM_HD void squashed_backward(const PpoOptions& o, const float* mean, const float* log_std,
                             const float* raw, const float* dlogp, int dims, int rows, float inv_n,
                             float* dmean, float* dlog_std, float* entropy) {
  for (int a = 0; a < dims; ++a) {
    for (int r = 0; r < rows; ++r) {
      const int at = a * kTile + r;
      const float bounded = bound_log_std(log_std[at]);
      const float inv_std = math::exp(-bounded);
      const float z = (raw[at] - mean[at]) * inv_std;
      const float slope = dlogp[r] * (z * z - 1.0f) - o.entropy_coefficient * inv_n;
      dmean[at] = dlogp[r] * z * inv_std;
      dlog_std[at] = bounded == log_std[at] ? slope : 0.0f;
      entropy[r] += bounded + 0.5f + kHalfLog2Pi;
    }
  }
}

// Real columns of a Beta. first, second: the network's outputs, x: the samples, [dims][kTile]; dfirst, dsecond likewise.
template <int kTile>
RM_HD void beta_backward(const PpoOptions& o, const float* first, const float* second,
                         const float* x, const float* dlogp, int dims, int rows, float inv_n,
                         float* dfirst, float* dsecond, float* entropy) {
  const float by_entropy = -o.entropy_coefficient * inv_n;
  for (int a = 0; a < dims; ++a) {
    for (int r = 0; r < rows; ++r) {
      const int at = a * kTile + r;
      const BetaTerms t = beta_terms(beta_shape(first[at]), beta_shape(second[at]));
      const float log_x = math::log(x[at]), log_rest = math::log(1.0f - x[at]);
      dfirst[at] =
          beta_shape_slope(first[at]) * (dlogp[r] * beta_logp_slope(t, log_x, t.wa, t.log_a) +
                                         by_entropy * beta_entropy_slope(t, t.a, t.wa));
      dsecond[at] =
          beta_shape_slope(second[at]) * (dlogp[r] * beta_logp_slope(t, log_rest, t.wb, t.log_b) +
                                          by_entropy * beta_entropy_slope(t, t.b, t.wb));
      entropy[r] += beta_entropy(t);
    }
  }
}

// The actor's whole head, [outputs][kTile]: the action's log-probability and the entropy are sums over its columns.
// head: outputs in, overwritten; dhead: d loss / d outputs; entropy: scratch [discrete columns][kTile]; dlog_std
// [reals][kTile]: of a Gaussian, what each row adds to the gradient of log_std [reals]. Fills all terms but the value's.
template <int kTile>
RM_HD_NOINLINE void policy_rows(const PpoOptions& o, const HeadShape& shape, const RowData& tile,
                                float* head, const float* log_std, int rows, float inv_n,
                                float* entropy, float* dhead, float* dlog_std,
                                RowTerms<kTile>& terms) {
  float logp[kTile] = {}, dlogp[kTile];
  const float* raw = tile.raw;
  const float* mean = head + shape.total_choices * kTile;
  int first = 0;
  for (int column = 0; column < shape.choice_columns; ++column) {
    const int n = shape.choices[column];
    float* z = head + first * kTile;
    if (tile.masks != nullptr) exclude_masked<kTile>(z, tile.masks, first, n, rows);
    categorical_forward<kTile>(tile.choices + column * kTile, z, n, rows, dhead + first * kTile,
                               logp, entropy + column * kTile);
    first += n;
  }
  const bool squashed = shape.distribution == RealDistribution::kSquashed;
  const bool beta = shape.distribution == RealDistribution::kBeta;
  const float* second = mean + shape.reals * kTile;  // log standard deviations, second shapes
  float gaussian_entropy = 0.0f;
  for (int a = 0; a < shape.reals; ++a) {
    const int at = a * kTile;
    if (squashed) {
      add_squashed_logp<kTile>(raw + at, mean + at, second + at, rows, logp);
    } else if (beta) {
      add_beta_logp<kTile>(raw + at, mean + at, second + at, rows, logp);
    } else {
      add_gaussian_logp<kTile>(raw + at, mean + at, log_std[a], rows, logp);
      gaussian_entropy += log_std[a] + 0.5f + kHalfLog2Pi;
    }
  }
  policy_gradient_rows<kTile>(o, tile, logp, rows, inv_n, dlogp, terms);
  // (A Gaussian's entropy is the same in all states.)
  for (int r = 0; r < rows; ++r) terms.entropy[r] = gaussian_entropy;
  const bool weighted = o.objective == Objective::kImitateWeighted && shape.reals == 0;
  first = 0;
  for (int column = 0; column < shape.choice_columns; ++column) {
    const int n = shape.choices[column];
    const float* h = entropy + column * kTile;
    categorical_backward<kTile>(tile.choices + column * kTile, head + first * kTile, h, dlogp,
                                o.entropy_coefficient * inv_n, n, rows, dhead + first * kTile);
    for (int r = 0; r < rows; ++r) terms.entropy[r] += weighted ? h[r] * tile.advantage[r] : h[r];
    first += n;
  }
  float* dmean = dhead + first * kTile;
  float* dsecond = dmean + shape.reals * kTile;
  if (squashed) {
    squashed_backward<kTile>(o, mean, second, raw, dlogp, shape.reals, rows, inv_n, dmean, dsecond,
                             terms.entropy);
  } else if (beta) {
    beta_backward<kTile>(o, mean, second, raw, dlogp, shape.reals, rows, inv_n, dmean, dsecond,
                         terms.entropy);
  } else {
    gaussian_backward<kTile>(o, mean, raw, log_std, dlogp, shape.reals, rows, inv_n, dmean,
                             dlog_std);
  }
}

// Of one error of the value: its loss, squared or beyond `huber` (if that is not 0) linear, and the loss's derivative.
RM_HD float value_loss(float error, float huber) {
  const float size = math::abs(error);
  return huber > 0.0f && size > huber ? huber * (size - 0.5f * huber) : 0.5f * error * error;
}
RM_HD float value_slope(float error, float huber) {
  return huber > 0.0f ? math::clamp(error, -huber, huber) : error;
}

// d loss / d value of each row, and its loss.
RM_HD_NOINLINE void value_rows(const PpoOptions& o, const RowData& tile,
                               const float* RM_RESTRICT value, int rows, float inv_n,
                               float* RM_RESTRICT dvalue, float* RM_RESTRICT loss) {
  const float scale = o.value_coefficient * inv_n;
  const float* RM_RESTRICT target = tile.target;
  for (int r = 0; r < rows; ++r) {
    const float error = value[r] - target[r];
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
}

}  // namespace rollmill
