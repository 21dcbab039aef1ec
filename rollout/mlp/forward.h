// Actor-critic inference on tiles of rows. The trainer's forward pass is this same code, so the log-probability it
// recomputes for a recorded action equals the recorded one bit for bit.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "rollout/mlp/layout.h"
#include "rollout/mlp/tile_input.h"

namespace rollmill {

// Activations of one network on one tile: after l layers, output[l] is [rows][layer width].
class NetActivations {
 public:
  explicit NetActivations(const std::vector<DenseLayer>& net);
  float* layer(int l) { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }
  const float* layer(int l) const { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }

 private:
  std::vector<std::int64_t> offsets_;
  AlignedVector<float> data_;
};

// Scratch of one thread for one policy.
struct ForwardScratch {
  explicit ForwardScratch(const MlpLayout& layout);
  TileInput input;
  NetActivations actor, critic;
  AlignedVector<float> head;         // [outputs][kTileRows]: the actor's outputs as columns
  std::vector<std::uint32_t> masks;  // [mask columns][kTileRows]
};

// Runs a network on `rows` rows of input; tanh between layers, the head is linear.
void network_forward(const std::vector<DenseLayer>& net, const float* params,
                     const TileInput& input, int rows, NetActivations& activations);

// columns [outputs][kTileRows] from the head's rows [rows][width].
void head_to_columns(const float* head, int width, int outputs, int rows, float* columns);

}  // namespace rollmill
