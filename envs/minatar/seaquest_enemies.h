// The enemies of Seaquest: a list of fish and submarines in the order of their birth, sliced into bits.
//
// The package keeps two Python lists and walks them. Here bit k of every word belongs to one enemy, a number of several
// bits has a word for each of its bits, and one operation on words works on all enemies at once. A birth shifts all words
// down by one and fills bit 31: the oldest enemy is the lowest bit, as it is the first in the package's lists.
//
// No enemy is ever shifted out. Let m be the move speed (5 to 2: an enemy moves every m + 1 steps) and e the interval between
// births. Both change in surfacings only: m falls at the 2nd, 4th and 6th, e from 20 at each; so m > 2 implies e >= 15.
//   - Born at m = 2, an enemy makes its 10th move, off the board, 2 + 9 * 3 = 29 steps later. There is one birth a step at most:
//     29 shifts.
//   - Born at m > 2, it is gone 5 + 9 * 6 = 59 steps later at the latest. While m > 2 births are 15 or more steps apart: 3 shifts.
//     Let m become 2 at the end of step u. From then on it lives 3 + 9 * 3 = 30 steps or less; e is 14 and falls by 1 in 2 steps
//     at most (to surface again one must dive first), so that births come no earlier than in steps u + 1, 15, 22, 26, 28, 29, 30:
//     7 more shifts.
//
// Enemies of one row move the same way, and none overtakes or catches up: k-th moves come in the order of birth, in different
// steps. (While m > 2 births are 15 steps apart and the three changes of m bring moves 3 steps together at most; at m = 2 all have
// the same period.) So two enemies in one cell have different timers, and only one of them moves into a cell in a step.
//
// A submarine shoots at the ages of 10, 21, 32, 43 and 54 steps. Those of 32 and more are born at m > 2, 15 to 20 steps or
// twice that apart, which is never 11 or 22: one of them at most. So no more than three shoot in a step.
#pragma once

#include <cstdint>

#include "envs/minatar/board.h"

namespace rollmill::minatar {

// All bits equal to bit k of value.
RM_HD std::uint32_t spread(std::uint32_t value, int k) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(value << (31 - k)) >> 31);
}

struct Enemies {
  std::uint32_t alive, submarine, right;
  std::uint32_t row[3];     // row - 1
  std::uint32_t column[4];  // 0 to 9
  std::uint32_t timer[3];   // steps to the next move
  std::uint32_t shot[4];    // steps to the next shot; of no meaning for fish
  template <class V>
  RM_HD constexpr void visit(V&& field) {
    field("enemy_alive", alive);
    field("enemy_submarine", submarine);
    field("enemy_right", right);
    field("enemy_row", row);
    field("enemy_column", column);
    field("enemy_timer", timer);
    field("enemy_shot", shot);
  }
};

// A cell in the same slices.
struct Place {
  std::uint32_t row[3], column[4];
  std::uint32_t below;  // all ones but for row 0, where no enemy is
};
RM_HD Place place_at(std::uint32_t x, std::uint32_t y) {
  const std::uint32_t r = y - 1u;
  return {{spread(r, 0), spread(r, 1), spread(r, 2)},
          {spread(x, 0), spread(x, 1), spread(x, 2), spread(x, 3)},
          all_if(y != 0)};
}
// Which enemies are there; dead ones too.
RM_HD std::uint32_t enemies_at(const Enemies& e, const Place& p) {
  const std::uint32_t off = (e.row[0] ^ p.row[0]) | (e.row[1] ^ p.row[1]) | (e.row[2] ^ p.row[2]) |
                            (e.column[0] ^ p.column[0]) | (e.column[1] ^ p.column[1]) |
                            (e.column[2] ^ p.column[2]) | (e.column[3] ^ p.column[3]);
  return p.below & ~off;
}

// One more word bit of a birth: everything down by `shift` (0 or 1), bit 0 of `value` on top.
RM_HD void push(std::uint32_t& word, std::uint32_t shift, std::uint32_t value) {
  word = (word >> shift) | ((value << 31) & (shift << 31));
}

// A birth at the board's edge, unless an enemy in that row moves the other way.
RM_HD void give_birth(Enemies& e, bool due, std::uint32_t row, std::uint32_t right,
                      std::uint32_t submarine, std::uint32_t move_speed) {
  const std::uint32_t other_row =
      (e.row[0] ^ spread(row, 0)) | (e.row[1] ^ spread(row, 1)) | (e.row[2] ^ spread(row, 2));
  const std::uint32_t against = e.alive & ~other_row & (e.right ^ spread(right, 0));
  const std::uint32_t born = due & (against == 0) ? 1u : 0u;
  const std::uint32_t at_9 = right ^ 1u;
  push(e.alive, born, 1);
  push(e.submarine, born, submarine);
  push(e.right, born, right);
  push(e.row[0], born, row);
  push(e.row[1], born, row >> 1);
  push(e.row[2], born, row >> 2);
  push(e.column[0], born, at_9);
  push(e.column[1], born, 0);
  push(e.column[2], born, 0);
  push(e.column[3], born, at_9);
  push(e.timer[0], born, move_speed);
  push(e.timer[1], born, move_speed >> 1);
  push(e.timer[2], born, move_speed >> 2);
  push(e.shot[0], born, 0);  // 10 steps
  push(e.shot[1], born, 1);
  push(e.shot[2], born, 0);
  push(e.shot[3], born, 1);
}

