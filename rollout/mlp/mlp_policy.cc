#include "rollout/mlp/mlp_policy.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "core/base/assert.h"
#include "core/io/hash.h"
#include "core/math/math.h"
#include "core/rng/rng.h"
#include "rollout/mlp/beta.h"
#include "rollout/mlp/distribution.h"
#include "rollout/mlp/elementwise.h"

namespace rollmill {

MlpPolicy::MlpPolicy(const EnvSpec& spec, const PolicyWeights& weights, std::uint64_t seed,
                     bool greedy, std::string id, bool bf16)
    : weights_(weights), seed_(seed), greedy_(greedy), id_(std::move(id)) {
  if (bf16) {
    actor_rounded_.emplace(weights.layout.actor);
    critic_rounded_.emplace(weights.layout.critic);
    refresh();
  }
  for (std::size_t a = spec.choices.size(); a < spec.action.size(); ++a) {
    const FieldSpec& f = spec.action[a];
    low_.push_back(static_cast<float>(f.low));
    high_.push_back(static_cast<float>(f.high));
    middle_.push_back(static_cast<float>(0.5 * (f.low + f.high)));
    half_range_.push_back(static_cast<float>(0.5 * (f.high - f.low)));
  }
}

void MlpPolicy::refresh() {
  if (!actor_rounded_) return;
  actor_rounded_->pack(weights_.layout.actor, weights_.params.data());
  critic_rounded_->pack(weights_.layout.critic, weights_.params.data());
}

std::string MlpPolicy::hash() const {
  Xxh3_128 hash;
  hash.update(std::as_bytes(std::span(weights_.params.data(), weights_.params.size())));
  const auto n = static_cast<std::size_t>(weights_.layout.shape.observed.elements);
  if (weights_.normalizer.enabled()) {
    hash.update(std::as_bytes(std::span(weights_.normalizer.shift(), n)));
    hash.update(std::as_bytes(std::span(weights_.normalizer.scale(), n)));
  }
  // What the numbers mean, where it is not what it always was.
  const PolicyShape& shape = weights_.layout.shape;
  std::string kind;
  if (shape.activation != Activation::kTanh) kind += activation_name(shape.activation);
  if (shape.trunk != Trunk::kSeparate) kind += trunk_name(shape.trunk);
  if (shape.distribution != RealDistribution::kGaussian)
    kind += distribution_name(shape.distribution);
  if (shape.memory != MemoryKind::kNone) kind += memory_name(shape.memory);
  for (const ConvShape& c : shape.conv)
    kind += " " + std::to_string(c.kernel) + "/" + std::to_string(c.stride);
  if (actor_rounded_) kind += " bf16";
  hash.update(std::as_bytes(std::span(kind)));
  return hash.hex() + (greedy_ ? "-greedy" : "");
}

// One scratch per thread and layout: nothing allocates after a thread's first tile, but where a window shows more patches than any
// before it.
ForwardScratch& MlpPolicy::scratch() const {
  thread_local std::unique_ptr<ForwardScratch> scratch;
  thread_local PolicyShape shape;
  if (!scratch || !(shape == weights_.layout.shape)) {
    scratch = std::make_unique<ForwardScratch>(weights_.layout);
    shape = weights_.layout.shape;
  }
  return *scratch;
}

template <class Gather, class Tile>
void MlpPolicy::for_tiles(int begin, int end, bool actor, bool critic, ForwardScratch& s,
                          Gather&& gather, Tile&& tile) const {
  const auto tiles = [](int first, int last, auto&& body) {
    for (int i = first; i < last; i += kTileRows) body(i, std::min(kTileRows, last - i));
  };
  if (!s.window) {
    tiles(begin, end, [&](int i, int rows) {
      gather(i, rows);
      tile(i, rows);
    });
    return;
  }
  PatchWindow& window = *s.window;
  for (int first = begin; first < end; first += kPatchRows) {
    const int last = std::min(first + kPatchRows, end);
    window.ids.clear();
    tiles(first, last, [&](int i, int rows) {
      gather(i, rows);
      window.ids.add(s.input, rows);
    });
    window.ids.name();
    if (actor) window.actor.prepare(weights_.params.data());
    if (critic) window.critic->prepare(weights_.params.data());
    tiles(first, last, [&](int i, int rows) {
      s.tile_row = i - first;
      tile(i, rows);
    });
  }
}

template <class Tile>
void MlpPolicy::for_tiles(const ActRequest& q, ForwardScratch& s, Tile&& tile) const {
  const bool critic = q.values != nullptr && weights_.layout.shape.trunk == Trunk::kSeparate;
  const auto gather = [&](int i, int rows) {
    s.input.gather({q.observations, q.stride, q.slot, q.frames}, i, rows, weights_.normalizer);
  };
  for_tiles(q.begin, q.end, /*actor=*/true, critic, s, gather, tile);
}

void MlpPolicy::act(const ActRequest& q) const {
  ForwardScratch& s = scratch();
  for_tiles(q, s, [&](int i, int rows) { act_tile(q, i, rows, s); });
}

void MlpPolicy::judge(const ActRequest& q) const {
  RM_ASSERT(memory_columns() == 0 && q.logprobs != nullptr);
  ForwardScratch& s = scratch();
  for_tiles(q, s, [&](int i, int rows) { judge_tile(q, i, rows, s); });
}

void MlpPolicy::judge_tile(const ActRequest& q, int begin, int rows, ForwardScratch& s) const {
  const MlpLayout& layout = weights_.layout;
  const PolicyShape& shape = layout.shape;
  run_actor(rows, s);
  const DenseLayer& head = layout.actor.head();
  head_to_columns(s.actor.head(), head.width, head.outputs, rows, s.head.data());
  if (q.values != nullptr && shape.trunk == Trunk::kShared) {
    const float* value = s.head.data() + shape.outputs() * kTileRows;
    std::copy(value, value + rows, q.values + begin);
  }
  float* logp = q.logprobs + begin;
  std::fill_n(logp, rows, 0.0f);
  copy_masks(q, begin, rows, s);
  int first = 0, column = 0;
  for (const int n : shape.choices) {
    float* z = s.head.data() + first * kTileRows;
    const auto* taken = static_cast<const std::int32_t*>(q.actions) + column * q.stride + begin;
    if (q.masks != nullptr) exclude_masked(z, s.masks.data(), first, n, rows);
    log_softmax(z, n, rows);
    for (int r = 0; r < rows; ++r) logp[r] += z[taken[r] * kTileRows + r];
    first += n;
    ++column;
  }
  const float* fixed = weights_.params.data() + layout.log_std;
  for (int a = 0; a < shape.reals; ++a) {
    const float* mean = s.head.data() + (first + a) * kTileRows;
    const float* second = mean + shape.reals * kTileRows;
    const float* raw = q.raw_actions + static_cast<std::int64_t>(a) * q.stride + begin;
    switch (shape.distribution) {
      case RealDistribution::kGaussian: add_gaussian_logp(raw, mean, fixed[a], rows, logp); break;
      case RealDistribution::kSquashed: add_squashed_logp(raw, mean, second, rows, logp); break;
      case RealDistribution::kBeta: add_beta_logp<kTileRows>(raw, mean, second, rows, logp); break;
      case RealDistribution::kDeterministic: break;
    }
  }
  if (q.values != nullptr && shape.trunk == Trunk::kSeparate) run_critic(rows, s, q.values + begin);
}

void MlpPolicy::act_tile(const ActRequest& q, int begin, int rows, ForwardScratch& s) const {
  const MlpLayout& layout = weights_.layout;
  const PolicyShape& shape = layout.shape;
  RM_ASSERT(q.values == nullptr || shape.has_value());
  RM_ASSERT(shape.memory == MemoryKind::kNone || q.memory != nullptr);
  const auto remember = [&](const Network& net, NetActivations& activations) {
    if (net.memory.kind == MemoryKind::kNone) return;
    load_memory(net.memory, q.memory + memory_offset(net, q.stride), q.stride, q.keys.step, begin,
                rows, activations.before());
  };
  const auto keep = [&](const Network& net, const NetActivations& activations) {
    if (net.memory.kind == MemoryKind::kNone) return;
    store_memory(net.memory, activations.memory().after, q.stride, begin, rows,
                 q.memory + memory_offset(net, q.stride));
  };
  remember(layout.actor, s.actor);
  run_actor(rows, s);
  keep(layout.actor, s.actor);
  const DenseLayer& head = layout.actor.head();
  head_to_columns(s.actor.head(), head.width, head.outputs, rows, s.head.data());
  if (q.values != nullptr && shape.trunk == Trunk::kShared) {
    const float* value = s.head.data() + shape.outputs() * kTileRows;
    std::copy(value, value + rows, q.values + begin);
  }
  float logp[kTileRows] = {};
  if (!shape.choices.empty()) sample_choices(q, begin, rows, s, logp);
  if (shape.reals > 0)
    sample_reals(q, begin, rows, s.head.data() + shape.total_choices() * kTileRows, logp);
  if (q.logprobs != nullptr) std::copy(logp, logp + rows, q.logprobs + begin);
  if (q.values == nullptr || shape.trunk != Trunk::kSeparate) return;
  remember(layout.critic, s.critic);
  run_critic(rows, s, q.values + begin);
  keep(layout.critic, s.critic);
}

// From the tile's input and memory, which are gathered already.
void MlpPolicy::run_actor(int rows, ForwardScratch& s) const {
  network_forward(weights_.layout.actor, weights_.params.data(), s.input, rows, s.actor,
                  s.actor_rows(), actor_rounded_ ? &*actor_rounded_ : nullptr);
}

void MlpPolicy::run_critic(int rows, ForwardScratch& s, float* values) const {
  const Network& critic = weights_.layout.critic;
  network_forward(critic, weights_.params.data(), s.input, rows, s.critic, s.critic_rows(),
                  critic_rounded_ ? &*critic_rounded_ : nullptr);
  for (int r = 0; r < rows; ++r) values[r] = s.critic.head()[r * critic.head().width];
}

void MlpPolicy::copy_masks(const ActRequest& q, int begin, int rows, ForwardScratch& s) const {
  const int mask_columns = static_cast<int>(s.masks.size()) / kTileRows;
  for (int m = 0; q.masks != nullptr && m < mask_columns; ++m) {
    const Word* column = q.masks + m * q.stride + begin;
    std::copy(column, column + rows, s.masks.data() + m * kTileRows);
  }
}

void MlpPolicy::sample_choices(const ActRequest& q, int begin, int rows, ForwardScratch& s,
                               float* logp) const {
  copy_masks(q, begin, rows, s);
  int first = 0, column = 0;
  for (const int n : weights_.layout.shape.choices) {
    float* z = s.head.data() + first * kTileRows;
    auto* actions = static_cast<std::int32_t*>(q.actions) + column * q.stride + begin;
    if (q.masks != nullptr) exclude_masked(z, s.masks.data(), first, n, rows);
    log_softmax(z, n, rows);
    if (greedy_) {
      argmax_categorical(z, n, rows, actions);
    } else {
      float u[kTileRows];
      draw_uniforms(q, begin, rows, column, u);
      sample_categorical(z, u, n, rows, actions);
      if (q.masks != nullptr) keep_allowed(z, n, rows, actions);
    }
    for (int r = 0; r < rows; ++r) logp[r] += z[actions[r] * kTileRows + r];
    first += n;
    ++column;
  }
}

// A loop for each of the first columns: with a constant number of skipped words it vectorises.
void MlpPolicy::draw_uniforms(const ActRequest& q, int begin, int rows, int column,
                              float* RM_RESTRICT u) const {
  const EpisodeColumns k = q.keys;
  const auto draw = [&](auto skip) {
    for (int r = 0; r < rows; ++r) {
      const int i = begin + r;
      u[r] = action_uniform(action_rng(seed_, k.environment[i], k.episode[i], k.step[i]), skip);
    }
  };
  switch (column) {
    case 0: return draw(std::integral_constant<int, 0>{});
    case 1: return draw(std::integral_constant<int, 1>{});
    case 2: return draw(std::integral_constant<int, 2>{});
    case 3: return draw(std::integral_constant<int, 3>{});
    default: return draw(column);
  }
}

void MlpPolicy::sample_reals(const ActRequest& q, int begin, int rows, const float* head,
                             float* logp) const {
  const PolicyShape& shape = weights_.layout.shape;
  const int choices = static_cast<int>(shape.choices.size());
  const float* fixed = weights_.params.data() + weights_.layout.log_std;
  auto* actions = static_cast<FloatWord*>(q.actions) + choices * q.stride;
  const bool gaussian = shape.distribution == RealDistribution::kGaussian;
  const bool squashed = shape.distribution == RealDistribution::kSquashed;
  if (shape.distribution == RealDistribution::kBeta)
    return sample_betas(q, begin, rows, head, logp);
  float raw[kTileRows];
  for (int a = 0; a < shape.reals; ++a) {
    const float* mean = head + a * kTileRows;
    const float* log_std = head + (shape.reals + a) * kTileRows;  // squashed only
    const float fixed_std = gaussian ? math::exp(fixed[a]) : 0.0f;
    for (int r = 0; r < rows; ++r) {
      const int i = begin + r;
      raw[r] = mean[r];
      if (greedy_ || !(gaussian || squashed)) continue;
      const Rng rng = action_rng(seed_, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]);
      const float std = squashed ? math::exp(bound_log_std(log_std[r])) : fixed_std;
      raw[r] = mean[r] + std * action_normal(rng, choices, a);
    }
    if (gaussian) add_gaussian_logp(raw, mean, fixed[a], rows, logp);
    if (squashed) add_squashed_logp(raw, mean, log_std, rows, logp);
    for (int r = 0; r < rows; ++r) {
      const std::int64_t at = static_cast<std::int64_t>(a) * q.stride + begin + r;
      const float unit = gaussian ? raw[r] : math::tanh(raw[r]);
      actions[at] = bound_action(unit, middle_[a], half_range_[a], low_[a], high_[a]);
      if (q.raw_actions != nullptr) q.raw_actions[at] = raw[r];
    }
  }
}

