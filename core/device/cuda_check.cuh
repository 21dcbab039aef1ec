// Checked calls of the CUDA runtime, and launches of one thread per element.
//
// Work goes to the default stream of the current device, which is torch's, too, or to a blocking
// stream, which waits for it and is waited for: the order of the program is the order on the device,
// and a copy to the host waits for what came before it. Only the rollouts of ppo.overlap have a stream that must be told what to wait
// for (core/device/side_stream.cuh).
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "core/base/error.h"

namespace rollmill::internal {

// Out of line, so that a checked call is a compare and a branch.
[[noreturn]] inline void cuda_failed(cudaError_t code, const char* call, const char* file,
                                     int line) {
  cudaGetLastError();  // reported here: a later launch must not report it again
  // The file's name without its folder: the message is for users of a binary built elsewhere.
  const char* slash = std::strrchr(file, '/');
  const std::string hint =
      code == cudaErrorMemoryAllocation ? "; use fewer environments or a shorter horizon" : "";
  fail_device(std::string(call) + " at " + (slash != nullptr ? slash + 1 : file) + ":" +
              std::to_string(line) + " says " + cudaGetErrorName(code) + ": " +
              cudaGetErrorString(code) + hint);
}

}  // namespace rollmill::internal

// The call's text, file and line are part of the error.
#define RM_CUDA(call)                                                             \
  do {                                                                            \
    const cudaError_t rm_cuda_code = (call);                                      \
    if (rm_cuda_code != cudaSuccess) [[unlikely]]                                 \
      ::rollmill::internal::cuda_failed(rm_cuda_code, #call, __FILE__, __LINE__); \
  } while (false)

// After a kernel launch: its configuration was valid. What the kernel itself does wrong shows at
// the next copy.
#define RM_CUDA_LAUNCHED(kernel)                                                                \
  do {                                                                                          \
    const cudaError_t rm_cuda_code = cudaGetLastError();                                        \
    if (rm_cuda_code != cudaSuccess) [[unlikely]]                                               \
      ::rollmill::internal::cuda_failed(rm_cuda_code, "launch of " kernel, __FILE__, __LINE__); \
  } while (false)

namespace rollmill {

// Selects a device for this thread. A process uses one GPU, so it is not put back: since CUDA 12 setting device 0 again
// would make a context there, some hundred MB of every rank on GPU 0.
class DeviceScope {
 public:
  explicit DeviceScope(int device) { RM_CUDA(cudaSetDevice(device)); }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
};

// Where this thread's kernels go: the default stream, or while a StreamScope lasts another, for a graph to capture.
inline thread_local cudaStream_t launch_stream = nullptr;
class StreamScope {
 public:
  explicit StreamScope(cudaStream_t stream) : before_(launch_stream) { launch_stream = stream; }
  ~StreamScope() { launch_stream = before_; }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  cudaStream_t before_;
};

// A sequence of launches, recorded once and replayed: record(launches), then launch() as often as one likes. Owns its stream, a
// blocking one: work of the default stream comes before it and after it as the program has them.
class CapturedGraph {
 public:
  CapturedGraph() = default;
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  ~CapturedGraph() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  bool recorded() const { return graph_ != nullptr; }
  // Forgets what was recorded; if it runs, that goes on.
  void reset() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
    graph_ = nullptr;
  }
  cudaStream_t stream() {
    if (stream_ == nullptr) RM_CUDA(cudaStreamCreate(&stream_));
    return stream_;
  }
  // launches(): kernels on stream(), which is launch_stream meanwhile. Replaces what was recorded before.
  template <class Launches>
  void record(Launches&& launches) {
    reset();
    cudaGraph_t graph = nullptr;
    RM_CUDA(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    try {
      const StreamScope scope(stream());
      launches();
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    RM_CUDA(cudaStreamEndCapture(stream_, &graph));
    const cudaError_t made = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    RM_CUDA(made);
  }
  void launch() { launch(stream_); }
  void launch(cudaStream_t stream) { RM_CUDA(cudaGraphLaunch(graph_, stream)); }
  void wait() { RM_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

inline constexpr int kThreads = 256;
constexpr unsigned blocks_for(long long n, int threads = kThreads) {
  return static_cast<unsigned>((n + threads - 1) / threads);
}

}  // namespace rollmill
