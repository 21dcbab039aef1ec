// What off-policy learners on a GPU do to a minibatch whatever they learn: rows to the numbers that networks read, and the tiles'
// gradients to one, with its norm (trainer/fused/batch_gradient.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/device/kernel.cuh"
#include "rollout/unpack.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/fused/ordered_sums.h"

namespace rollmill {

// Observations at `from` to input [tile_rows][tile_row(elements)]; rows beyond `rows` are 0. Begins and ends with a barrier.
__device__ inline void gather_rows(const UnpackRule& unpack, const float* const* from, int rows,
                                   int tile_rows, float* input) {
  __syncthreads();
  for (int item = threadIdx.x; item < unpack.elements * tile_rows; item += blockDim.x) {
    const int r = item % tile_rows, k = item / tile_rows;
    const float x =
        r < rows ? unpack_element(unpack, reinterpret_cast<const Word*>(from[r]), 1, k) : 0.0f;
    input[r * tile_row(unpack.elements) + k] = x;
  }
  __syncthreads();
}

// The tile of this block: its first row of the minibatch, and its rows. A block takes them through in parts of as many rows as its
// shared memory has room for: a gradient adds rows in their order, so that the parts change no bit.
struct BatchTile {
  int first, rows;
  __device__ BatchTile(int batch, int tiles) {
    const std::int64_t t = blockIdx.x, n = batch;
    first = static_cast<int>(n * t / tiles);
    rows = static_cast<int>(n * (t + 1) / tiles) - first;
  }
};

// Rows of a part where floats(rows) may be `most`; 0: not even the fewest.
template <class Floats>
int rows_of_part(std::size_t most, Floats&& floats) {
  for (const int rows : {kLearnRows, kLearnRows / 2, kLearnRows / 4, kLearnBlockRows}) {
    if (floats(rows) <= most) return rows;
  }
  return 0;
}

RM_HD int layers_room(const LearnNet& net) {
  int room = 0;
  for (int l = 0; l < net.count; ++l) room += net.layers[l].room;
  return room;
}
RM_HD int head_width(const LearnNet& net) { return net.layers[net.count - 1].width; }

// gradient [n] = tile 0 + tile 1 + ..., parts [tiles][n].
RM_KERNEL void add_tiles_kernel(const float* parts, int tiles, std::int64_t n, float* gradient) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float sum = parts[i];
  for (int t = 1; t < tiles; ++t) sum += parts[t * n + i];
  gradient[i] = sum;
}

// One block: the norm in the order of BatchGradient::norm, which is one chunk of kNormLanes lanes: as many threads add, all bring the
// numbers to where they are near. Shared memory: kPlanFloats, [kNormLanes] doubles and [kNormFloats]. The result is thread 0's.
inline constexpr int kNormFloats = 4096;  // of a gradient at a time
inline constexpr std::size_t kPlanFloats = 2 * kNormLanes + kNormFloats;
__device__ inline double gradient_norm(const float* gradient, std::int64_t size) {
  auto* lanes = reinterpret_cast<double*>(shared_memory());
  float* near = shared_memory() + 2 * kNormLanes;
  const int thread = static_cast<int>(threadIdx.x);
  double sum = 0;
  for (std::int64_t begin = 0; begin < size; begin += kNormFloats) {
    const std::int64_t left = size - begin;
    const int n = static_cast<int>(left < kNormFloats ? left : kNormFloats);
    for (int i = thread; i < n; i += static_cast<int>(blockDim.x)) near[i] = gradient[begin + i];
    __syncthreads();
    for (int i = thread; thread < kNormLanes && i < n; i += kNormLanes)
      sum += static_cast<double>(near[i]) * static_cast<double>(near[i]);
    __syncthreads();
  }
  if (thread < kNormLanes) lanes[thread] = sum;
  __syncthreads();
  double squares = 0;
  for (int l = 0; thread == 0 && l < kNormLanes; ++l) squares += lanes[l];
  return sqrt(squares);
}

}  // namespace rollmill