// One column on for the enemies `due`.
RM_HD void advance(Enemies& e, std::uint32_t due) {
  std::uint32_t carry =
      due;  // into the next bit: up from 1 where it moves right, down from 0 where left
  const std::uint32_t c0 = e.column[0], c1 = e.column[1], c2 = e.column[2];
  e.column[0] ^= carry;
  carry &= ~(c0 ^ e.right);
  e.column[1] ^= carry;
  carry &= ~(c1 ^ e.right);
  e.column[2] ^= carry;
  carry &= ~(c2 ^ e.right);
  e.column[3] ^= carry;
}
// Columns 10 and -1 (15) have bits 1 and 3, columns 0 to 9 never both.
RM_HD std::uint32_t off_board(const Enemies& e) { return e.column[1] & e.column[3]; }

// Timers one down; those that were 0 start again from `move_speed`.
RM_HD void tick_timers(Enemies& e, std::uint32_t move_speed) {
  const std::uint32_t t0 = e.timer[0], t1 = e.timer[1], t2 = e.timer[2];
  const std::uint32_t zero = ~(t0 | t1 | t2);
  e.timer[0] = (~t0 & ~zero) | (spread(move_speed, 0) & zero);
  e.timer[1] = (~(t1 ^ t0) & ~zero) | (spread(move_speed, 1) & zero);
  e.timer[2] = (t2 ^ (~t1 & ~t0 & ~zero)) | (spread(move_speed, 2) & zero);
}
// The same for shots, from 10. Returns those that were 0.
RM_HD std::uint32_t tick_shots(Enemies& e) {
  const std::uint32_t t0 = e.shot[0], t1 = e.shot[1], t2 = e.shot[2], t3 = e.shot[3];
  const std::uint32_t zero = ~(t0 | t1 | t2 | t3);
  e.shot[0] = ~t0 & ~zero;
  e.shot[1] = ~(t1 ^ t0) | zero;
  e.shot[2] = (t2 ^ (~t1 & ~t0)) & ~zero;
  e.shot[3] = (t3 ^ (~t2 & ~t1 & ~t0)) | zero;
  return zero;
}

// The cell of the oldest enemy of a set, as a set; empty for an empty set.
RM_HD Cells cell_of_oldest(const Enemies& e, std::uint32_t set) {
  const std::uint32_t one = set & (0u - set);
  const auto bit = [&](std::uint32_t word, std::uint32_t weight) {
    return all_if((word & one) != 0) & weight;
  };
  const std::uint32_t x =
      bit(e.column[0], 1) | bit(e.column[1], 2) | bit(e.column[2], 4) | bit(e.column[3], 8);
  const std::uint32_t y = bit(e.row[0], 1) | bit(e.row[1], 2) | bit(e.row[2], 4);
  return Cells::cell(x, y + 1u, one != 0);
}

// Enemies of one row, and the column masks all rows share, as the observation needs them.
struct EnemyColumns {
  std::uint32_t at[10];
};
RM_HD EnemyColumns enemy_columns(const Enemies& e) {
  const std::uint32_t c0 = e.column[0], c1 = e.column[1], c2 = e.column[2], c3 = e.column[3];
  const std::uint32_t low = ~c2 & ~c3, high = c2 & ~c3;
  return {{low & ~c1 & ~c0, low & ~c1 & c0, low & c1 & ~c0, low & c1 & c0, high & ~c1 & ~c0,
           high & ~c1 & c0, high & c1 & ~c0, high & c1 & c0, c3 & ~c0, c3 & c0}};
}
// Sets the cells of row r + 1 in which one of the set is.
template <int r, int x = 0>
RM_HD void set_cells(const EnemyColumns& columns, std::uint32_t set, Cells& cells) {
  constexpr int kBit = kSide * (r + 1) + x;
  const std::uint32_t bit = all_if((columns.at[x] & set) != 0) & (1u << (kBit % 32));
  (kBit < 32 ? cells.a : kBit < 64 ? cells.b : cells.c) |= bit;
  if constexpr (x < kSide - 1) set_cells<r, x + 1>(columns, set, cells);
}

// Where enemies are, and cells that hold all those that move right and none that moves left.
struct EnemyCells {
  Cells fish, submarines, right;
};
template <int r = 0>
RM_HD void find_cells(const Enemies& e, const EnemyColumns& columns, EnemyCells& found) {
  const std::uint32_t in_row = e.alive & ((r & 1) != 0 ? e.row[0] : ~e.row[0]) &
                               ((r & 2) != 0 ? e.row[1] : ~e.row[1]) &
                               ((r & 4) != 0 ? e.row[2] : ~e.row[2]);
  set_cells<r>(columns, in_row & ~e.submarine, found.fish);
  set_cells<r>(columns, in_row & e.submarine, found.submarines);
  constexpr Cells kRow = Cells::row(r + 1);
  found.right = found.right | (kRow & all_if((in_row & e.right) != 0));
  if constexpr (r < 7) find_cells<r + 1>(e, columns, found);
}

// The same where none is older than the newest four.
template <int k = 28>
RM_HD void find_newest(const Enemies& e, EnemyCells& found) {
  const auto bit = [](std::uint32_t word, int to) { return ((word >> k) & 1u) << to; };
  const std::uint32_t x =
      bit(e.column[0], 0) | bit(e.column[1], 1) | bit(e.column[2], 2) | bit(e.column[3], 3);
  const std::uint32_t y = bit(e.row[0], 0) | bit(e.row[1], 1) | bit(e.row[2], 2);
  const Cells cell = Cells::cell(x, y + 1u, true) & spread(e.alive, k);
  const std::uint32_t submarine = spread(e.submarine, k);
  found.fish = found.fish | (cell & ~submarine);
  found.submarines = found.submarines | (cell & submarine);
  found.right = found.right | (cell & spread(e.right, k));
  if constexpr (k < 31) find_newest<k + 1>(e, found);
}

}  // namespace rollmill::minatar
