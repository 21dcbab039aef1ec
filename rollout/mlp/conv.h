// Convolutions on a tile of rows, one image a row, without padding (as torch.nn.Conv2d with padding 0).
//   first layer   reads planes [channel][y][x], as numbers or as the indices of the ones; patches are (channel, ky, kx)
//   later layers  read what the one before wrote, [y][x][channel]; patches are (ky, kx, channel)
// Output [y][x][channel], channels a multiple of 16. A position's sum runs over its patch in ascending order, each
// multiply-add fused, so that ones as indices and as numbers give the same bits (rollout/mlp/dense.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/layout.h"
#include "rollout/mlp/tile_input.h"

namespace rollmill {

// Which positions see which numbers of a layer's planes, and where in their patches.
struct ConvSights {
  struct Sight {
    std::int32_t patch, position;
  };
  explicit ConvSights(const ConvLayer& layer);
  // Those of a layer, the same for all threads.
  static std::shared_ptr<const ConvSights> shared(const ConvLayer& layer);
  bool of(const ConvLayer& layer) const;

  ConvLayer layer;
  std::vector<Sight> sights;        // input number after input number
  std::vector<std::int32_t> first;  // [inputs + 1] where those of each begin
};

// What one thread needs of a layer: room for one image's patches [positions][patch] and for their gradients, and its sights,
// which all threads share.
class ConvScratch {
 public:
  AlignedVector<float> patches, gradients;
  void reserve(const ConvLayer& layer);
  const ConvSights& sights(const ConvLayer& layer);

 private:
  std::shared_ptr<const ConvSights> sights_;
};

// y [rows][positions][channels] = bias + patches W.
void conv_forward(const ConvLayer& layer, const float* params, const TileInput& input, int rows,
                  ConvScratch& scratch, float* y);
// x [rows][input numbers], of a later layer.
void conv_forward(const ConvLayer& layer, const float* params, const float* x, int rows,
                  ConvScratch& scratch, float* y);

// gradient (the whole flat array) accumulates. dy [rows][positions][channels].
void conv_weight_grad(const ConvLayer& layer, const TileInput& input, const float* dy, int rows,
                      ConvScratch& scratch, float* gradient);
void conv_weight_grad(const ConvLayer& layer, const float* x, const float* dy, int rows,
                      ConvScratch& scratch, float* gradient);
// dx [rows][input numbers] from dy and the transposed weights [channels][pad16(patch)] of a later layer.
void conv_input_grad(const ConvLayer& layer, const float* transposed, const float* dy, int rows,
                     ConvScratch& scratch, float* dx);

}  // namespace rollmill
