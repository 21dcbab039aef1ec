// Stored observations -> what the networks read, a tile of rows at a time.
//
//   real numbers, pixels    dense   numbers [rows][size]
//   one-hot, bits           sparse  for each row, which of its `size` numbers are 1; all others are 0
//
// With frame stacking a row is its frames one after another, the oldest first. Frames are not copied anywhere: they are
// read from the rollout's earlier slots. A frame from before the episode began reads as 0, after normalisation.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/aligned.h"
#include "rollout/mlp/layout.h"
#include "rollout/normalizer.h"

namespace rollmill {

// Rows of one tile: a multiple of every kernel's register block; activations of a 64-wide layer take 12 KiB.
inline constexpr int kTileRows = 48;

// Observations [D][stride] of environments. With frame stacking the frame before one lies `slot` words before it, and
// `frames[i]` earlier ones belong to environment i's episode.
struct ObservationColumns {
  const float* words = nullptr;
  std::int64_t stride = 0;
  std::int64_t slot = 0;
  const std::uint8_t* frames = nullptr;  // [N]; may be null without frame stacking
};

class TileInput {
 public:
  // capacity: rows at most.
  explicit TileInput(const PolicyShape& shape, int capacity = kTileRows);

  // Environments begin .. begin + rows of the columns.
  void gather(const ObservationColumns& from, std::int64_t begin, int rows,
              const ObservationNormalizer& normalizer);
  // Row r: column 0 at from.words[at[r]], its episode's earlier frames: frames[r] (from.frames is not read).
  void gather(const ObservationColumns& from, const std::int64_t* at, const std::uint8_t* frames,
              int rows, const ObservationNormalizer& normalizer);

  int size() const { return size_; }
  bool sparse() const { return sparse_; }
  const float* dense() const { return dense_.data(); }
  // Row r's ones are ones()[begin()[r]] .. ones()[begin()[r + 1] - 1], ascending.
  const std::int32_t* ones() const { return ones_.data(); }
  const std::int32_t* begin() const { return begin_; }

 private:
  template <class At, class Frames>
  void gather_rows(const ObservationColumns& from, At at, Frames frames, int rows,
                   const ObservationNormalizer& normalizer);
  template <class At, class Frames>
  void gather_reals(const ObservationColumns& from, At at, Frames frames, int rows,
                    const ObservationNormalizer& normalizer);
  void gather_pixels(const Word* words, std::int64_t stride, float* out) const;
  int add_bits(const Word* words, std::int64_t stride, int first, int count);
  int add_choices(const Word* words, std::int64_t stride, int first, int count);

  ObservationSpec observed_;
  int frames_, size_;
  bool sparse_;
  AlignedVector<float> dense_;
  std::vector<std::int32_t> ones_;
  std::int32_t begin_[kTileRows + 1] = {};
};

}  // namespace rollmill
