#include "rollout/mlp/mlp_policy.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/base/assert.h"
#include "core/io/hash.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"

namespace rollmill {

PolicyShape shape_for(const EnvSpec& spec, const std::vector<int>& hidden) {
  return {spec.observation_size(), !spec.continuous(), spec.policy_outputs(), hidden};
}

MlpPolicy::MlpPolicy(const EnvSpec& spec, const PolicyWeights& weights, std::uint64_t seed,
                     bool greedy, std::string id)
    : weights_(weights), seed_(seed), greedy_(greedy), id_(std::move(id)) {
  for (const auto& f : spec.action) {
    low_.push_back(static_cast<float>(f.low));
    high_.push_back(static_cast<float>(f.high));
    middle_.push_back(static_cast<float>(0.5 * (f.low + f.high)));
    half_range_.push_back(static_cast<float>(0.5 * (f.high - f.low)));
  }
}

std::string MlpPolicy::hash() const {
  Xxh3_128 hash;
  hash.update(std::as_bytes(std::span(weights_.params.data(), weights_.params.size())));
  const auto n = static_cast<std::size_t>(weights_.layout.shape.observations);
  if (weights_.normalizer.enabled()) {
    hash.update(std::as_bytes(std::span(weights_.normalizer.shift(), n)));
    hash.update(std::as_bytes(std::span(weights_.normalizer.scale(), n)));
  }
  return hash.hex() + (greedy_ ? "-greedy" : "");
}

// One scratch per thread and layout: nothing allocates after a thread's first tile.
ForwardScratch& MlpPolicy::scratch() const {
  thread_local std::unique_ptr<ForwardScratch> scratch;
  thread_local PolicyShape shape;
  if (!scratch || !(shape == weights_.layout.shape)) {
    scratch = std::make_unique<ForwardScratch>(weights_.layout);
    shape = weights_.layout.shape;
  }
  return *scratch;
}

void MlpPolicy::act(const ActRequest& q) const {
  ForwardScratch& s = scratch();
  for (int i = q.begin; i < q.end; i += kTileRows)
    act_tile(q, i, std::min(kTileRows, q.end - i), s);
}

void MlpPolicy::act_tile(const ActRequest& q, int begin, int rows, ForwardScratch& s) const {
  const MlpLayout& layout = weights_.layout;
  const int size = layout.shape.observations;
  gather_input(q.observations, q.stride, begin, rows, size, weights_.normalizer, s.input.data());
  network_forward(layout.actor, weights_.params.data(), s.input.data(), size, rows, s.actor);
  const int last = static_cast<int>(layout.actor.size()) - 1;
  const int width = layout.actor.back().width;
  head_to_columns(s.actor.layer(last), width, layout.shape.outputs, rows, s.head.data());
  if (layout.shape.discrete) {
    sample_discrete(q, begin, rows, s.head.data());
  } else {
    sample_gaussian(q, begin, rows, s.head.data());
  }
  if (q.values == nullptr) return;
  network_forward(layout.critic, weights_.params.data(), s.input.data(), size, rows, s.critic);
  const float* v = s.critic.layer(static_cast<int>(layout.critic.size()) - 1);
  for (int r = 0; r < rows; ++r) q.values[begin + r] = v[r * layout.critic.back().width];
}

void MlpPolicy::sample_discrete(const ActRequest& q, int begin, int rows, float* head) const {
  const int choices = weights_.layout.shape.outputs;
  auto* actions = static_cast<std::int32_t*>(q.actions) + begin;
  log_softmax(head, choices, rows);
  if (greedy_) {
    argmax_categorical(head, choices, rows, actions);
  } else {
    float u[kTileRows];
    const EpisodeColumns k = q.keys;
    for (int r = 0; r < rows; ++r) {
      const int i = begin + r;
      u[r] = action_rng(seed_, k.environment[i], k.episode[i], k.step[i]).uniform();
    }
    sample_categorical(head, u, choices, rows, actions);
  }
  if (q.logprobs == nullptr) return;
  for (int r = 0; r < rows; ++r) q.logprobs[begin + r] = head[actions[r] * kTileRows + r];
}

void MlpPolicy::sample_gaussian(const ActRequest& q, int begin, int rows, const float* head) const {
  const int dims = weights_.layout.shape.outputs;
  const float* log_std = weights_.params.data() + weights_.layout.log_std;
  auto* actions = static_cast<float*>(q.actions);
  float logp[kTileRows] = {};
  float raw[kTileRows];
  for (int a = 0; a < dims; ++a) {
    const float* mean = head + a * kTileRows;
    const float std = math::exp(log_std[a]);
    for (int r = 0; r < rows; ++r) {
      const int i = begin + r;
      raw[r] = mean[r];
      if (greedy_) continue;
      const Rng rng = action_rng(seed_, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
      raw[r] = mean[r] + std * action_normal(rng, a);
    }
    add_gaussian_logp(raw, mean, log_std[a], rows, logp);
    for (int r = 0; r < rows; ++r) {
      const std::int64_t at = static_cast<std::int64_t>(a) * q.stride + begin + r;
      actions[at] = bound_action(raw[r], middle_[a], half_range_[a], low_[a], high_[a]);
      if (q.raw_actions != nullptr) q.raw_actions[at] = raw[r];
    }
  }
  if (q.logprobs == nullptr) return;
  for (int r = 0; r < rows; ++r) q.logprobs[begin + r] = logp[r];
}

void MlpPolicy::value(const float* observations, std::int64_t stride, int begin, int end,
                      float* values) const {
  const MlpLayout& layout = weights_.layout;
  ForwardScratch& s = scratch();
  const int size = layout.shape.observations;
  for (int i = begin; i < end; i += kTileRows) {
    const int rows = std::min(kTileRows, end - i);
    gather_input(observations, stride, i, rows, size, weights_.normalizer, s.input.data());
    network_forward(layout.critic, weights_.params.data(), s.input.data(), size, rows, s.critic);
    const float* v = s.critic.layer(static_cast<int>(layout.critic.size()) - 1);
    for (int r = 0; r < rows; ++r) values[i + r] = v[r * layout.critic.back().width];
  }
}

namespace {

// Modified Gram-Schmidt on a random normal matrix, in float64; rows of the shorter side are orthonormal.
void orthogonal(Rng rng, int inputs, int outputs, double gain,
                std::vector<double>& w /* [inputs][outputs] */) {
  const bool by_outputs =
      outputs <= inputs;  // orthonormal vectors: columns (outputs) or rows (inputs)
  const int count = by_outputs ? outputs : inputs, length = by_outputs ? inputs : outputs;
  std::vector<std::vector<double>> q(static_cast<std::size_t>(count));
  for (auto& v : q) {
    v.resize(static_cast<std::size_t>(length));
    for (double& x : v) x = static_cast<double>(rng.normal());
  }
  for (int i = 0; i < count; ++i) {
    for (int pass = 0; pass < 2; ++pass) {  // twice is enough (Kahan)
      for (int j = 0; j < i; ++j) {
        double dot = 0;
        for (int k = 0; k < length; ++k) dot += q[i][k] * q[j][k];
        for (int k = 0; k < length; ++k) q[i][k] -= dot * q[j][k];
      }
    }
    double norm = 0;
    for (double x : q[i]) norm += x * x;
    norm = std::sqrt(norm);
    for (double& x : q[i]) x /= norm;
  }
  w.assign(static_cast<std::size_t>(inputs) * outputs, 0.0);
  for (int i = 0; i < inputs; ++i) {
    for (int o = 0; o < outputs; ++o) {
      w[static_cast<std::size_t>(i) * outputs + o] = gain * (by_outputs ? q[o][i] : q[i][o]);
    }
  }
}

}  // namespace

void initialize_weights(PolicyWeights& weights, std::uint64_t seed, float log_std) {
  std::fill(weights.params.begin(), weights.params.end(), 0.0f);
  std::uint32_t index = 0;
  std::vector<double> w;
  for (const auto* net : {&weights.layout.actor, &weights.layout.critic}) {
    const bool actor = net == &weights.layout.actor;
    for (const DenseLayer& layer : *net) {
      const bool head = &layer == &net->back();
      const double gain = !head ? std::sqrt(2.0) : actor ? 0.01 : 1.0;
      Rng rng(seed, Purpose::kInitWeights, index++, 0, 0);
      orthogonal(rng, layer.inputs, layer.outputs, gain, w);
      for (int i = 0; i < layer.inputs; ++i) {
        for (int o = 0; o < layer.outputs; ++o) {
          weights.params[static_cast<std::size_t>(layer.weight + i * layer.width + o)] =
              static_cast<float>(w[static_cast<std::size_t>(i) * layer.outputs + o]);
        }
      }
    }
  }
  if (!weights.layout.shape.discrete) {
    for (int a = 0; a < weights.layout.shape.outputs; ++a) {
      weights.params[static_cast<std::size_t>(weights.layout.log_std + a)] = log_std;
    }
  }
}

}  // namespace rollmill