// A row's dimensions follow one another in its stream of draws, since each takes as many as it needs.
void MlpPolicy::sample_betas(const ActRequest& q, int begin, int rows, const float* head,
                             float* logp) const {
  const PolicyShape& shape = weights_.layout.shape;
  const int choices = static_cast<int>(shape.choices.size());
  auto* actions = static_cast<FloatWord*>(q.actions) + choices * q.stride;
  for (int r = 0; r < rows; ++r) {
    const int i = begin + r;
    Rng rng = real_action_rng(
        action_rng(seed_, q.keys.environment[i], q.keys.episode[i], q.keys.step[i]), choices);
    for (int a = 0; a < shape.reals; ++a) {
      const float* first = head + a * kTileRows + r;
      const float* second = first + shape.reals * kTileRows;
      const float alpha = beta_shape(*first), beta = beta_shape(*second);
      const float x = greedy_ ? beta_mean(alpha, beta) : sample_beta(alpha, beta, rng);
      add_beta_logp<1>(&x, first, second, 1, logp + r);
      const std::int64_t at = static_cast<std::int64_t>(a) * q.stride + i;
      actions[at] = bound_action(2.0f * x - 1.0f, middle_[a], half_range_[a], low_[a], high_[a]);
      if (q.raw_actions != nullptr) q.raw_actions[at] = x;
    }
  }
}

