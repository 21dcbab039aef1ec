// The actor-critic MLP as a policy: unpacked, normalised observations -> tanh MLP -> a categorical distribution for each
// discrete action column (over what the action mask allows), and for the real ones a diagonal Gaussian with a
// state-independent log standard deviation whose actions are scaled from [-1, 1] to the action bounds and clamped.
#pragma once

#include <memory>
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

// Orthogonal initialisation (Saxe et al. 2013) with gains sqrt(2) for hidden layers, 0.01 for the actor's head and 1 for
// the critic's, biases zero, as in PPO's reference implementations; randomness keyed by (seed, layer).
void initialize_weights(PolicyWeights& weights, std::uint64_t seed, float log_std);

class MlpPolicy final : public Policy {
 public:
  // `weights` must outlive the policy and may change between acts. greedy: the mode instead of a sample.
  MlpPolicy(const EnvSpec& spec, const PolicyWeights& weights, std::uint64_t seed, bool greedy,
            std::string id = "mlp");

  int frame_stack() const override { return weights_.layout.shape.frame_stack; }
  void act(const ActRequest& request) const override;
  // V(s) of environments [begin, end), into values[i].
  void value(const ObservationColumns& observations, int begin, int end, float* values) const;

  std::string id() const override { return id_; }
  std::string hash() const override;

 private:
  void act_tile(const ActRequest& q, int begin, int rows, ForwardScratch& scratch) const;
  void sample_choices(const ActRequest& q, int begin, int rows, ForwardScratch& scratch,
                      float* logp) const;
  void sample_reals(const ActRequest& q, int begin, int rows, const float* head, float* logp) const;
  void draw_uniforms(const ActRequest& q, int begin, int rows, int column, float* u) const;
  ForwardScratch& scratch() const;

  const PolicyWeights& weights_;
  std::uint64_t seed_;
  bool greedy_;
  std::string id_;
  std::vector<float> middle_, half_range_, low_, high_;  // of the real actions
};

}  // namespace rollmill
