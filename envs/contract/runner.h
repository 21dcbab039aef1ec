// A batch with its buffers, driven by random actions that depend only on (environment, episode, step), so that batches
// cut in different ways play the same episodes. What the contract checks (envs/contract/checks.h) run on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/thread_pool.h"
#include "core/rng/rng.h"
#include "envs/registry.h"

namespace rollmill::contract {

// FNV-1a, 64 bits, over 32-bit words.
class Fnv {
 public:
  void add(std::uint32_t word) { value_ = (value_ ^ word) * 0x100000001b3u; }
  void add(float x) { add(__builtin_bit_cast(std::uint32_t, x)); }
  void add(std::uint64_t x) {
    add(static_cast<std::uint32_t>(x));
    add(static_cast<std::uint32_t>(x >> 32));
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

inline constexpr std::uint32_t kPoison = 0x7fc0dead;  // a NaN that no computation makes
inline constexpr std::uint8_t kPoisonByte = 0xEE;
// Columns behind the observations and masks that nobody may write.
inline constexpr int kGuardColumns = 4;

class Runner {
 public:
  Runner(const EnvEntry& entry, const BatchConfig& config, ThreadPool* pool = nullptr);

  EnvBatch& batch() { return *batch_; }
  const EnvSpec& spec() const { return batch_->spec(); }
  int n() const { return n_; }
  std::int64_t stride() const { return stride_; }
  // Words of one observation, and of one mask.
  int columns() const { return spec().observation_columns(); }
  int mask_columns() const { return spec().mask_columns; }
  Word observation(int k, int i) const { return observations[index(k, i)]; }
  Word final_observation(int k, int i) const { return final_observations[index(k, i)]; }
  Word mask(int k, int i) const { return masks[index(k, i)]; }
  Word final_mask(int k, int i) const { return final_masks[index(k, i)]; }
  // Bit b of environment i's mask; true where there is no mask.
  bool allows(int b, int i) const {
    return mask_columns() == 0 || ((mask(b / 32, i) >> (b % 32)) & 1u) != 0;
  }
  float* observation_data() { return reinterpret_cast<float*>(observations.data()); }
  Word* mask_data() { return mask_columns() == 0 ? nullptr : masks.data(); }
  const void* actions() const { return actions_.data(); }
  std::uint32_t action_word(int k, int i) const { return actions_[index(k, i)]; }

  // Fills every output with values that a step never writes.
  void poison();
  StepBuffers buffers();
  // A step with random allowed actions.
  void step();
  // A step with the actions that are there.
  void step_again();
  void draw_actions();
  void set_action_word(int k, int i, std::uint32_t word) { actions_[index(k, i)] = word; }

  // What the last step wrote for environment i, all of it.
  void add_step(Fnv& hash, int i) const;
  // One hash per environment, of its first observations and `steps` steps.
  std::vector<std::uint64_t> play(int steps);
  std::vector<std::byte> snapshot() const;

  // Falling environment indices; if any, a step goes over the ranges between them, the last one first.
  std::vector<int> cut_at;
  AlignedVector<std::uint32_t> observations, final_observations, masks, final_masks;
  AlignedVector<float> rewards, returns;
  AlignedVector<std::int32_t> lengths;
  AlignedVector<std::uint32_t> levels;
  AlignedVector<std::uint8_t> ends, outcomes;

 private:
  std::size_t index(int k, int i) const { return static_cast<std::size_t>(k * stride_ + i); }
  std::size_t elements(int columns) const { return static_cast<std::size_t>(stride_ * columns); }

  std::unique_ptr<EnvBatch> batch_;
  int n_;
  std::int64_t stride_;
  AlignedVector<std::uint32_t> actions_;  // columns of words
};

}  // namespace rollmill::contract