void MlpPolicy::value(const ObservationColumns& observations, int begin, int end, float* values,
                      const float* memory, const std::uint32_t* steps) const {
  const MlpLayout& layout = weights_.layout;
  RM_ASSERT(layout.shape.has_value() && (memory != nullptr) == (memory_columns() > 0));
  const bool shared = layout.shape.trunk == Trunk::kShared;
  const Network& net = shared ? layout.actor : layout.critic;
  ForwardScratch& s = scratch();
  const auto gather = [&](int i, int rows) {
    s.input.gather(observations, i, rows, weights_.normalizer);
  };
  for_tiles(begin, end, shared, !shared, s, gather, [&](int i, int rows) {
    if (memory != nullptr) {
      load_memory(net.memory, memory + memory_offset(net, observations.stride), observations.stride,
                  steps, i, rows, (shared ? s.actor : s.critic).before());
    }
    run_value(rows, s, values + i);
  });
}

void MlpPolicy::value_rows(const ObservationColumns& observations, const std::int64_t* at,
                           const std::uint8_t* frames, int rows, float* values) const {
  RM_ASSERT(weights_.layout.shape.has_value() && memory_columns() == 0);
  const bool shared = weights_.layout.shape.trunk == Trunk::kShared;
  ForwardScratch& s = scratch();
  const auto gather = [&](int, int) {
    s.input.gather(observations, at, frames, rows, weights_.normalizer);
  };
  for_tiles(0, rows, shared, !shared, s, gather, [&](int, int) { run_value(rows, s, values); });
}

