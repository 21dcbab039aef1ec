// bfloat16 numbers: rounding, pairs in a word, and the order in which tensor cores read a matrix of them.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/basic.h"

namespace rollmill {

// Of a number, as float32: to the nearest, ties to even; below the smallest normal number 0 with its sign. NaN stays NaN.
RM_HD float round_bf16(float x) {
  const std::uint32_t bits = math::to_bits(x);
  if (x != x) return x;
  if ((bits & 0x7F800000u) == 0) return math::from_bits(bits & 0x80000000u);
  return math::from_bits((bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u);
}

// Two numbers, rounded, as one word; and back. (A NaN whose bits lie in the lower half only would become an infinity.)
RM_HD std::uint32_t bf16_bits(float x) {
  return x != x ? 0x7FFFu : math::to_bits(round_bf16(x)) >> 16;
}
RM_HD std::uint32_t bf16_pair(float low, float high) {
  return bf16_bits(low) | bf16_bits(high) << 16;
}
RM_HD float low_bf16(std::uint32_t pair) { return math::from_bits(pair << 16); }
RM_HD float high_bf16(std::uint32_t pair) { return math::from_bits(pair & 0xFFFF0000u); }

// Words from one row of a tile to the next whose `width` numbers, a multiple of 16, lie there as pairs. 4 more than a multiple of 8:
// the words that the 32 lanes of a warp read together, 4 of 8 rows or 8 of every second row, are in 32 banks.
RM_HD int bf16_row(int width) { return width / 2 + 4; }

// A matrix [inputs][width], the second factor of a product, as mma_bf16 (core/device/instructions.cuh) reads it: for 16 inputs after
// 16, for 16 columns after 16, for each lane the four words that it needs of those, 16 bytes that are read at once. Inputs are
// padded with zeros. A block of 16 columns is two of the instruction's 8; column c of half h is column c / 2 * 4 + h * 2 + c % 2 of
// the block, so that a lane's sums are four neighbours.
RM_HD std::int64_t fragment_words(int inputs, int width) {
  return static_cast<std::int64_t>(inputs + 15) / 16 * 8 * width;
}
// Word i of it; value(k, j): the matrix's numbers, from row `inputs` on zeros.
template <class Value>
RM_HD std::uint32_t fragment_word(std::int64_t i, int width, Value&& value) {
  const int word = static_cast<int>(i % 4), lane = static_cast<int>(i / 4 % 32);
  const auto block = static_cast<int>(i / 128);
  const int blocks = width / 16, column = lane / 4;
  const int k = block / blocks * 16 + word % 2 * 8 + lane % 4 * 2;
  const int j = block % blocks * 16 + column / 2 * 4 + word / 2 * 2 + column % 2;
  return bf16_pair(value(k, j), value(k + 1, j));
}

}  // namespace rollmill
