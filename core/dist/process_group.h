// Ranks that work on one job. One process: every call returns at once. Under torchrun (or any launcher that sets
// RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT): c10d's Gloo on CPU, NCCL for CUDA memory, loaded from the torch
// module only then. Every rank must make the same calls in the same order. A lost or late rank ends a call with
// Error(kPeer) that names this rank, the collective and the deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rollmill {

// What the launcher said. launched == false: no RANK in the environment, a single process.
struct LaunchInfo {
  bool launched = false;
  int rank = 0, world_size = 1, local_rank = 0, local_world_size = 1;
  int gpu = 0;  // of this process, for NCCL: the local rank, unless the job chose another
  std::string master_addr;
  int master_port = 0;
  std::string run_id;         // TORCHELASTIC_RUN_ID or "none"
  int restart_count = 0;      // TORCHELASTIC_RESTART_COUNT
  bool agent_store = false;   // TORCHELASTIC_USE_AGENT_STORE: the agent already serves the store
  int timeout_seconds = 120;  // ROLLMILL_TIMEOUT; of every collective and of the rendezvous
};

// Reads and checks the variables; throws a usage error that names what is missing or contradictory.
LaunchInfo read_launch_info();
// Takes them out of this process's environment: what it starts is no rank.
void forget_launch_info();

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual std::string backend() const = 0;  // "single", "gloo", "nccl"
  // In place, host memory. `what` names the collective in errors.
  virtual void all_reduce_sum(float* data, std::int64_t n, const char* what) = 0;
  virtual void all_reduce_sum(double* data, std::int64_t n, const char* what) = 0;
  // In place, device memory of this rank's GPU, on the given CUDA stream (as void*); throws on backends without CUDA.
  virtual void all_reduce_sum_device(float* data, std::int64_t n, void* stream,
                                     const char* what) = 0;
  // Device memory: every rank's `bytes`, in rank order, into all [world_size][bytes], of which this rank has filled in its own
  // part. Only enqueues on the stream, which may be recording a graph; wait_device() finds out how it went.
  virtual void all_gather_device(void* all, std::int64_t bytes, void* stream, const char* what) = 0;
  // Until the stream has nothing left to do, or has failed by itself. Where it holds collectives, a lost or late rank ends this as
  // it ends a call; the deadline is for all that the stream holds.
  virtual void wait_device(void* stream, const char* what) = 0;
  // Ends collectives that wait for a lost rank, so that the GPU's memory can be freed: after a failure, when no recorded graph
  // holds a collective any more. The group is of no more use for device memory.
  virtual void abort_device() = 0;
  // Everybody's bytes, in rank order; sizes may differ.
  virtual std::vector<std::string> all_gather(const std::string& bytes, const char* what) = 0;
  virtual void barrier(const char* what) = 0;
};

// cuda: NCCL for device memory beside Gloo for host memory.
std::unique_ptr<ProcessGroup> make_process_group(const LaunchInfo& launch, bool cuda);

}  // namespace rollmill
