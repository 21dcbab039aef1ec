#include "trainer/fused/sample_rows.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr int kTargets = 4;
constexpr int kWidest = 128;  // words: a copy of large observations costs more than it saves

int words_of(const RolloutBuffer& b) {
  return b.observation_columns + b.action_size() + b.mask_columns + kTargets;
}

// So that no row begins in the middle of a cache line that it would not fill.
std::int64_t padded(int words) {
  constexpr int kLine = kColumnAlignment / int{sizeof(float)};
  if (words > kLine) return (words + kLine - 1) / kLine * kLine;
  return words > kLine / 2 ? kLine : words > kLine / 4 ? kLine / 2 : kLine / 4;
}

// Whether they are worth their memory: of rollouts beyond a core's second-level cache whose samples are single, short rows (no memory,
// no frames before).
bool pay(const RolloutBuffer& b) {
  constexpr std::int64_t kCacheWords = std::int64_t{1} << 16;
  const int words = words_of(b);
  return b.memory_columns == 0 && b.frame_stack == 1 && words <= kWidest &&
         std::int64_t{b.horizon} * b.stride * words > kCacheWords;
}

}  // namespace

bool SampleRows::make_room(std::int64_t words) {
  const auto size = static_cast<std::size_t>(words);
  if (words_.size() >= size) return true;
  try {  // They are worth a quarter of what is free; more may be wanted by those who cannot do without.
    check_memory(4 * size * sizeof(float), "a rollout's samples as rows", "do without");
    words_.resize(size);
  } catch (const Error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

bool SampleRows::fill(const RolloutBuffer& b, ThreadPool& pool) {
  observations_ = b.observation_columns;
  actions_ = b.action_size();
  masks_ = b.mask_columns;
  width_ = padded(words_of(b));
  if (!pay(b) || !make_room(std::int64_t{b.horizon} * b.num_envs * width_)) return false;
  constexpr int kBlock = 64;  // environments at a time: their rows stay in the first-level cache
  pool.run(b.horizon, [&](int t) {
    float* slot = words_.data() + std::int64_t{t} * b.num_envs * width_;
    for (int first = 0; first < b.num_envs; first += kBlock) {
      const int end = std::min(first + kBlock, b.num_envs);
      float* to = slot;  // the next column's word of environment 0
      const auto put = [&](const void* column) {
        const auto* from = static_cast<const float*>(column);
        for (int i = first; i < end; ++i) std::memcpy(to + i * width_, from + i, sizeof(float));
        ++to;
      };
      for (int c = 0; c < observations_; ++c) put(b.observation_slot(t) + c * b.stride);
      for (int c = 0; c < b.choice_columns; ++c) put(b.discrete_slot(t) + c * b.stride);
      for (int c = 0; c < b.real_columns; ++c) put(b.raw_action_slot(t) + c * b.stride);
      for (int c = 0; c < masks_; ++c) put(b.mask_slot(t) + c * b.stride);
      for (const float* column : {b.logprobs, b.values, b.returns, b.advantages})
        put(column + t * b.stride);
    }
  });
  return true;
}

}  // namespace rollmill
