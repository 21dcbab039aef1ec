// PPO's loss of a whole rollout in float64, written from the paper and from the documented options (trainer/ppo_options.h)
// in the plainest way: one row at a time, no kernels of ours.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "rollout/buffer.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/ppo_options.h"

namespace rollmill::testing {

struct DoubleLoss {
  double total = 0, policy = 0, value = 0, entropy = 0, kl = 0, clipped = 0, ratio_error = 0;
  double explained_variance = 0;
};

// Planes [channel][y][x] in, [y][x][channel] out.
template <class Activate>
std::vector<double> convolve(const ConvLayer& c, const std::vector<double>& p,
                             const std::vector<double>& x, Activate&& activate) {
  std::vector<double> out;
  for (int place = 0; place < c.positions(); ++place) {
    for (int j = 0; j < c.channels; ++j) {
      double sum = p[static_cast<std::size_t>(c.bias + j)];
      for (int k = 0; k < c.patch(); ++k) {
        const int left = place % c.width * c.stride + k % c.kernel;
        const int top = place / c.width * c.stride + k / c.kernel % c.kernel;
        const int plane = k / c.kernel / c.kernel;
        sum += p[static_cast<std::size_t>(c.weight + std::int64_t{k} * c.channels + j)] *
               x[static_cast<std::size_t>((plane * c.height_in + top) * c.width_in + left)];
      }
      out.push_back(activate(sum));
    }
  }
  return out;
}

// At most one convolution, which reads the observation.
inline std::vector<double> forward(const Network& network, const std::vector<double>& p,
                                   std::vector<double> x) {
  const std::vector<DenseLayer>& net = network.dense;
  const auto activate = [&](double z) {
    return network.activation == Activation::kTanh ? std::tanh(z) : std::max(z, 0.0);
  };
  if (!network.conv.empty()) x = convolve(network.conv.front(), p, x, activate);
  for (std::size_t l = 0; l < net.size(); ++l) {
    std::vector<double> y;
    for (int j = 0; j < net[l].outputs; ++j) {
      double sum = p[static_cast<std::size_t>(net[l].bias + j)];
      for (int k = 0; k < net[l].inputs; ++k) {
        sum += x[static_cast<std::size_t>(k)] *
               p[static_cast<std::size_t>(net[l].weight + k * net[l].width + j)];
      }
      y.push_back(l + 1 < net.size() ? activate(sum) : sum);
    }
    x = y;
  }
  return x;
}

// What the networks read at (t, i): the words of each frame taken apart in the plainest way, frames before the episode 0.
inline std::vector<double> observation_of(const RolloutBuffer& b, const PolicyWeights& w, int t,
                                          int i) {
  const ObservationSpec& o = w.layout.shape.observed;
  std::vector<double> x;
  for (int back = b.frame_stack - 1; back >= 0; --back) {
    std::vector<double> frame;
    for (int c = 0; c < o.columns; ++c) {
      std::uint32_t word;
      std::memcpy(&word, b.observation_slot(t - back) + c * b.stride + i, 4);
      if (o.kind == ObservationKind::kReal) {
        const Moments& m = w.normalizer.moments()[static_cast<std::size_t>(c)];
        const double raw = __builtin_bit_cast(float, word), clip = w.normalizer.clip();
        const double z = (raw - m.mean) / std::sqrt(m.m2 / m.count + 1e-8);
        frame.push_back(w.normalizer.enabled() ? std::clamp(z, -clip, clip) : raw);
      }
      for (int n = 0; o.kind == ObservationKind::kChoices && n < o.choices[c]; ++n)
        frame.push_back(word == static_cast<std::uint32_t>(n) ? 1 : 0);
      for (int n = 0; o.kind == ObservationKind::kBits && n < 32; ++n)
        frame.push_back(word >> n & 1);
      for (int n = 0; o.kind == ObservationKind::kPixels && n < 4; ++n)
        frame.push_back((word >> (8 * n) & 255) / 255.0);
    }
    frame.resize(static_cast<std::size_t>(o.elements));
    if (back > 0 && b.frame_slot(t)[i] < back) std::fill(frame.begin(), frame.end(), 0.0);
    x.insert(x.end(), frame.begin(), frame.end());
  }
  return x;
}

// log pi(action of row (t, i)) and the policy's entropy there: sums over the action's columns.
inline double log_prob(const RolloutBuffer& b, const MlpLayout& layout,
                       const std::vector<double>& p, const std::vector<double>& head, int t, int i,
                       double& entropy) {
  entropy = 0;
  double logp = 0;
  std::size_t first = 0;
  for (int c = 0; c < b.choice_columns; ++c) {
    std::vector<std::size_t> allowed;
    const auto n = static_cast<std::size_t>(layout.shape.choices[static_cast<std::size_t>(c)]);
    for (std::size_t a = first; a < first + n; ++a) {
      const auto word = static_cast<std::int64_t>(a / 32);
      if (b.mask_columns == 0 || (b.mask_slot(t)[word * b.stride + i] >> (a % 32) & 1) != 0)
        allowed.push_back(a);
    }
    double sum = 0;
    for (const std::size_t a : allowed) sum += std::exp(head[a]);
    for (const std::size_t a : allowed)
      entropy -= std::exp(head[a]) / sum * (head[a] - std::log(sum));
    const auto taken = static_cast<std::size_t>(b.discrete_slot(t)[c * b.stride + i]);
    logp += head[first + taken] - std::log(sum);
    first += n;
  }
  for (int a = 0; a < b.real_columns; ++a) {
    const bool squashed = layout.shape.distribution == RealDistribution::kSquashed;
    const double log_std =
        squashed
            ? std::clamp(head[first + static_cast<std::size_t>(b.real_columns + a)], -20.0, 2.0)
            : p[static_cast<std::size_t>(layout.log_std + a)];
    const double raw =
        b.raw_actions[(static_cast<std::int64_t>(t) * b.real_columns + a) * b.stride + i];
    const double z = (raw - head[first + static_cast<std::size_t>(a)]) / std::exp(log_std);
    logp += -0.5 * z * z - log_std - 0.5 * std::log(2 * M_PI);
    if (squashed) logp -= std::log(1 - std::tanh(raw) * std::tanh(raw));
    entropy += log_std + 0.5 * std::log(2 * M_PI * M_E);
  }
  return logp;
}

inline DoubleLoss ppo_loss(const RolloutBuffer& b, const PolicyWeights& w, const PpoOptions& o,
                           const std::vector<double>& p) {
  const double n = static_cast<double>(b.horizon) * b.num_envs;
  double mean = 0, variance = 0;
  const auto each = [&](auto&& row) {
    for (int t = 0; t < b.horizon; ++t)
      for (int i = 0; i < b.num_envs; ++i) row(t, i, t * b.stride + i);
  };
  each([&](int, int, std::int64_t at) { mean += b.advantages[at] / n; });
  each([&](int, int, std::int64_t at) {
    variance += (b.advantages[at] - mean) * (b.advantages[at] - mean) / n;
  });
  DoubleLoss loss;
  each([&](int t, int i, std::int64_t at) {
    const std::vector<double> x = observation_of(b, w, t, i);
    double advantage = b.advantages[at], entropy;
    if (o.normalize_advantages) advantage = (advantage - mean) / (std::sqrt(variance) + 1e-8);
    const std::vector<double> head = forward(w.layout.actor, p, x);
    const double log_ratio = log_prob(b, w.layout, p, head, t, i, entropy) - b.logprobs[at];
    const double ratio = std::exp(log_ratio), clip = o.clip;
    const bool ppo = o.objective == Objective::kPpo;
    const double weight = o.objective == Objective::kImitateWeighted ? advantage : 1;
    if (ppo) {
      loss.policy -=
          std::min(ratio * advantage, std::clamp(ratio, 1 - clip, 1 + clip) * advantage) / n;
    } else {
      loss.policy -= weight * (log_ratio + b.logprobs[at]) / n;
    }
    const double v =
        w.layout.shape.trunk == Trunk::kShared ? head.back() : forward(w.layout.critic, p, x)[0];
    const double target = b.returns[at], old = b.values[at];
    const auto value_loss = [&](double guess) {
      const double error = std::abs(guess - target), huber = o.value_huber;
      return huber > 0 && error > huber ? huber * error - huber * huber / 2 : error * error / 2;
    };
    double worse = value_loss(v);
    if (o.value_clip > 0) {
      const double near = old + std::clamp(v - old, -double{o.value_clip}, double{o.value_clip});
      worse = std::max(worse, value_loss(near));
    }
    loss.value += weight * worse / n;
    // Of choices: a real action's entropy is the same in all states.
    loss.entropy +=
        (o.objective == Objective::kImitateWeighted && b.real_columns == 0 ? weight : 1) * entropy /
        n;
    if (!ppo) return;
    loss.kl += (ratio - 1 - log_ratio) / n;
    loss.clipped += (std::abs(ratio - 1) > clip) / n;
    loss.ratio_error = std::max(loss.ratio_error, std::abs(ratio - 1));
  });
  double target_mean = 0, error_mean = 0, target_squares = 0, error_squares = 0;
  each([&](int, int, std::int64_t at) {
    target_mean += b.returns[at] / n;
    error_mean += (double{b.returns[at]} - b.values[at]) / n;
  });
  each([&](int, int, std::int64_t at) {
    target_squares += std::pow(b.returns[at] - target_mean, 2);
    error_squares += std::pow(double{b.returns[at]} - b.values[at] - error_mean, 2);
  });
  loss.explained_variance = 1 - error_squares / target_squares;
  loss.total =
      loss.policy + o.value_coefficient * loss.value - o.entropy_coefficient * loss.entropy;
  return loss;
}

}  // namespace rollmill::testing