void MlpPolicy::run_value(int rows, ForwardScratch& s, float* values) const {
  const MlpLayout& layout = weights_.layout;
  if (layout.shape.trunk != Trunk::kShared) return run_critic(rows, s, values);
  run_actor(rows, s);
  const float* v = s.actor.head() + layout.shape.outputs();
  for (int r = 0; r < rows; ++r) values[r] = v[r * layout.actor.head().width];
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

namespace {

// Outputs [first, first + count) of a layer.
void initialize_outputs(const DenseLayer& layer, int first, int count, double gain, Rng rng,
                        float* params) {
  std::vector<double> w;
  orthogonal(rng, layer.inputs, count, gain, w);
  for (int i = 0; i < layer.inputs; ++i) {
    for (int o = 0; o < count; ++o) {
      params[layer.weight + static_cast<std::int64_t>(i) * layer.width + first + o] =
          static_cast<float>(w[static_cast<std::size_t>(i) * count + o]);
    }
  }
}

// Each gate's matrices orthogonal with gain 1. The update gates start as such that keep the state: a memory that forgets within
// a few steps gets no gradient that tells it to remember (Jozefowicz et al. 2015).
template <class Key>
void initialize_memory(const MemoryLayer& m, Key&& key, float* params) {
  if (m.kind == MemoryKind::kNone) return;
  constexpr float kKeep = 1.0f;
  const int width = m.gates() * m.width;
  const DenseLayer input{m.inputs, width, width, m.input_weight, m.input_bias};
  const DenseLayer recurrent{m.size, width, width, m.recurrent_weight, m.recurrent_bias};
  for (int g = 0; g < m.gates(); ++g) {
    initialize_outputs(input, g * m.width, m.size, 1.0, key(), params);
    if (m.kind == MemoryKind::kGru)
      initialize_outputs(recurrent, g * m.width, m.size, 1.0, key(), params);
  }
  float* update = params + m.input_bias + (m.kind == MemoryKind::kGru ? m.width : 0);
  std::fill(update, update + m.size, m.kind == MemoryKind::kGru ? kKeep : -kKeep);
}

}  // namespace

void initialize_weights(PolicyWeights& weights, std::uint64_t seed, float log_std,
                        const InitGains& gains) {
  const MlpLayout& layout = weights.layout;
  float* params = weights.params.data();
  std::fill(weights.params.begin(), weights.params.end(), 0.0f);
  std::uint32_t index = 0;
  const auto key = [&] { return Rng(seed, Purpose::kInitWeights, index++, 0, 0); };
  for (const auto* net : {&layout.actor, &layout.critic}) {
    for (const ConvLayer& c : net->conv) {
      const DenseLayer patches{c.patch(), c.channels, c.channels, c.weight, c.bias};
      initialize_outputs(patches, 0, c.channels, gains.hidden, key(), params);
    }
    for (const DenseLayer& layer : net->dense) {
      if (&layer == &net->head()) initialize_memory(net->memory, key, params);
      if (&layer != &net->head()) {
        initialize_outputs(layer, 0, layer.outputs, gains.hidden, key(), params);
      } else if (net == &layout.critic) {
        initialize_outputs(layer, 0, 1, gains.critic, key(), params);
      } else {
        const int outputs = layout.shape.outputs();
        initialize_outputs(layer, 0, outputs, gains.actor, key(), params);
        if (layer.outputs > outputs)
          initialize_outputs(layer, outputs, 1, gains.critic, key(), params);
      }
    }
  }
  const int reals = layout.shape.reals;
  float* start = layout.has_log_std()
                     ? params + layout.log_std
                     : params + layout.actor.head().bias + layout.shape.total_choices() + reals;
  if (layout.has_log_std() || layout.shape.state_dependent_std())
    std::fill(start, start + reals, log_std);
}

}  // namespace rollmill
