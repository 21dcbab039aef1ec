// Levels of KeyDoor (envs/grid/key_door.h): a tree of rooms, locks, keys on the near side of their doors, things, a mission.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/rng/rng.h"

namespace rollmill::key_door {

// Uniform in [0, n) but for a bias below n / 2^32.
RM_HD std::uint32_t below(Rng& rng, std::uint32_t n) { return multiply_high(rng.bits(), n); }

// The eight colours in random order, four bits each.
RM_HD std::uint32_t shuffled_colors(Rng& rng) {
  std::uint32_t word = 0x76543210u;
  for (std::uint32_t k = 8; k > 1; --k) {
    const std::uint32_t a = 4 * (k - 1), b = 4 * below(rng, k);
    const std::uint32_t swap = ((word >> a) ^ (word >> b)) & 15u;
    word ^= swap << a;
    word ^= swap << b;
  }
  return word;
}

// Neighbour of a room; 8: none. Directions: 0 up, 1 right, 2 down, 3 left.
RM_HD std::uint32_t next_room(std::uint32_t room, std::uint32_t direction) {
  const std::uint32_t column = room & 3u, row = room >> 2;
  if (direction == 0) return row == 1 ? room - 4 : 8u;
  if (direction == 2) return row == 0 ? room + 4 : 8u;
  if (direction == 1) return column < 3 ? room + 1 : 8u;
  return column > 0 ? room - 1 : 8u;
}

// A cell in the middle of the wall on that side of a room, moved along the wall by offset 0..2.
RM_HD std::uint32_t door_cell(std::uint32_t room, std::uint32_t direction, std::uint32_t offset) {
  const std::uint32_t x = 4 * (room & 3u), y = 4 * (room >> 2);
  if (direction == 0) return 16 * (y - 1) + x + offset;
  if (direction == 2) return 16 * (y + 3) + x + offset;
  return 16 * (y + offset) + (direction == 1 ? x + 3 : x - 1);
}

// Cells of the rooms that objects lie on, nine bits a room.
struct Taken {
  std::uint32_t cells[8];
  // A free cell of a room, each alike, taken from now on.
  RM_HD std::uint32_t take(std::uint32_t room, Rng& rng) {
    std::uint32_t free = 0;
    for (int k = 0; k < 9; ++k) free += (~cells[room] >> k) & 1u;
    std::uint32_t left = below(rng, free), at = 0;
    for (std::uint32_t k = 0; k < 9; ++k) {
      const bool is_free = ((cells[room] >> k) & 1u) == 0;
      if (is_free && left == 0) {
        at = k;
        break;
      }
      left -= is_free ? 1u : 0u;
    }
    cells[room] |= 1u << at;
    return 16 * (4 * (room >> 2) + at / 3) + 4 * (room & 3u) + at % 3;
  }
};

template <class Env>
RM_HD void make_level(typename Env::State& s, const typename Env::Params& p, Rng& rng) {
  const auto rooms = static_cast<std::uint32_t>(p.rooms), doors = rooms - 1;
  const auto wanted = static_cast<std::uint32_t>(p.locked);
  const std::uint32_t door_colors = shuffled_colors(rng), thing_colors = shuffled_colors(rng);
  std::uint32_t order[8] = {below(rng, 8)};  // rooms as the tree reaches them
  std::uint32_t used = 1u << order[0], locks_left = wanted < doors ? wanted : doors;
  Taken taken{};
  for (std::uint32_t d = 0; d < doors; ++d) {
    // From a room and side drawn at random on to the first side with a free room beyond; there always is one.
    std::uint32_t from = 0, side = 0, to = 8;
    for (std::uint32_t start = below(rng, 4 * (d + 1)), k = 0; k < 4 * (d + 1); ++k) {
      const std::uint32_t pick = (start + k) % (4 * (d + 1));
      from = order[pick / 4];
      side = pick % 4;
      to = next_room(from, side);
      if (to < 8 && (used >> to & 1u) == 0) break;
    }
    used |= 1u << to;
    order[d + 1] = to;
    const std::uint32_t color = (door_colors >> (4 * d)) & 7u;
    const std::uint32_t locked = below(rng, doors - d) < locks_left ? 1u : 0u;
    s.door[d] =
        door_cell(from, side, below(rng, 3)) | color << 7 | locked << 10 | 1u << 11 | to << 12;
    const std::uint32_t key_room = order[below(rng, d + 1)];
    if (locked == 0) continue;
    --locks_left;
    s.object[d] = taken.take(key_room, rng) | Env::kKey << 7 | color << 9 | Env::kLies;
  }
  const auto things = 1u + static_cast<std::uint32_t>(p.distractors);
  for (std::uint32_t k = 0; k < things; ++k) {
    const std::uint32_t kind = Env::kBall + below(rng, 2), color = (thing_colors >> (4 * k)) & 7u;
    const std::uint32_t room = order[1 + below(rng, doors)];
    s.object[Env::kDoors + k] = taken.take(room, rng) | kind << 7 | color << 9 | Env::kLies;
  }
  const std::uint32_t any = 1u + below(rng, 3);
  const std::uint32_t mission = p.mission == 0 ? any : static_cast<std::uint32_t>(p.mission);
  const std::uint32_t thing = Env::kDoors + below(rng, things);
  std::uint32_t door = below(rng, doors);
  // Not into the room where it lies, if there is another.
  if (mission == Env::kBring &&
      Env::room_of(Env::cell_of(s.object[thing])) == (s.door[door] >> 12)) {
    door = (door + 1) % doors;
  }
  s.mission = mission | thing << 2 | door << 6 | order[0] << 9;
  Taken nobody{};
  s.agent = nobody.take(order[0], rng) | below(rng, 4) << 7;
  s.carried = 0;
}

}  // namespace rollmill::key_door
