// Actor-critic inference on tiles of rows. The trainer's forward pass is this same code, so the log-probability it
// recomputes for a recorded action equals the recorded one bit for bit.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "rollout/mlp/bf16.h"
#include "rollout/mlp/conv.h"
#include "rollout/mlp/layout.h"
#include "rollout/mlp/memory.h"
#include "rollout/mlp/patches.h"
#include "rollout/mlp/tile_input.h"

namespace rollmill {

// Activations of one network on one tile of at most `rows` rows: after l layers, output[l] is [rows][layer width].
class NetActivations {
 public:
  explicit NetActivations(const Network& net, int rows = kTileRows);
  NetActivations(NetActivations&&) = default;  // memory_ points into data_, which moves along
  float* layer(int l) { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }
  const float* layer(int l) const { return data_.data() + offsets_[static_cast<std::size_t>(l)]; }
  float* conv(int l) { return data_.data() + conv_offsets_[static_cast<std::size_t>(l)]; }
  const float* conv(int l) const {
    return data_.data() + conv_offsets_[static_cast<std::size_t>(l)];
  }
  // bf16_rows of layer l's output, which the forward pass makes where the next layer rounds and the backward pass reads.
  const float* round(int l, std::int64_t row, int columns, int rows) {
    Rounded& r = rounded_[static_cast<std::size_t>(l)];
    return r.rows = bf16_rows(layer(l), row, columns, rows, r.room);
  }
  const float* rounded(int l) const { return rounded_[static_cast<std::size_t>(l)].rows; }
  const float* head() const { return data_.data() + offsets_.back(); }
  // Of a network with memory: the caller fills before(), [rows][width], and takes memory().after.
  float* before() { return data_.data() + before_; }
  MemoryTile memory() const { return memory_; }

 private:
  std::vector<std::int64_t> offsets_, conv_offsets_;
  std::int64_t before_ = 0;
  AlignedVector<float> data_;
  struct Rounded {
    AlignedVector<float> room;
    const float* rows = nullptr;
  };
  std::vector<Rounded> rounded_;  // [dense layers]
  MemoryTile memory_{};
};

// Where a tile's rows are in a window, of a network with by_patch: from `row` on. sums are prepared.
struct PatchRows {
  const PatchSums* sums = nullptr;
  int row = 0;
};

// Scratch of one thread for one policy.
struct ForwardScratch {
  explicit ForwardScratch(const MlpLayout& layout);
  PatchRows actor_rows() const { return {window ? &window->actor : nullptr, tile_row}; }
  PatchRows critic_rows() const { return {window ? window->critic.get() : nullptr, tile_row}; }

  TileInput input;
  NetActivations actor, critic;
  std::shared_ptr<PatchWindow> window;  // of networks with by_patch
  int tile_row = 0;                     // where the tile begins in it
  AlignedVector<float> head;            // [outputs of the actor's head][kTileRows], as columns
  std::vector<std::uint32_t> masks;     // [mask columns][kTileRows]
};

// Rows [begin, begin + rows) of a network's memory, from columns [size][stride] and back. steps: episodes at step 0 have
// nothing to remember, their rows are 0; null: all have.
void load_memory(const MemoryLayer& layer, const float* columns, std::int64_t stride,
                 const std::uint32_t* steps, std::int64_t begin, int rows, float* before);
void store_memory(const MemoryLayer& layer, const float* after, std::int64_t stride,
                  std::int64_t begin, int rows, float* columns);

// Weights of the layers whose products may be bfloat16's: of dense layer first_bf16_layer() and all after it.
class Bf16Weights {
 public:
  explicit Bf16Weights(const Network& net);
  void pack(const Network& net, const float* params);
  const Bf16Matrix& layer(int l) const { return layers_[static_cast<std::size_t>(l - first_)]; }

 private:
  int first_;
  std::vector<Bf16Matrix> layers_;
};
inline int first_bf16_layer(const Network& net) {
  return first_bf16_layer(!net.conv.empty(), net.by_patch);
}

// Runs a network on `rows` rows of input, with memory from activations.before(). patches: of a network with by_patch, which then
// reads nothing of the input. rounded: packed with the same parameters; null: all products in float32.
void network_forward(const Network& net, const float* params, const TileInput& input, int rows,
                     NetActivations& activations, PatchRows patches = {},
                     const Bf16Weights* rounded = nullptr);

// columns [outputs][kTileRows] from the head's rows [rows][width].
void head_to_columns(const float* head, int width, int outputs, int rows, float* columns);

}  // namespace rollmill
