// Two critics Q(observation, action) with their target networks (Fujimoto et al. 2018): what SAC and TD3 have in common.
// A critic reads the observation's numbers as the actor does, then the action scaled to [-1, 1].
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/fused/batch_gradient.h"
#include "trainer/fused/mlp_input_grad.h"
#include "trainer/replay/replay_buffer.h"

namespace rollmill {

// The range of each real action, and the way between it and [-1, 1].
struct ActionScale {
  explicit ActionScale(const EnvSpec& spec);
  // [actions] from a stored action's words.
  void to_unit(const std::int32_t* words, float* unit) const;
  std::vector<float> middle, half_range, low, high;
};

// Of one critic: a network of one output over real numbers.
PolicyShape twin_critic_shape(const PolicyShape& actor);

class TwinCritic {
 public:
  TwinCritic(const PolicyShape& actor, std::uint64_t seed);

  const MlpLayout& layout() const { return layout_; }  // of one critic
  // [2][layout().size]: both critics.
  const AlignedVector<float>& params() const { return params_; }
  const AlignedVector<float>& target() const { return target_; }
  const OptimizerState& optimizer() const { return optimizer_; }
  int actions() const { return actions_; }

  // Everything one tile of rows needs, allocated once.
  struct Tile {
    explicit Tile(const TwinCritic& critic);
    AlignedVector<float> rows;  // [rows][observation numbers + actions]
    TileInput input;
    std::array<NetActivations, 2> activations;
    AlignedVector<float> dhead, scratch, dinput;
    float q[2][kTileRows];
  };

  // Puts the observations that the actor's input holds into the tile. Then every action(r, a) is to be filled in.
  void set_observations(const TileInput& from, int rows, Tile& tile) const;
  float& action(Tile& tile, int r, int a) const {
    return tile.rows[static_cast<std::size_t>(r * inputs_ + observations_ + a)];
  }

  // Before the gradients of a minibatch: transposes the present parameters.
  void pack();
  // tile.q of both critics.
  void values(const AlignedVector<float>& params, int rows, Tile& tile) const;
  // Sums over a tile's rows and both critics: half the squared errors, half the values.
  struct Sums {
    double loss = 0, value = 0;
  };
  // After values(params()): adds the gradient of inv_n times half the squared errors to the targets. gradient: as params().
  Sums regress(const float* target, float inv_n, int rows, Tile& tile, float* gradient) const;
  // After values(params()): d loss / d action, [actions][kTileRows].
  void action_gradient(const float (&dq)[2][kTileRows], int rows, Tile& tile, float* da) const;

  // One step of Adam; returns the gradient's norm. The target networks follow with track_target.
  double update(const AdamOptions& adam, double learning_rate, const BatchGradient& gradient);
  void track_target(float tau) { track(params_, tau, target_); }

  void save(H5Group& root) const;
  std::function<void()> read(const H5Group& root, const std::string& path);

 private:
  void fill_head(const float* dq, int rows, Tile& tile) const;

  int observations_, actions_, inputs_;
  MlpLayout layout_;
  ObservationNormalizer none_;
  AlignedVector<float> params_, target_;
  OptimizerState optimizer_;
  std::vector<TransposedWeights> transposed_;
  std::vector<InputGradient> input_gradient_;
};

}  // namespace rollmill
