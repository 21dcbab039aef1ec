// Which sums are taken in rank order. Gathering everybody's array and adding them as rank 0, 1, 2,
// ... costs world_size times the memory and traffic of the backend's own ring, but gives the same
// bits on every rank, whatever algorithm the backend would choose for that size. Small worlds and
// arrays only; larger ones use the backend's all-reduce.
#pragma once

#include <cstdint>

namespace rollmill {

inline constexpr int kRankOrderWorld = 8;
inline constexpr std::int64_t kRankOrderElements = std::int64_t{4} << 20;

constexpr bool sum_in_rank_order(int world_size, std::int64_t n) {
  return world_size <= kRankOrderWorld && n <= kRankOrderElements;
}

}  // namespace rollmill
