// A stream beside the default one, and the events through which the two wait for each other.
#pragma once

#include "core/device/cuda_check.cuh"

namespace rollmill {

// Neither waits for the default stream and blocking ones nor is waited for: only where an event says so.
class SideStream {
 public:
  explicit SideStream(int device) {
    const DeviceScope scope(device);
    RM_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;
  // Waits: what it works on may be freed next. (An error has no one to go to, and must not look like a later launch's.)
  ~SideStream() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    cudaGetLastError();
  }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A point in a stream: of the default one, all that was launched before it in blocking streams, too.
class StreamEvent {
 public:
  explicit StreamEvent(int device) {
    const DeviceScope scope(device);
    RM_CUDA(cudaEventCreate(&event_));
  }
  StreamEvent(const StreamEvent&) = delete;
  StreamEvent& operator=(const StreamEvent&) = delete;
  ~StreamEvent() { cudaEventDestroy(event_); }

  void record(cudaStream_t stream) { RM_CUDA(cudaEventRecord(event_, stream)); }
  // What is launched into the stream from now on waits for it.
  void hold(cudaStream_t stream) { RM_CUDA(cudaStreamWaitEvent(stream, event_, 0)); }
  // The host waits for it.
  void wait() { RM_CUDA(cudaEventSynchronize(event_)); }
  // Between two events that have happened.
  double seconds_since(const StreamEvent& before) const {
    float milliseconds = 0;
    RM_CUDA(cudaEventElapsedTime(&milliseconds, before.event_, event_));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace rollmill
