// Sums of device memory over ranks: c10d's ProcessGroupNCCL behind a type without its headers.
#pragma once

#include <cstdint>
#include <memory>

#include <torch/csrc/distributed/c10d/Store.hpp>

namespace rollmill {

class NcclGroup {
 public:
  NcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size, int device,
            int timeout_seconds);
  ~NcclGroup();
  // In place on `stream` (a cudaStream_t); returns when the sum is complete or throws c10's error.
  void all_reduce_sum(float* data, std::int64_t n, void* stream);
  // Each rank's own part of all [world_size][bytes] to all others; enqueued on `stream`, which may be recording a graph.
  void all_gather(void* all, std::int64_t bytes, void* stream);
  // Until `stream` is idle, or holds an error of this GPU's own; throws when NCCL reports one, or at the deadline.
  void wait(void* stream);
  // Ends what waits for a peer. No recorded graph may hold a collective any more: NCCL would wait for its end.
  void abort() noexcept;

 private:
  void warm_up();

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollmill
