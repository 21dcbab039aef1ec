// Cellss of bits, one a cell, for games on a 10 x 10 board, and rows of observation bits.
//
// Indices are template arguments and nothing loops: g++ unrolls loops after it has looked for loops to vectorise, so that
// a loop of constant length within a step can cost the vectorisation of the loop over environments.
#pragma once

#include <cstdint>

#include "envs/minatar/common.h"

namespace rollmill::minatar {

// All ones or all zeros. (Where selects follow one another, g++ threads the jumps it first makes of them through each other and
// cannot turn the tangle back into selects: then the loop over environments is not vectorised. Masks have no jumps.)
RM_HD std::uint32_t all_if(bool condition) { return 0u - static_cast<std::uint32_t>(condition); }
RM_HD std::uint32_t one_if(bool condition) { return static_cast<std::uint32_t>(condition); }

// Rows 0 to 8 of the board: cell (x, y) is bit 10 y + x of 90. (Row 9 holds gauges where a game uses it.)
struct Cells {
  std::uint32_t a = 0, b = 0, c = 0;  // bits 0-31, 32-63, 64-89

  // Column x in every row.
  RM_HD static constexpr Cells column(int x) {
    Cells cells;
    for (int y = 0; y < 9; ++y) {
      const int bit = 10 * y + x;
      (bit < 32 ? cells.a : bit < 64 ? cells.b : cells.c) |= 1u << (bit & 31);
    }
    return cells;
  }
  RM_HD static constexpr Cells row(int y) {
    Cells cells;
    for (int x = 0; x < 10; ++x) {
      const int bit = 10 * y + x;
      (bit < 32 ? cells.a : bit < 64 ? cells.b : cells.c) |= 1u << (bit & 31);
    }
    return cells;
  }
  RM_HD static Cells cell(std::uint32_t x, std::uint32_t y, bool present) {
    const std::uint32_t index = 10u * y + x, word = index >> 5;
    const std::uint32_t bit = one_if(present) << (index & 31u);
    return {bit & all_if(word == 0), bit & all_if(word == 1), bit & all_if(word == 2)};
  }
  RM_HD friend Cells operator&(const Cells& u, std::uint32_t mask) {
    return {u.a & mask, u.b & mask, u.c & mask};
  }
  RM_HD friend Cells operator&(const Cells& u, const Cells& v) {
    return {u.a & v.a, u.b & v.b, u.c & v.c};
  }
  RM_HD Cells without(const Cells& v) const { return {a & ~v.a, b & ~v.b, c & ~v.c}; }
  RM_HD friend Cells operator|(const Cells& u, const Cells& v) {
    return {u.a | v.a, u.b | v.b, u.c | v.c};
  }
  // Not 0 if they share a cell.
  RM_HD std::uint32_t meets(const Cells& v) const { return (a & v.a) | (b & v.b) | (c & v.c); }
  // Every bit one column on; those in the last column are lost.
  RM_HD Cells moved_right() const {
    constexpr Cells kEdge = column(9);
    const std::uint32_t u = a & ~kEdge.a, v = b & ~kEdge.b, w = c & ~kEdge.c;
    return {u << 1, (v << 1) | (u >> 31), (w << 1) | (v >> 31)};
  }
  RM_HD Cells moved_left() const {
    constexpr Cells kEdge = column(0);
    const std::uint32_t u = a & ~kEdge.a, v = b & ~kEdge.b, w = c & ~kEdge.c;
    return {(u >> 1) | (v << 31), (v >> 1) | (w << 31), w >> 1};
  }
};

// Ors a board into plane `kPlane` of an observation.
template <int kPlane, int kPlanes>
RM_HD void put_cells(PlaneBits<kPlanes>& planes, const Cells& cells) {
  planes.template put<kPlane * kCells, 32>(cells.a);
  planes.template put<kPlane * kCells + 32, 32>(cells.b);
  planes.template put<kPlane * kCells + 64, 26>(cells.c);
}

}  // namespace rollmill::minatar
