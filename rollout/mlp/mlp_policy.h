// The actor-critic MLP as a policy: unpacked, normalised observations -> MLP -> a categorical distribution for each
// discrete action column (over what the action mask allows), and for the real ones a RealDistribution over [-1, 1], scaled to
// the action bounds.
#pragma once

#include <memory>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/forward.h"
#include "rollout/policy.h"

namespace rollmill {

// Everything that defines what an MLP policy does.
struct PolicyWeights {
  explicit PolicyWeights(const PolicyShape& shape)
      : layout(shape), params(static_cast<std::size_t>(layout.size)) {}
  MlpLayout layout;
  AlignedVector<float> params;
  ObservationNormalizer normalizer;  // of one frame's elements; only real observations have one
};

// What the orthogonal matrices of a start are scaled by; the defaults are those of PPO's reference implementations.
struct InitGains {
  double hidden = std::numbers::sqrt2;  // of convolutions and hidden layers
  double actor = 0.01, critic = 1.0;    // of the outputs
  bool operator==(const InitGains&) const = default;
};

// Orthogonal initialisation (Saxe et al. 2013), biases zero; randomness keyed by (seed, layer). log_std: where the real actions'
// log standard deviations start, be they parameters or outputs.
void initialize_weights(PolicyWeights& weights, std::uint64_t seed, float log_std,
                        const InitGains& gains = {});

class MlpPolicy final : public Policy {
 public:
  // `weights` must outlive the policy and may change between acts. greedy: the mode instead of a sample. bf16: with products of
  // bfloat16 numbers (rollout/mlp/bf16.h), of the weights as they were at the last refresh().
  MlpPolicy(const EnvSpec& spec, const PolicyWeights& weights, std::uint64_t seed, bool greedy,
            std::string id = "mlp", bool bf16 = false);
  void refresh();

  const PolicyShape& shape() const { return weights_.layout.shape; }
  int frame_stack() const override { return weights_.layout.shape.frame_stack; }
  void act(const ActRequest& request) const override;
  // What act() would say of actions that are there already, the request's actions and raw_actions: their log-probabilities and
  // the values. Bit for bit what it said when it took them. Without memory.
  void judge(const ActRequest& request) const;
  bool has_value() const override { return weights_.layout.shape.has_value(); }
  int memory_columns() const override { return weights_.layout.shape.memory_columns(); }
  // V(s) of environments [begin, end), into values[i]. The policy has_value(). With memory: `memory` [memory columns]
  // [observations.stride] is what it remembered before this observation (0 where steps[i] is 0; steps may be null); it stays.
  void value(const ObservationColumns& observations, int begin, int end, float* values,
             const float* memory = nullptr, const std::uint32_t* steps = nullptr) const;
  // V of at most kTileRows observations wherever they are, TileInput::gather's rows, into values[r]. Without memory.
  void value_rows(const ObservationColumns& observations, const std::int64_t* at,
                  const std::uint8_t* frames, int rows, float* values) const;

  std::string id() const override { return id_; }
  std::string hash() const override;

 private:
  // For the tiles of environments [begin, end): gather(first, rows) fills the scratch's input, tile(first, rows) runs networks.
  // actor, critic: which of them.
  template <class Gather, class Tile>
  void for_tiles(int begin, int end, bool actor, bool critic, ForwardScratch& scratch,
                 Gather&& gather, Tile&& tile) const;
  template <class Tile>
  void for_tiles(const ActRequest& q, ForwardScratch& scratch, Tile&& tile) const;
  void act_tile(const ActRequest& q, int begin, int rows, ForwardScratch& scratch) const;
  void judge_tile(const ActRequest& q, int begin, int rows, ForwardScratch& scratch) const;
  void copy_masks(const ActRequest& q, int begin, int rows, ForwardScratch& scratch) const;
  void sample_choices(const ActRequest& q, int begin, int rows, ForwardScratch& scratch,
                      float* logp) const;
  void sample_reals(const ActRequest& q, int begin, int rows, const float* head, float* logp) const;
  void sample_betas(const ActRequest& q, int begin, int rows, const float* head, float* logp) const;
  // Where a network's memory begins among the policy's columns.
  std::int64_t memory_offset(const Network& net, std::int64_t stride) const {
    return &net == &weights_.layout.critic ? weights_.layout.shape.memory_size * stride : 0;
  }
  void run_actor(int rows, ForwardScratch& scratch) const;
  void run_critic(int rows, ForwardScratch& scratch, float* values) const;
  // V by the network that says it; of a tile's input.
  void run_value(int rows, ForwardScratch& scratch, float* values) const;
  void draw_uniforms(const ActRequest& q, int begin, int rows, int column, float* u) const;
  ForwardScratch& scratch() const;

  const PolicyWeights& weights_;
  std::uint64_t seed_;
  bool greedy_;
  std::string id_;
  std::optional<Bf16Weights> actor_rounded_, critic_rounded_;
  std::vector<float> middle_, half_range_, low_, high_;  // of the real actions
};

}  // namespace rollmill
