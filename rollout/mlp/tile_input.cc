#include "rollout/mlp/tile_input.h"

#include <bit>

#include "rollout/mlp/elementwise.h"
#include "rollout/unpack.h"

namespace rollmill {

TileInput::TileInput(const PolicyShape& shape, int capacity)
    : observed_(shape.observed),
      frames_(shape.frame_stack),
      size_(shape.observations()),
      sparse_(shape.sees_ones()) {
  if (!sparse_) dense_.resize(static_cast<std::size_t>(size_) * static_cast<std::size_t>(capacity));
  const int most = observed_.kind == ObservationKind::kBits ? size_ : frames_ * observed_.columns;
  if (sparse_) ones_.resize(static_cast<std::size_t>(most) * static_cast<std::size_t>(capacity));
}

// Column by column: neighbouring rows lie side by side, so that the loops over rows vectorise.
template <class At, class Frames>
void TileInput::gather_reals(const ObservationColumns& from, At at, Frames frames, int rows,
                             const ObservationNormalizer& normalizer) {
  const int elements = observed_.elements, size = size_;
  for (int f = 0; f < frames_; ++f) {
    const int back = frames_ - 1 - f;  // frames before the newest
    const float* RM_RESTRICT words = from.words - back * from.slot;
    for (int k = 0; k < elements; ++k) {
      alignas(kColumnAlignment) float column[kTileRows];
      const float* RM_RESTRICT source = words + k * from.stride;
      for (int r = 0; r < rows; ++r) column[r] = source[at(r)];
      if (normalizer.enabled()) {
        const float shift = normalizer.shift()[k], scale = normalizer.scale()[k],
                    clip = normalizer.clip();
        for (int r = 0; r < rows; ++r)
          column[r] = normalize_observation(column[r], shift, scale, clip);
      }
      if (back > 0) {
        for (int r = 0; r < rows; ++r) column[r] = frames(r) >= back ? column[r] : 0.0f;
      }
      float* RM_RESTRICT out = dense_.data() + f * elements + k;
      for (int r = 0; r < rows; ++r) out[r * size] = column[r];
    }
  }
}

void TileInput::gather_pixels(const Word* words, std::int64_t stride, float* out) const {
  const int whole = observed_.elements / 4;
  for (int w = 0; w < whole; ++w) {
    const Word word = words[w * stride];
    for (int byte = 0; byte < 4; ++byte) out[4 * w + byte] = unpack_byte(word, byte);
  }
  for (int k = 4 * whole; k < observed_.elements; ++k)
    out[k] = unpack_byte(words[whole * stride], k % 4);
}

// Appends the ones of one frame, whose first element is `first`; returns how many there are now.
int TileInput::add_bits(const Word* words, std::int64_t stride, int first, int count) {
  for (int w = 0; w < observed_.columns; ++w) {
    std::uint32_t bits = words[w * stride];
    const int left = observed_.elements - 32 * w;  // nothing is read beyond the last element
    if (left < 32) bits &= (1u << left) - 1u;
    for (; bits != 0; bits &= bits - 1)
      ones_[static_cast<std::size_t>(count++)] = first + 32 * w + std::countr_zero(bits);
  }
  return count;
}

int TileInput::add_choices(const Word* words, std::int64_t stride, int first, int count) {
  for (int c = 0; c < observed_.columns; ++c) {
    const auto choice = static_cast<std::int32_t>(words[c * stride]);
    const int n = observed_.choices[static_cast<std::size_t>(c)];
    if (choice >= 0 && choice < n) ones_[static_cast<std::size_t>(count++)] = first + choice;
    first += n;
  }
  return count;
}

template <class At, class Frames>
void TileInput::gather_rows(const ObservationColumns& from, At at, Frames frames, int rows,
                            const ObservationNormalizer& normalizer) {
  if (observed_.kind == ObservationKind::kReal)
    return gather_reals(from, at, frames, rows, normalizer);
  int count = 0;
  for (int r = 0; r < rows; ++r) {
    const std::int64_t newest = at(r);
    for (int f = 0; f < frames_; ++f) {
      const int back = frames_ - 1 - f, first = f * observed_.elements;
      const bool known = back == 0 || frames(r) >= back;
      const Word* words = reinterpret_cast<const Word*>(from.words) + newest - back * from.slot;
      float* out = dense_.data() + static_cast<std::int64_t>(r) * size_ + first;
      switch (observed_.kind) {
        case ObservationKind::kBits:
          if (known) count = add_bits(words, from.stride, first, count);
          break;
        case ObservationKind::kChoices:
          if (known) count = add_choices(words, from.stride, first, count);
          break;
        default:
          if (known) {
            gather_pixels(words, from.stride, out);
          } else {
            std::fill(out, out + observed_.elements, 0.0f);
          }
      }
    }
    begin_[r + 1] = count;
  }
}

void TileInput::gather(const ObservationColumns& from, std::int64_t begin, int rows,
                       const ObservationNormalizer& normalizer) {
  const std::uint8_t* frames = from.frames;
  gather_rows(
      from, [begin](int r) { return begin + r; },
      [frames, begin](int r) { return static_cast<int>(frames[begin + r]); }, rows, normalizer);
}

void TileInput::gather(const ObservationColumns& from, const std::int64_t* at,
                       const std::uint8_t* frames, int rows,
                       const ObservationNormalizer& normalizer) {
  gather_rows(
      from, [at](int r) { return at[r]; }, [frames](int r) { return static_cast<int>(frames[r]); },
      rows, normalizer);
}

}  // namespace rollmill
