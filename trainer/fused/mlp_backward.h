// Backward pass of one network on one tile: from d loss / d head to parameter gradients, accumulated.
#pragma once

#include <limits>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/forward.h"

namespace rollmill {

// Transposed weights of all layers but the very first (whose input needs no gradient), packed once per minibatch. bf16: the
// products of Bf16Weights' layers are bfloat16's in backward, too.
class TransposedWeights {
 public:
  explicit TransposedWeights(const Network& net, bool bf16 = false);
  void pack(const Network& net, const float* params);
  // What dense layer l's products are made of, null: float32.
  const Bf16Matrix* rounded(int l) const {
    return l < first_rounded_ ? nullptr : &rounded_[static_cast<std::size_t>(l - first_rounded_)];
  }
  // [outputs][pad16(inputs)]; of a first layer that reads patches one position after the other, [outputs][channels] each.
  const float* layer(int l) const { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }
  const float* conv(int l) const {
    return data_.data() + conv_offsets_[static_cast<std::size_t>(l)];
  }
  const float* memory_input() const { return data_.data() + memory_input_; }
  const float* memory_recurrent() const { return data_.data() + memory_recurrent_; }

 private:
  std::vector<std::int64_t> offsets_, conv_offsets_;
  std::int64_t memory_input_ = 0, memory_recurrent_ = 0;
  AlignedVector<float> data_;
  int first_rounded_ = std::numeric_limits<int>::max();
  std::vector<Bf16Matrix> rounded_;
};

// Floats of network_backward's scratch.
std::int64_t backward_scratch(int max_width);

// Whether network_backward may write this network's gradient: every layer's is made at once, of all inputs.
bool may_write_gradient(const Network& net, const TileInput& input);

// dhead [rows][head width], padding zero; it is overwritten. gradient accumulates; writes: the network's is set, as if it had been
// zero, but for padding, which must be zero.
// carry, of a network with memory: in: d loss / d memory().after by later steps; out: d loss / d before(); [rows][width].
// dpatches, of a network with by_patch: out: d loss / d the first dense layer's sums, [rows][width], of which patch_backward
// makes the rest of the gradient when the window is whole.
void network_backward(const Network& net, const TransposedWeights& transposed,
                      const TileInput& input, int rows, const NetActivations& activations,
                      float* dhead, float* scratch, int max_width, float* gradient,
                      float* carry = nullptr, float* dpatches = nullptr, bool writes = false);

}  // namespace rollmill
