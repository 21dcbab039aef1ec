// The comparison of a trainer on an emulated device with the CPU's, by the bytes of their checkpoints.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <memory>
#include <string>

#include "tests/trainer/resume.h"

namespace rollmill::testing {

struct DeviceRun {
  explicit DeviceRun(const std::function<std::unique_ptr<Trainer>(ProcessGroup&)>& make)
      : group(make_process_group(LaunchInfo{}, false)), trainer(make(*group)) {}
  Trainer* operator->() { return trainer.get(); }
  Trainer& operator*() { return *trainer; }
  std::unique_ptr<ProcessGroup> group;
  std::unique_ptr<Trainer> trainer;
};

inline std::string hash_of(DeviceRun& run) {
  const TempDir dir;
  const std::string folder = save_checkpoint(dir.path(), *run);
  return sha256_file(folder + "/state-rank0.h5") + sha256_file(folder + "/policy.safetensors");
}

template <class A, class B>
void expect_equal_steps(A& cpu, B& device, int reports) {
  for (int k = 0; k < reports; ++k) {
    const UpdateReport a = cpu->step(), b = device->step();
    EXPECT_EQ(a.episodes, b.episodes);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a.mean_return),
              std::bit_cast<std::uint64_t>(b.mean_return));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a.mean_length),
              std::bit_cast<std::uint64_t>(b.mean_length));
    EXPECT_EQ(a.skipped, b.skipped);
    ASSERT_EQ(a.metrics.size(), b.metrics.size());
    for (std::size_t m = 0; m < a.metrics.size(); ++m)
      EXPECT_EQ(a.metrics[m].value, b.metrics[m].value) << a.metrics[m].name << ", report " << k;
    EXPECT_EQ(hash_of(cpu), hash_of(device)) << "report " << k;
  }
}

}  // namespace rollmill::testing
