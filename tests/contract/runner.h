// A batch with its buffers, driven by random actions that depend only on (environment, episode,
// step), so that batches cut in different ways play the same episodes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/thread_pool.h"
#include "core/rng/rng.h"
#include "envs/registry.h"

namespace rollmill::test {

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

class Runner {
 public:
  Runner(const EnvEntry& entry, const BatchConfig& config, ThreadPool* pool = nullptr)
      : batch_(entry.make_cpu(config, pool)), n_(config.num_envs), stride_(batch_->stride()) {
    const EnvSpec& spec = batch_->spec();
    observations.resize(elements(spec.observation_size()));
    final_observations.resize(elements(spec.observation_size()));
    rewards.resize(elements(1));
    returns.resize(elements(1));
    lengths.resize(elements(1));
    ends.resize(elements(1));
    outcomes.resize(elements(1));
    choices_.resize(elements(1));
    actions_.resize(elements(spec.action_size()));
    poison();
    batch_->reset(observations.data());
  }

  EnvBatch& batch() { return *batch_; }
  const EnvSpec& spec() const { return batch_->spec(); }
  int n() const { return n_; }
  std::int64_t stride() const { return stride_; }
  int observation_size() const { return spec().observation_size(); }
  float observation(int k, int i) const { return observations[k * stride_ + i]; }
  float final_observation(int k, int i) const { return final_observations[k * stride_ + i]; }

  // Fills every output with values that a step never writes.
  void poison() {
    const float nan = __builtin_bit_cast(float, kPoison);
    for (auto* column : {&observations, &final_observations, &rewards, &returns}) {
      for (float& x : *column) x = nan;
    }
    for (std::int32_t& x : lengths) x = -7;
    for (auto* column : {&ends, &outcomes}) {
      for (std::uint8_t& x : *column) x = kPoisonByte;
    }
  }

  void step() {
    draw_actions();
    StepBuffers buffers;
    buffers.actions = spec().discrete ? static_cast<const void*>(choices_.data()) : actions_.data();
    buffers.observations = observations.data();
    buffers.rewards = rewards.data();
    buffers.ends = ends.data();
    buffers.final_observations = final_observations.data();
    buffers.outcomes = outcomes.data();
    buffers.episode_returns = returns.data();
    buffers.episode_lengths = lengths.data();
    if (cut_at.empty()) {
      batch_->step(buffers);
      return;
    }
    int end = n_;
    for (const int begin : cut_at) {
      batch_->step_range(buffers, begin, end);
      end = begin;
    }
    batch_->step_range(buffers, 0, end);
  }

  // What the last step wrote for environment i, all of it.
  void add_step(Fnv& hash, int i) const {
    hash.add(rewards[i]);
    hash.add(std::uint32_t{ends[i]});
    const bool ended = ends[i] != kRunning;
    for (int k = 0; k < observation_size(); ++k) {
      hash.add(observation(k, i));
      if (ended) hash.add(final_observation(k, i));
    }
    if (!ended) return;
    hash.add(std::uint32_t{outcomes[i]});
    hash.add(returns[i]);
    hash.add(static_cast<std::uint32_t>(lengths[i]));
  }

  // One hash per environment, of its first observations and `steps` steps.
  std::vector<std::uint64_t> play(int steps) {
    std::vector<Fnv> hashes(static_cast<std::size_t>(n_));
    for (int i = 0; i < n_; ++i) {
      for (int k = 0; k < observation_size(); ++k) hashes[i].add(observation(k, i));
    }
    for (int t = 0; t < steps; ++t) {
      step();
      for (int i = 0; i < n_; ++i) add_step(hashes[i], i);
    }
    std::vector<std::uint64_t> values;
    for (const Fnv& hash : hashes) values.push_back(hash.value());
    return values;
  }

  std::vector<std::byte> snapshot() const {
    std::vector<std::byte> bytes(batch_->snapshot_bytes());
    batch_->save(bytes.data());
    return bytes;
  }

  // Falling environment indices; if any, a step goes over the ranges between them, the last one
  // first.
  std::vector<int> cut_at;
  AlignedVector<float> observations, final_observations, rewards, returns;
  AlignedVector<std::int32_t> lengths;
  AlignedVector<std::uint8_t> ends, outcomes;

 private:
  std::size_t elements(int columns) const { return static_cast<std::size_t>(stride_ * columns); }

  void draw_actions() {
    const EpisodeColumns e = batch_->episodes();
    for (int i = 0; i < n_; ++i) {
      Rng rng(77, Purpose::kTest, e.environment[i], e.episode[i], e.step[i]);
      if (spec().discrete) {
        choices_[i] = static_cast<std::int32_t>(
            multiply_high(rng.bits(), static_cast<std::uint32_t>(spec().choices)));
      }
      for (int k = 0; !spec().discrete && k < spec().action_size(); ++k) {
        const FieldSpec& field = spec().action[k];
        actions_[k * stride_ + i] =
            rng.uniform(static_cast<float>(field.low), static_cast<float>(field.high));
      }
    }
  }

  std::unique_ptr<EnvBatch> batch_;
  int n_;
  std::int64_t stride_;
  AlignedVector<std::int32_t> choices_;
  AlignedVector<float> actions_;
};

}  // namespace rollmill::test
