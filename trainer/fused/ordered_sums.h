// Orders in which long columns are added, that many threads of a GPU can keep as well as one core: chunks of fixed size, in each
// a few lanes, lane after lane, chunk after chunk.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill {

// A minibatch's advantages: lane l of a chunk has its units l, l + kSumLanes, ...
inline constexpr int kSumChunk = 1024, kSumLanes = 32;
constexpr int sum_chunks(std::int64_t n) {
  return static_cast<int>((n + kSumChunk - 1) / kSumChunk);
}

// A gradient's squares: sixteen lanes a chunk.
inline constexpr int kNormChunk = 1024, kNormLanes = 16;
constexpr int norm_chunks(std::int64_t n) {
  return static_cast<int>((n + kNormChunk - 1) / kNormChunk);
}

// Lane `lane`'s part of chunk [begin, end) of value(0), value(1), ...
template <class Value>
RM_HD double lane_sum(std::int64_t begin, std::int64_t end, int lane, int lanes, Value&& value) {
  double sum = 0;
  for (std::int64_t i = begin + lane; i < end; i += lanes) sum += value(i);
  return sum;
}

// The whole chunk, by one thread.
template <int kLanes, class Value>
RM_HD double chunk_sum(std::int64_t begin, std::int64_t end, Value&& value) {
  double lanes[kLanes] = {};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += value(i + l);
  }
  for (int l = 0; i < end; ++i, ++l) lanes[l] += value(i);
  double sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}

}  // namespace rollmill
