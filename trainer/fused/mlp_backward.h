// Backward pass of one network on one tile: from d loss / d head to parameter gradients, accumulated.
#pragma once

#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/forward.h"

namespace rollmill {

// Transposed weights of all layers but the first (whose input needs no gradient), packed once per minibatch.
class TransposedWeights {
 public:
  explicit TransposedWeights(const std::vector<DenseLayer>& net);
  void pack(const std::vector<DenseLayer>& net, const float* params);
  const float* layer(int l) const { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }

 private:
  std::vector<std::int64_t> offsets_;
  AlignedVector<float> data_;
};

// dhead [rows][head width], padding zero; it and `scratch` are overwritten. scratch: [2][kTileRows][max width].
void network_backward(const std::vector<DenseLayer>& net, const TransposedWeights& transposed,
                      const TileInput& input, int rows, const NetActivations& activations,
                      float* dhead, float* scratch, int max_width, float* gradient);

}  // namespace rollmill
