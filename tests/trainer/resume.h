// What every algorithm promises of its bits: a resume changes none, a number of threads changes none, and a short training
// ends where it ended when its hash was written down.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <span>
#include <string>

#include "core/io/hash.h"
#include "tests/core/io/temp_dir.h"
#include "trainer/checkpoint.h"
#include "trainer/trainer.h"

namespace rollmill::testing {

struct Run {
  explicit Run(const TrainOptions& o)
      : group(make_process_group(LaunchInfo{}, false)), trainer(make_trainer(o, *group)) {}
  Trainer* operator->() { return trainer.get(); }
  Trainer& operator*() { return *trainer; }
  std::unique_ptr<ProcessGroup> group;
  std::unique_ptr<Trainer> trainer;
};

// Weights, counters and, in the checkpoint's bytes, everything else.
inline std::string hash_of(Run& run) {
  const TempDir dir;
  const std::string folder = save_checkpoint(dir.path(), *run);
  return sha256_file(folder + "/state-rank0.h5") + sha256_file(folder + "/policy.safetensors");
}

inline void expect_resume_equals_no_interruption(const TrainOptions& o, int before = 3,
                                                 int after = 3) {
  const TempDir dir;
  Run whole(o);
  for (int k = 0; k < before; ++k) whole->step();
  const std::string saved = save_checkpoint(dir.path(), *whole);
  Run resumed(o);
  std::string warnings;
  ASSERT_EQ(load_newest_checkpoint(dir.path(), *resumed, warnings), saved);
  EXPECT_EQ(hash_of(resumed), hash_of(whole));
  for (int k = 0; k < after; ++k) {
    const UpdateReport a = whole->step(), b = resumed->step();
    // NaN where no episode has ended.
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a.mean_return), std::bit_cast<std::uint64_t>(b.mean_return));
    ASSERT_EQ(a.metrics.size(), b.metrics.size());
    for (std::size_t m = 0; m < a.metrics.size(); ++m)
      EXPECT_EQ(a.metrics[m].value, b.metrics[m].value) << a.metrics[m].name;
  }
  EXPECT_EQ(hash_of(resumed), hash_of(whole));
}

// The network must be large enough for threads to share its updates (BatchGradient::worth_threads).
inline void expect_same_on_two_threads(TrainOptions o, int updates = 4) {
  o.policy.hidden = {128, 128};
  o.threads = 1;
  Run one(o);
  o.threads = 2;
  Run two(o);
  for (int k = 0; k < updates; ++k) {
    one->step();
    two->step();
  }
  EXPECT_EQ(hash_of(one), hash_of(two));
}

// XXH3-128 of the weights after so many updates of the run.
inline std::string weights_hash(const TrainOptions& o, int updates) {
  Run run(o);
  for (int k = 0; k < updates; ++k) run->step();
  Xxh3_128 hash;
  hash.update(std::as_bytes(std::span(run->weights().params)));
  return hash.hex();
}

}  // namespace rollmill::testing
