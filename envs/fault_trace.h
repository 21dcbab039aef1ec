// The last K states and actions of every environment of a host batch, as a ring, and what was found of those that broke
// (EnvBatch::take_faults). With K = 0 only the broken state is kept; counting always works.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "envs/step_kernel.h"

namespace rollmill {

// Keeps the kMaxFaults first ones by (environment, episode), whatever thread came first.
void add_fault(std::vector<Fault>& described, const Fault& fault);

class FaultTrace {
 public:
  FaultTrace() : FaultTrace(0, 0, 0, 0) {}
  FaultTrace(int steps, int state_words, int action_words, std::int64_t stride);

  bool enabled() const { return steps_ > 0; }
  std::size_t bytes() const { return ring_.size() * sizeof(std::uint32_t) + tags_.size() * 8; }

  // Environment i's past is not what the ring holds: it was restored, cloned or set.
  void forget(std::int64_t i);
  void forget_all() { std::fill(tags_.begin(), tags_.end(), kNothing); }

  // Before a step: environments [begin, end) into their slot, step % K. Ranges of several threads must not overlap.
  void record(const BatchColumns& columns, const void* actions, std::int64_t begin,
              std::int64_t end);
  // After the step that broke environment i, before its reset. Any thread.
  void report(const BatchColumns& columns, const void* actions, std::vector<double> params,
              std::int64_t i);

  EnvBatch::Faults take();

 private:
  std::uint32_t* slot(std::uint32_t step) {
    return ring_.data() + static_cast<std::int64_t>(step % static_cast<std::uint32_t>(steps_)) *
                              (state_words_ + action_words_) * stride_;
  }

  int steps_, state_words_, action_words_;
  std::int64_t stride_;
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};
  std::uint64_t& tag(std::uint32_t step, std::int64_t i) {
    return tags_[static_cast<std::size_t>(step % static_cast<std::uint32_t>(steps_)) *
                     static_cast<std::size_t>(stride_) +
                 static_cast<std::size_t>(i)];
  }
  std::vector<std::uint32_t> ring_;  // [K][state words, action words][stride]
  std::vector<std::uint64_t> tags_;  // [K][stride] episode and step of each slot
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  EnvBatch::Faults found_;
};

}  // namespace rollmill
