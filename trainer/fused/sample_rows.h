// A rollout's samples as rows: all that a minibatch reads of one sample side by side, in one cache line or a few, where the rollout's
// columns have it in as many lines as there are columns. Made once an update, read in every epoch.
#pragma once

#include <cstdint>

#include "core/base/aligned.h"
#include "core/base/thread_pool.h"
#include "rollout/buffer.h"

namespace rollmill {

class SampleRows {
 public:
  // Reads all of the rollout; false where that does not pay or the memory has no room: its columns are read then.
  bool fill(const RolloutBuffer& buffer, ThreadPool& pool);

  // Words from one sample to the next; sample t * num_envs + i is environment i at step t.
  std::int64_t width() const { return width_; }

  // Word w of a sample: its observation's columns, then its actions' (discrete ones as they are, real ones as they were drawn), the
  // mask's, and log-probability, value, return and advantage.
  const float* row(std::int64_t sample) const { return words_.data() + sample * width_; }
  int first_action() const { return observations_; }
  int first_mask() const { return observations_ + actions_; }
  int first_target() const { return observations_ + actions_ + masks_; }

  // Asks for sample's words.
  void prefetch(std::int64_t sample) const {
    constexpr int kLine = kColumnAlignment / int{sizeof(float)};
    const float* words = row(sample);
    for (std::int64_t w = 0; w < width_; w += kLine) __builtin_prefetch(words + w);
  }

 private:
  bool make_room(std::int64_t words);

  AlignedVector<float> words_;
  std::int64_t width_ = 0;
  int observations_ = 0, actions_ = 0, masks_ = 0;
};

}  // namespace rollmill
