// Sets of the cells of an 8 x 8 board as bits of two words: cell (x, y) is bit 8 y + x. A direction is 0 up, 1 left, 2 down,
// 3 right (w, a, s, d). What leaves the board is gone.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/rng/rng.h"

namespace rollmill {

struct Board {
  std::uint32_t lo, hi;  // rows 0-3, rows 4-7

  RM_HD bool any() const { return (lo | hi) != 0; }
  RM_HD friend Board operator&(Board a, Board b) { return {a.lo & b.lo, a.hi & b.hi}; }
  RM_HD friend Board operator|(Board a, Board b) { return {a.lo | b.lo, a.hi | b.hi}; }
  RM_HD friend Board operator~(Board a) { return {~a.lo, ~a.hi}; }
  RM_HD friend bool operator==(Board a, Board b) { return ((a.lo ^ b.lo) | (a.hi ^ b.hi)) == 0; }

  RM_HD static Board cell(int x, int y) {
    const std::uint32_t bit = 1u << (8 * (y & 3) + x);
    return y < 4 ? Board{bit, 0u} : Board{0u, bit};
  }
};

inline constexpr Board kNoCells{0u, 0u};

RM_HD int opposite(int direction) { return direction ^ 2; }

RM_HD Board up(Board b) { return {b.lo >> 8 | b.hi << 24, b.hi >> 8}; }
RM_HD Board down(Board b) { return {b.lo << 8, b.hi << 8 | b.lo >> 24}; }
RM_HD Board left(Board b) { return {(b.lo & 0xFEFEFEFEu) >> 1, (b.hi & 0xFEFEFEFEu) >> 1}; }
RM_HD Board right(Board b) { return {(b.lo & 0x7F7F7F7Fu) << 1, (b.hi & 0x7F7F7F7Fu) << 1}; }

// Each cell one further.
RM_HD Board shifted(Board b, int direction) {
  const Board u = up(b), l = left(b), d = down(b), r = right(b);
  return {direction == 0   ? u.lo
          : direction == 1 ? l.lo
          : direction == 2 ? d.lo
                           : r.lo,
          direction == 0   ? u.hi
          : direction == 1 ? l.hi
          : direction == 2 ? d.hi
                           : r.hi};
}

RM_HD Board neighbours(Board b) { return up(b) | down(b) | left(b) | right(b); }

RM_HD std::uint32_t count_bits(std::uint32_t word) {
  word -= (word >> 1) & 0x55555555u;
  word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
  return (((word + (word >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
}
RM_HD std::uint32_t count(Board b) { return count_bits(b.lo) + count_bits(b.hi); }

// The n-th cell of a set, counted from 0.
RM_HD Board nth_cell(Board b, std::uint32_t n) {
  for (; n > 0; --n) {
    b.hi &= b.lo != 0 ? b.hi : b.hi - 1u;
    b.lo &= b.lo - 1u;
  }
  return b.lo != 0 ? Board{b.lo & (0u - b.lo), 0u} : Board{0u, b.hi & (0u - b.hi)};
}

// One cell of a set that is not empty, each alike (bias below 64 / 2^32).
RM_HD Board random_cell(Board b, Rng& rng) {
  return nth_cell(b, multiply_high(rng.bits(), count(b)));
}

// Each cell with a probability of its own, in steps of 1 / 65536.
RM_HD Board random_cells(float probability, Rng& rng) {
  const auto threshold = static_cast<std::uint32_t>(probability * 65536.0f);
  Board b = kNoCells;
  for (int k = 0; k < 32; ++k) {
    const std::uint32_t bits = rng.bits();
    b.lo |= ((bits & 0xFFFFu) < threshold ? 1u : 0u) << k;
    b.hi |= ((bits >> 16) < threshold ? 1u : 0u) << k;
  }
  return b;
}

// All cells that can be walked to from `start` over cells of `open`.
RM_HD Board reachable(Board start, Board open) {
  Board all = start;
  for (int k = 0; k < 64; ++k) {
    const Board wider = all | (neighbours(all) & open);
    if (wider == all) break;
    all = wider;
  }
  return all;
}

// Steps of the shortest walk to `goal`, which is reachable.
RM_HD std::uint32_t distance(Board start, Board goal, Board open) {
  std::uint32_t steps = 0;
  Board all = start;
  while (!(all & goal).any() && steps < 64) {
    all = all | (neighbours(all) & open);
    ++steps;
  }
  return steps;
}

}  // namespace rollmill
