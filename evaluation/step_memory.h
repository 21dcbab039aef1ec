// Memory of one step of a batch, without what a learner needs, and random actions drawn ahead of it: what a measurement of the
// environments alone works in.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/aligned.h"
#include "envs/batch.h"

namespace rollmill {

// Every column of StepBuffers but the levels, which only a varied world has.
class StepMemory {
 public:
  StepMemory(const EnvSpec& spec, int num_envs);
  StepBuffers buffers();
  void* actions() { return actions_.data(); }
  float* observations() { return reinterpret_cast<float*>(observations_.data()); }
  Word* masks() { return masks_.empty() ? nullptr : reinterpret_cast<Word*>(masks_.data()); }
  std::int64_t stride() const { return stride_; }
  std::int64_t bytes() const;

 private:
  std::int64_t stride_;
  AlignedVector<std::uint32_t> observations_, masks_, actions_, final_observations_;
  AlignedVector<float> rewards_, episode_returns_;
  AlignedVector<std::int32_t> episode_lengths_;
  AlignedVector<std::uint8_t> ends_, outcomes_;
};

// Bytes that one environment cannot do without: its state, and the action, observation, mask, reward and end of a step.
std::int64_t field_bytes(const EnvSpec& spec);

// Uniform actions for kRows steps of `count` environments, before any clock runs. Of no use where a mask says what is allowed.
class ActionTable {
 public:
  static constexpr int kRows = 64;
  ActionTable(const EnvSpec& spec, int count, std::uint64_t seed);
  // Row `row % kRows` into columns [begin, end) of actions [A][stride]; end - begin <= count.
  void copy(std::int64_t row, void* actions, std::int64_t stride, int begin, int end) const;

 private:
  int columns_;
  std::int64_t row_stride_;
  AlignedVector<std::uint32_t> words_;  // [kRows][columns][row stride]; int32 or float32, four bytes each
};

}  // namespace rollmill
