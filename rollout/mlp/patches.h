// Convolutions over ones that are looked up instead of computed.
//
// In images of ones and zeros (MinAtar's objects on a board) a convolution sees the same few patches again and again, mostly an
// empty one. Where a network begins with one convolution over such images and a dense layer that reads it (Network::by_patch),
// what a patch adds to that dense layer depends on the patch and its position alone. So some rows at a time, a window, go in
// together, and each patch that they show at a position is computed once:
//
//   h[id]   = activation(bias + sum of the convolution's weights where the patch has ones)      [channels]
//   sum[id] = h[id] * the dense layer's weights of that position                                 [width]
//   y[row]  = bias + sum[id at position 0] + sum[id at position 1] + ...
//
// Every sum runs in a fixed order, from 0 within sum[id], so a row's bits do not depend on the rows that it is with, and a GPU
// that computes all of it for every row gets the same (rollout/mlp/patch_kernels.cuh). The gradient goes the same way back
// (trainer/fused/patch_backward.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/conv.h"
#include "rollout/mlp/layout.h"
#include "rollout/mlp/tile_input.h"

namespace rollmill {

// Rows of a window: more share more patches, but theirs must stay in the second-level cache.
inline constexpr int kPatchRows = 4 * kTileRows;

// Which patches a window's rows show. Ids are numbers from 0 on, position after position, at one position in the order of the
// rows that show them first.
class PatchIds {
 public:
  explicit PatchIds(const ConvLayer& layer);

  void clear() { rows_ = 0; }
  // Appends the rows of a tile that was gathered; kPatchRows in all.
  void add(const TileInput& input, int rows);
  // After the last of them.
  void name();

  int rows() const { return rows_; }
  int positions() const { return positions_; }
  const std::int32_t* of_row(int row) const {  // [positions]
    return ids_.data() + std::int64_t{row} * positions_;
  }
  const std::int32_t* at_position(int position) const {  // [rows]
    return by_position_.data() + std::int64_t{position} * kPatchRows;
  }
  // Ids at a position: first(position) .. first(position + 1) - 1.
  int first(int position) const { return first_[static_cast<std::size_t>(position)]; }
  int size() const { return first(positions_); }
  // body(k) for every one of the patch, ascending in its order (channel, ky, kx).
  template <class Body>
  void for_ones(int id, Body&& body) const {
    for (int w = 0; w < words_; ++w) {
      for (std::uint64_t bits = patches_[static_cast<std::size_t>(id * words_ + w)]; bits != 0;
           bits &= bits - 1)
        body(64 * w + __builtin_ctzll(bits));
    }
  }

 private:
  template <int kWords>
  void add_row(const TileInput& input, int row);
  template <int kWords>
  void name_position(int position);

  int positions_, words_, rows_ = 0;  // words of a patch
  std::shared_ptr<const ConvSights> sights_;
  std::vector<std::uint64_t> images_;            // [positions][kPatchRows][words]
  std::vector<std::int32_t> ids_, by_position_;  // [kPatchRows][positions], [positions][kPatchRows]
  std::vector<std::int32_t> first_;              // [positions + 1]
  std::vector<std::uint64_t> patches_;           // [ids][words]
  std::vector<std::int32_t> slots_;              // ids of one position by hash, -1: free
};

// What a window's patches come to in one network.
class PatchSums {
 public:
  // patches and room must outlive it. room: for the sums, which other windows' may use by turns.
  PatchSums(const Network& net, const PatchIds& patches, AlignedVector<float>& room);
  PatchSums(const PatchSums&) = delete;
  PatchSums& operator=(const PatchSums&) = delete;

  // Of patches that have names, with these parameters.
  void prepare(const float* params);
  // y [rows][width of the dense layer] of the window's rows from `row` on. Before the room is another's.
  void forward(const float* params, int row, int rows, float* y) const;

  const PatchIds& patches() const { return patches_; }
  const float* features(int id) const {  // [ids][channels], from this id on
    return features_.data() + std::int64_t{id} * layer_.channels;
  }

 private:
  const PatchIds& patches_;
  const ConvLayer layer_;
  const DenseLayer dense_;
  const Activation activation_;
  AlignedVector<float> features_;      // [ids][channels]
  AlignedVector<float>& sums_;         // [ids][width]
  std::int32_t begin_[kTileRows + 1];  // 0, positions, 2 * positions, ...
};

// What forward needs of one window at a time, and backward of none: windows that are taken one after the other share it.
struct PatchRoom {
  AlignedVector<float> actor, critic;  // PatchSums'
};

// A window of a policy's networks.
struct PatchWindow {
  PatchWindow(const MlpLayout& layout, std::shared_ptr<PatchRoom> room);
  // Null unless layout.shape.by_patch().
  static std::unique_ptr<PatchWindow> of(const MlpLayout& layout,
                                         const std::shared_ptr<PatchRoom>& room) {
    return layout.shape.by_patch() ? std::make_unique<PatchWindow>(layout, room) : nullptr;
  }

  // Both networks' sums.
  void prepare(const float* params);

  std::shared_ptr<PatchRoom> room;
  PatchIds ids;
  PatchSums actor;
  std::unique_ptr<PatchSums> critic;  // where there is one
};

}  // namespace rollmill
