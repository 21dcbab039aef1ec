// For step loops over grids that vectorise (the reports of -fopt-info-vec name what keeps a loop from it).
//
// pick() selects by a mask. g++ turns a chain of ?: on the same few counters into jumps before it vectorises, and then the
// loop stays scalar. For the same reason: & and | for && and ||, no bool in a struct, no test of a single bit by & 1.
#pragma once

#include <cstdint>
#include <utility>

#include "core/base/macros.h"
#include "core/math/math.h"

namespace rollmill::grid {

// 0 or all ones.
RM_HD std::uint32_t all_if(bool condition) { return 0u - static_cast<std::uint32_t>(condition); }

// condition ? a : b
RM_HD std::uint32_t pick(bool condition, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & all_if(condition));
}
RM_HD std::int32_t pick(bool condition, std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(
      pick(condition, static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b)));
}
RM_HD float pick(bool condition, float a, float b) {
  return math::from_bits(pick(condition, math::to_bits(a), math::to_bits(b)));
}

// 1 or 0. Conditions that are put together from others are such words, for the same reason.
RM_HD constexpr std::uint32_t flag(bool condition) { return condition ? 1u : 0u; }

// 1 if any bit of the word is set, else 0, without a comparison.
RM_HD constexpr std::uint32_t nonzero(std::uint32_t word) { return (word | (0u - word)) >> 31; }

// 1 if the words are equal, else 0.
RM_HD constexpr std::uint32_t equal(std::uint32_t a, std::uint32_t b) {
  return 1u - nonzero(a ^ b);
}

// After a lambda's parameters: g++ inlines it whatever its size.
#define RM_INLINED __attribute__((always_inline))

// body(k) for k = 0 .. n - 1, each k a constant: no inner loop is left.
template <int n, class Body>
RM_HD constexpr void unrolled(Body&& body) {
  [&]<int... k>(std::integer_sequence<int, k...>) RM_INLINED {
    (body(std::integral_constant<int, k>{}), ...);
  }
  (std::make_integer_sequence<int, n>{});
}

// A row of bits whose parts lie at places known when it is compiled, for Planes observations.
template <int words>
struct Packed {
  std::uint32_t word[words] = {};

  // Ors `bits` in, its bit 0 at `first`.
  template <int first>
  RM_HD void put(std::uint32_t bits) {
    word[first / 32] |= bits << (first % 32);
    if constexpr (first % 32 != 0 && first / 32 + 1 < words) {
      word[first / 32 + 1] |= bits >> (32 - first % 32);
    }
  }
};

}  // namespace rollmill::grid
