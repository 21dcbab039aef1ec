// What a block of learner_patches.cuh works in, and which patches the rows of a window show.
//
// Ids are in the order of the rows that show them first (rollout/mlp/patches.h), so that the first row with a patch is a name for it
// that every row finds by itself; and rows in order of (first row, row) are those of the first id, then those of the second, ...
#pragma once

#include "rollout/mlp/patches.h"
#include "trainer/fused/learner_kernels.cuh"

namespace rollmill {

static_assert(kPatchRows % kLearnRows == 0 && kPatchRows % 4 == 0 && kPatchRows < 255);
inline constexpr int kNoPatch = 255;  // of rows that a window has not
inline constexpr int kPatchEnds =
    kPatchRows + 4;  // bytes: where ids' rows begin, and where the last's end

RM_HD int patch_words(const ConvLayer& c) { return (c.patch() + 31) / 32; }

// A block's region.
struct PatchRegion {
  float* features;         // [tile_rows][positions][channels] of a tile
  float* dy;               // [kPatchRows][width]: d loss / d the first dense layer's sums
  std::uint32_t* patches;  // [positions][words][kPatchRows]: bit k of a patch is its number k
  std::uint32_t* counts;   // [positions] ids
  std::uint8_t* first;     // [positions][kPatchRows] the first row with this row's patch
  std::uint8_t* order;     // [positions][kPatchRows] rows by id, each id's in their order
  std::uint8_t* begin;     // [positions][kPatchEnds] of each id's among those
};

// Floats that a block keeps for tiles of so many rows.
RM_HD std::int64_t patch_kept_floats(const LearnTask& task, int tile_rows) {
  const ConvLayer& c = task.actor.conv[0].layer;
  const int position =
      patch_words(c) * kPatchRows + 1 + (2 * kPatchRows + kPatchEnds) / int{sizeof(float)};
  const std::int64_t floats = std::int64_t{tile_rows} * c.outputs() +
                              std::int64_t{kPatchRows} * task.actor.layers[0].width +
                              std::int64_t{c.positions()} * position;
  return (floats + 3) / 4 * 4;
}

__device__ inline PatchRegion patch_region(const LearnTask& task, float* kept, int tile_rows) {
  const ConvLayer& c = task.actor.conv[0].layer;
  const std::int64_t positions = c.positions();
  PatchRegion g{};
  g.features = kept;
  g.dy = g.features + std::int64_t{tile_rows} * c.outputs();
  g.patches = reinterpret_cast<std::uint32_t*>(g.dy + kPatchRows * task.actor.layers[0].width);
  g.counts = g.patches + positions * patch_words(c) * kPatchRows;
  g.first = reinterpret_cast<std::uint8_t*>(g.counts + positions);
  g.order = g.first + positions * kPatchRows;
  g.begin = g.order + positions * kPatchRows;
  return g;
}

// Words of a row's observation: frames one after the other, each of observation_columns words; one more, because bits are read from
// two words; an odd number, so that the rows' words lie in different banks.
RM_HD int image_row(const LearnTask& task) {
  return (task.policy.frame_stack * task.policy.observation_columns + 1) | 1;
}
// Floats of a row of a PatchTile: a tile's images, later the ids in hand.
RM_HD int patch_shared_row(const LearnTask& task) {
  const ConvLayer& c = task.actor.conv[0].layer;
  const int ids = 2 * c.channels + patch_words(c), image = image_row(task);
  return ids > image ? ids : image;
}

inline std::size_t patch_shared_floats(const LearnTask& task) {
  return learn_shared_floats(task) + static_cast<std::size_t>(patch_shared_row(task)) * kLearnRows;
}

// Shared memory for tiles of kRows rows, and as many ids in hand.
template <int kRows>
struct PatchTile {
  std::uint32_t* image;         // [kRows][image_row]
  float *features, *dfeatures;  // [kRows][channels] of the ids in hand
  std::uint32_t* seen;          // [kRows][words] their patches
};

template <int kRows>
__device__ inline PatchTile<kRows> patch_tile(const LearnTask& task, float* shared) {
  const int channels = task.actor.conv[0].layer.channels;
  PatchTile<kRows> t{};
  t.image = reinterpret_cast<std::uint32_t*>(shared);
  t.features = shared;
  t.dfeatures = t.features + kRows * channels;
  t.seen = reinterpret_cast<std::uint32_t*>(t.dfeatures + kRows * channels);
  return t;
}

// The bits of samples `units`, as gather_samples reads them; rows beyond are 0.
template <int kRows>
__device__ inline void gather_images(const LearnTask& task, const std::uint32_t* units, int rows,
                                     std::uint32_t* image) {
  const RolloutBuffer& b = task.buffer;
  const int columns = task.policy.observation_columns, frames = task.policy.frame_stack;
  const auto envs = static_cast<std::uint32_t>(b.num_envs);
  for (int item = threadIdx.x; item < frames * columns * kRows; item += blockDim.x) {
    const int r = item % kRows, n = item / kRows;
    const int back = frames - 1 - n / columns;
    std::uint32_t word = 0;
    if (r < rows) {
      const std::int64_t t = units[r] / envs, i = units[r] % envs;
      if (back == 0 || b.frames[t * b.stride + i] >= back) {
        const float* frame = b.observations + (t - back) * columns * b.stride;
        word = reinterpret_cast<const Word*>(frame)[n % columns * b.stride + i];
      }
    }
    image[r * image_row(task) + n] = word;
  }
  __syncthreads();
}

// What a tile's rows show at each position, into the window's rows from `row` on. A patch is runs of neighbouring bits of a frame.
// Ends with a barrier.
template <int kRows>
__device__ inline void cut_patches(const LearnTask& task, const std::uint32_t* image, int row,
                                   const PatchRegion& region) {
  const ConvLayer& c = task.actor.conv[0].layer;
  const int planes = c.channels_in / task.policy.frame_stack, words = patch_words(c);
  for (int item = threadIdx.x; item < c.positions() * kRows; item += blockDim.x) {
    const int r = item % kRows, p = item / kRows;
    const int top = p / c.width * c.stride, left = p % c.width * c.stride;
    std::uint32_t* to = region.patches + std::int64_t{p} * words * kPatchRows + row + r;
    std::uint64_t bits = 0;
    int filled = 0;
    for (int line = 0; line < c.channels_in * c.kernel; ++line) {
      const int channel = line / c.kernel, ky = line % c.kernel;
      const std::uint32_t* frame =
          image + r * image_row(task) + channel / planes * task.policy.observation_columns;
      const int first = (channel % planes * c.height_in + top + ky) * c.width_in + left;
      for (int kx = 0; kx < c.kernel; kx += 32) {
        const int n = c.kernel - kx < 32 ? c.kernel - kx : 32, at = first + kx;
        const std::uint64_t two = std::uint64_t{frame[at / 32 + 1]} << 32 | frame[at / 32];
        bits |= (two >> (at % 32) & ((std::uint64_t{1} << n) - 1)) << filled;
        filled += n;
        if (filled < 32) continue;
        *to = static_cast<std::uint32_t>(bits);
        to += kPatchRows;
        bits >>= 32;
        filled -= 32;
      }
    }
    if (filled > 0) *to = static_cast<std::uint32_t>(bits);
  }
  __syncthreads();
}

// At each position: for every row the first that shows the same; then rows in order of (first, row), which are counted before each.
// Ends with a barrier.
__device__ inline void name_patches(const ConvLayer& c, int rows, const PatchRegion& region) {
  const int words = patch_words(c), items = c.positions() * kPatchRows;
  for (int item = threadIdx.x; item < items; item += blockDim.x) {
    const int p = item / kPatchRows, r = item % kPatchRows;
    const std::uint32_t* patches = region.patches + std::int64_t{p} * words * kPatchRows;
    const auto same = [&](int other) {
      std::uint32_t differ = 0;
      for (int w = 0; w < words; ++w)
        differ |= patches[w * kPatchRows + other] ^ patches[w * kPatchRows + r];
      return differ == 0;
    };
    int first = kNoPatch;
    if (r < rows) {
      for (first = 0; !same(first);) ++first;  // r at the latest
    }
    region.first[item] = static_cast<std::uint8_t>(first);
  }
  __syncthreads();
  for (int item = threadIdx.x; item < items; item += blockDim.x) {
    const int p = item / kPatchRows, r = item % kPatchRows;
    if (r >= rows) continue;
    const auto* four = reinterpret_cast<const std::uint32_t*>(region.first + p * kPatchRows);
    const int mine = region.first[item];
    int before = 0, ids = 0;  // rows that come before this one; ids whose first row does
    for (int q = 0; q < kPatchRows; q += 4) {
      std::uint32_t firsts = four[q / 4];
      for (int k = 0; k < 4; ++k, firsts >>= 8) {
        const int other = static_cast<int>(firsts & 255u);
        before += other * 256 + q + k < mine * 256 + r ? 1 : 0;
        ids += q + k < r && other == q + k ? 1 : 0;
      }
    }
    std::uint8_t* begin = region.begin + p * kPatchEnds;
    region.order[p * kPatchRows + before] = static_cast<std::uint8_t>(r);
    if (mine == r) begin[ids++] = static_cast<std::uint8_t>(before);
    if (r + 1 < rows) continue;
    region.counts[p] = static_cast<std::uint32_t>(ids);
    begin[ids] = static_cast<std::uint8_t>(rows);
  }
  __syncthreads();
}

// Which patches the rows of a window show.
__device__ inline void read_window(const LearnTask& task, const std::uint32_t* units, int rows,
                                   const PatchTile<kLearnRows>& t, const PatchRegion& region) {
  for (int first = 0; first < rows; first += kLearnRows) {
    const int n = rows - first < kLearnRows ? rows - first : kLearnRows;
    gather_images<kLearnRows>(task, units + first, n, t.image);
    cut_patches<kLearnRows>(task, t.image, first, region);
  }
  name_patches(task.actor.conv[0].layer, rows, region);
}

}  // namespace rollmill
