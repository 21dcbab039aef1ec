// Backward pass of one network on one tile down to its input, for losses that reach a network's input and leave its
// parameters alone: what an actor learns from a critic.
#pragma once

#include "core/base/aligned.h"
#include "trainer/fused/mlp_backward.h"

namespace rollmill {

class InputGradient {
 public:
  explicit InputGradient(const Network& net);
  // Transposes the first layer, which TransposedWeights leaves out.
  void pack(const Network& net, const float* params);
  // d loss / d input, [rows][width()], from d loss / d head [rows][head width], which is overwritten. `rest` is packed with
  // the same parameters; scratch: [2][kTileRows][max_width]. The input was dense.
  void run(const Network& net, const TransposedWeights& rest, const NetActivations& activations,
           int rows, float* dhead, float* scratch, int max_width, float* dinput) const;
  int width() const { return width_; }  // inputs padded to 16

 private:
  int width_;
  AlignedVector<float> first_;  // [outputs of the first layer][width_]
};

}  // namespace rollmill
