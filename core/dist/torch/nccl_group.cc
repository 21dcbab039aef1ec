#include "core/dist/torch/nccl_group.h"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "core/dist/torch/rank_order.h"

namespace rollmill {

namespace {

void check(ncclResult_t result, const char* call) {
  if (result != ncclSuccess)
    throw std::runtime_error(std::string(call) + ": " + ncclGetErrorString(result));
}

}  // namespace

struct NcclGroup::Impl {
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
  int world_size, rank, device, timeout_seconds;
  bool failed = false, aborted = false;

  // c10d's own calls cannot be recorded: with a blocking wait they ask after each collective how it went.
  ncclComm_t communicator() const { return reinterpret_cast<ncclComm_t>(group->getCommPtr()); }
  at::Tensor slots;  // [world_size * n] of the latest n, kept between calls
};

NcclGroup::NcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
                     int device, int timeout_seconds)
    : impl_(std::make_unique<Impl>()) {
  // The host waits for each sum, so that a lost rank becomes an exception here; without it NCCL's
  // watchdog would abort the process with no checkpoint. (torch reads this in the constructor.)
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = std::chrono::seconds(timeout_seconds);
  options->config.blocking = 1;  // calls of our own do not ask again
  impl_->group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world_size, options);
  // All ranks have just met: connect now, not inside the first update, where a rank that ran out of memory would leave the
  // others waiting.
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  impl_->group->eagerConnectSingleDevice(
      at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
  impl_->world_size = world_size;
  impl_->rank = rank;
  impl_->device = device;
  impl_->timeout_seconds = timeout_seconds;
  warm_up();
}

// A communicator connects to its peers in its first collectives, on the host and without a deadline; small and large ones may
// take different ways.
void NcclGroup::warm_up() {
  const auto options = at::TensorOptions().dtype(at::kByte).device(
      at::kCUDA, static_cast<c10::DeviceIndex>(impl_->device));
  for (const std::int64_t bytes : {std::int64_t{64}, std::int64_t{1} << 20}) {
    const at::Tensor all = at::zeros({bytes * impl_->world_size}, options);
    all_gather(all.mutable_data_ptr(), bytes, nullptr);
    wait(nullptr);
    if (cudaStreamQuery(nullptr) != cudaSuccess)
      throw std::runtime_error("the GPU failed in NCCL's first collectives");
  }
}

// After a good run the communicator is shut down; after a failure peers may be gone and only abort returns.
NcclGroup::~NcclGroup() {
  try {
    impl_->slots = at::Tensor();
    if (impl_->aborted) return;
    if (impl_->failed || std::uncaught_exceptions() > 0) {
      impl_->group->abort();
    } else {
      impl_->group->shutdown();
    }
  } catch (const std::exception&) {
    // The process ends; there is nobody left to tell.
  }
}

void NcclGroup::all_reduce_sum(float* data, std::int64_t n, void* stream) {
  impl_->failed = true;  // until it has returned
  const auto device = static_cast<c10::DeviceIndex>(impl_->device);
  const c10::cuda::CUDAStreamGuard guard(
      c10::cuda::getStreamFromExternal(static_cast<cudaStream_t>(stream), device));
  const auto options = at::TensorOptions().dtype(at::kFloat).device(at::kCUDA, device);
  std::vector<at::Tensor> own = {at::from_blob(data, {n}, options)};
  if (!sum_in_rank_order(impl_->world_size, n)) {
    impl_->group->allreduce(own)->wait();
    impl_->failed = false;
    return;
  }
  const std::int64_t total = n * impl_->world_size;
  if (!impl_->slots.defined() || impl_->slots.numel() != total)
    impl_->slots = at::empty({total}, options);
  impl_->group->_allgather_base(impl_->slots, own[0])->wait();
  own[0].copy_(impl_->slots.narrow(0, 0, n));
  for (int r = 1; r < impl_->world_size; ++r) own[0].add_(impl_->slots.narrow(0, r * n, n));
  impl_->failed = false;
}

void NcclGroup::all_gather(void* all, std::int64_t bytes, void* stream) {
  impl_->failed = true;  // until wait() has returned
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(impl_->device));
  check(ncclAllGather(static_cast<char*>(all) + impl_->rank * bytes, all,
                      static_cast<std::size_t>(bytes), ncclUint8, impl_->communicator(),
                      static_cast<cudaStream_t>(stream)),
        "ncclAllGather");
}

// Asks again and again: a wait inside CUDA would never end where a peer is gone. Yielding first, so that short updates do not
// wait for a timer.
void NcclGroup::wait(void* stream) {
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(impl_->device));
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t asked = 0;; ++asked) {
    const cudaError_t state = cudaStreamQuery(static_cast<cudaStream_t>(stream));
    if (state == cudaSuccess) break;
    impl_->failed = true;
    if (state != cudaErrorNotReady) return;  // the caller's own check says what and where
    cudaGetLastError();                      // "not ready" is no error for others to find
    if (asked % 64 == 63) {
      ncclResult_t error = ncclSuccess;
      check(ncclCommGetAsyncError(impl_->communicator(), &error), "ncclCommGetAsyncError");
      if (error != ncclInProgress) check(error, "NCCL");
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > std::chrono::seconds(impl_->timeout_seconds))
      throw std::runtime_error("not done by the deadline");
    if (waited < std::chrono::milliseconds(20)) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  impl_->failed = false;
}

void NcclGroup::abort() noexcept {
  impl_->failed = impl_->aborted = true;
  try {
    impl_->slots = at::Tensor();
    impl_->group->abort();
  } catch (const std::exception&) {
    // What failed first is on its way to the user and says more.
  }
}

}  // namespace rollmill
