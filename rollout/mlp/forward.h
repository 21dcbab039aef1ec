// Actor-critic inference on tiles of rows. The trainer's forward pass is this same code, so the log-probability it
// recomputes for a recorded action equals the recorded one bit for bit.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "rollout/mlp/layout.h"
#include "rollout/normalizer.h"

namespace rollmill {

// Rows of one tile: a multiple of every kernel's register block; activations of a 64-wide layer take 12 KiB.
inline constexpr int kTileRows = 48;

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
  AlignedVector<float> input;  // [kTileRows][observations], normalised
  NetActivations actor, critic;
  AlignedVector<float> head;  // [outputs][kTileRows]: the actor's outputs as columns
};

// Copies rows begin..begin+rows of column storage (element k at columns[k * stride + i]) into input [rows][size].
void gather_input(const float* columns, std::int64_t stride, std::int64_t begin, int rows, int size,
                  const ObservationNormalizer& normalizer, float* input);

// One element (k) of those rows: out[r * out_step] from column[r].
void normalize_column(const float* column, int rows, int k, const ObservationNormalizer& normalizer,
                      float* out, int out_step);

// Runs a network on `rows` rows of input; tanh between layers, the head is linear.
void network_forward(const std::vector<DenseLayer>& net, const float* params, const float* input,
                     int input_row, int rows, NetActivations& activations);

// columns [outputs][kTileRows] from the head's rows [rows][width].
void head_to_columns(const float* head, int width, int outputs, int rows, float* columns);

}  // namespace rollmill
