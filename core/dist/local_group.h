// Threads of one process as ranks, for tests: the same results as the real groups (sums in rank
// order), no network.
//
//   LocalWorld world(2);
//   std::thread a([&] { LocalGroup group(world, 0); ... });
//   std::thread b([&] { LocalGroup group(world, 1); ... });
#pragma once

#include <barrier>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/dist/process_group.h"

namespace rollmill {

struct LocalWorld {
  explicit LocalWorld(int size) : slots(static_cast<std::size_t>(size)), meet(size) {}
  std::vector<std::string> slots;  // what each rank brings to the collective in progress
  std::barrier<> meet;
};

class LocalGroup final : public ProcessGroup {
 public:
  LocalGroup(LocalWorld& world, int rank) : world_(world), rank_(rank) {}

  int rank() const override { return rank_; }
  int world_size() const override { return static_cast<int>(world_.slots.size()); }
  std::string backend() const override { return "local"; }
  void all_reduce_sum(float* data, std::int64_t n, const char* what) override {
    sum(data, n, what);
  }
  void all_reduce_sum(double* data, std::int64_t n, const char* what) override {
    sum(data, n, what);
  }
  void all_reduce_sum_device(float*, std::int64_t, void*, const char* what) override {
    fail_device(std::string("all-reduce of device memory (") + what + ") over threads");
  }
  // (Host memory, for kernels that run on host threads.)
  void all_gather_device(void* all, std::int64_t bytes, void*, const char* what) override {
    const auto size = static_cast<std::size_t>(bytes);
    char* to = static_cast<char*>(all);
    for (const std::string& part :
         all_gather({to + static_cast<std::size_t>(rank_) * size, size}, what)) {
      std::memcpy(to, part.data(), size);
      to += size;
    }
  }
  void wait_device(void*, const char*) override {}
  void abort_device() override {}
  std::vector<std::string> all_gather(const std::string& bytes, const char*) override {
    world_.slots[static_cast<std::size_t>(rank_)] = bytes;
    world_.meet.arrive_and_wait();
    std::vector<std::string> all = world_.slots;
    world_.meet
        .arrive_and_wait();  // nobody writes the next collective's bytes before all have read these
    return all;
  }
  void barrier(const char*) override { world_.meet.arrive_and_wait(); }

 private:
  template <class T>
  void sum(T* data, std::int64_t n, const char* what) {
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    const auto all = all_gather(std::string(reinterpret_cast<const char*>(data), bytes), what);
    std::memcpy(data, all[0].data(), bytes);
    for (std::size_t r = 1; r < all.size(); ++r) {
      for (std::int64_t i = 0; i < n; ++i) {
        T part;
        std::memcpy(&part, all[r].data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
        data[i] += part;
      }
    }
  }

  LocalWorld& world_;
  int rank_;
};

}  // namespace rollmill
