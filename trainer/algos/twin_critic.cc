#include "trainer/algos/twin_critic.h"

#include <algorithm>

#include "core/rng/rng.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/algos/twin_rows.h"
#include "trainer/state_arrays.h"

namespace rollmill {

PolicyShape twin_critic_shape(const PolicyShape& actor) {
  const int inputs = actor.observations() + actor.reals;
  PolicyShape shape;
  shape.observed = {ObservationKind::kReal, {inputs}, {}, inputs, inputs};
  shape.reals = 1;
  shape.hidden = actor.hidden;
  shape.activation = actor.activation;
  shape.trunk = Trunk::kActorOnly;
  shape.distribution = RealDistribution::kDeterministic;
  return shape;
}

ActionScale::ActionScale(const EnvSpec& spec) {
  for (const FieldSpec& f : spec.action) {
    low.push_back(static_cast<float>(f.low));
    high.push_back(static_cast<float>(f.high));
    middle.push_back(static_cast<float>(0.5 * (f.low + f.high)));
    half_range.push_back(static_cast<float>(0.5 * (f.high - f.low)));
  }
}

void ActionScale::to_unit(const std::int32_t* words, float* unit) const {
  for (std::size_t a = 0; a < middle.size(); ++a)
    unit[a] = unit_action(words[a], middle[a], half_range[a]);
}

TwinCritic::Tile::Tile(const TwinCritic& c)
    : rows(static_cast<std::size_t>(c.inputs_) * kTileRows),
      input(c.layout_.shape),
      activations{NetActivations(c.layout_.actor), NetActivations(c.layout_.actor)},
      dhead(static_cast<std::size_t>(c.layout_.actor.head().width) * kTileRows),
      scratch(static_cast<std::size_t>(backward_scratch(c.layout_.max_width))),
      dinput(static_cast<std::size_t>(pad16(c.inputs_)) * kTileRows) {}

TwinCritic::TwinCritic(const PolicyShape& actor, std::uint64_t seed)
    : observations_(actor.observations()),
      actions_(actor.reals),
      inputs_(observations_ + actions_),
      layout_(twin_critic_shape(actor)) {
  Rng rng(seed, Purpose::kInitWeights, 1u << 31, 0, 0);  // beyond the layers of any network
  for (int c = 0; c < 2; ++c) {
    PolicyWeights one(layout_.shape);
    const std::uint64_t high = rng.bits();
    initialize_weights(one, high << 32 | rng.bits(), 0.0f);
    params_.insert(params_.end(), one.params.begin(), one.params.end());
    transposed_.emplace_back(layout_.actor);
    input_gradient_.emplace_back(layout_.actor);
  }
  target_ = params_;
  optimizer_.first.resize(params_.size());
  optimizer_.second.resize(params_.size());
}

void TwinCritic::set_observations(const TileInput& from, int rows, Tile& tile) const {
  for (int r = 0; r < rows; ++r) {
    float* to = tile.rows.data() + r * inputs_;
    if (from.sparse()) {
      std::fill(to, to + observations_, 0.0f);
      for (std::int32_t n = from.begin()[r]; n < from.begin()[r + 1]; ++n)
        to[from.ones()[n]] = 1.0f;
    } else {
      std::copy_n(from.dense() + static_cast<std::int64_t>(r) * observations_, observations_, to);
    }
  }
}

void TwinCritic::pack() {
  for (std::size_t c = 0; c < 2; ++c) {
    const float* params = params_.data() + static_cast<std::int64_t>(c) * layout_.size;
    transposed_[c].pack(layout_.actor, params);
    input_gradient_[c].pack(layout_.actor, params);
  }
}

void TwinCritic::values(const AlignedVector<float>& params, int rows, Tile& tile) const {
  std::int64_t at[kTileRows];
  for (int r = 0; r < rows; ++r) at[r] = std::int64_t{r} * inputs_;
  tile.input.gather({tile.rows.data(), 1}, at, nullptr, rows, none_);
  const int width = layout_.actor.head().width;
  for (std::size_t c = 0; c < 2; ++c) {
    network_forward(layout_.actor, params.data() + static_cast<std::int64_t>(c) * layout_.size,
                    tile.input, rows, tile.activations[c]);
    for (int r = 0; r < rows; ++r) tile.q[c][r] = tile.activations[c].head()[r * width];
  }
}

void TwinCritic::fill_head(const float* dq, int rows, Tile& tile) const {
  const int width = layout_.actor.head().width;
  std::fill(tile.dhead.begin(), tile.dhead.end(), 0.0f);
  for (int r = 0; r < rows; ++r) tile.dhead[static_cast<std::size_t>(r * width)] = dq[r];
}

TwinCritic::Sums TwinCritic::regress(const float* target, float inv_n, int rows, Tile& tile,
                                     float* gradient) const {
  Sums sums;
  for (std::size_t c = 0; c < 2; ++c) {
    float dq[kTileRows];
    for (int r = 0; r < rows; ++r) {
      const float error = tile.q[c][r] - target[r];
      dq[r] = inv_n * error;
      sums.loss += static_cast<double>(0.5f * error * error);
      sums.value += static_cast<double>(0.5f * tile.q[c][r]);
    }
    fill_head(dq, rows, tile);
    network_backward(layout_.actor, transposed_[c], tile.input, rows, tile.activations[c],
                     tile.dhead.data(), tile.scratch.data(), layout_.max_width,
                     gradient + static_cast<std::int64_t>(c) * layout_.size);
  }
  return sums;
}

void TwinCritic::action_gradient(const float (&dq)[2][kTileRows], int rows, Tile& tile,
                                 float* da) const {
  std::fill(da, da + actions_ * kTileRows, 0.0f);
  for (std::size_t c = 0; c < 2; ++c) {
    fill_head(dq[c], rows, tile);
    const InputGradient& input = input_gradient_[c];
    input.run(layout_.actor, transposed_[c], tile.activations[c], rows, tile.dhead.data(),
              tile.scratch.data(), layout_.max_width, tile.dinput.data());
    for (int a = 0; a < actions_; ++a) {
      for (int r = 0; r < rows; ++r)
        da[a * kTileRows + r] +=
            tile.dinput[static_cast<std::size_t>(r * input.width() + observations_ + a)];
    }
  }
}

double TwinCritic::update(const AdamOptions& adam, double learning_rate,
                          const BatchGradient& gradient) {
  return adam_update(adam, learning_rate, gradient, params_, optimizer_, "critics");
}

void TwinCritic::save(H5Group& root) const {
  write_array<float>(root, "critics", params_);
  write_array<float>(root, "critic_targets", target_);
  write_optimizer(root, "critic_optimizer", optimizer_);
}

std::function<void()> TwinCritic::read(const H5Group& root, const std::string& path) {
  const std::size_t n = params_.size();
  const auto params = read_finite(root, "critics", n, path, "a critic");
  const auto target = read_finite(root, "critic_targets", n, path, "a critic's target");
  return [this, params, target, optimizer = read_optimizer(root, "critic_optimizer", n, path)] {
    params_.assign(params.begin(), params.end());
    target_.assign(target.begin(), target.end());
    optimizer_ = optimizer;
  };
}

}  // namespace rollmill
