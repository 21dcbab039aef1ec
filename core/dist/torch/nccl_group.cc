#include "core/dist/torch/nccl_group.h"

#include <cstdlib>
#include <exception>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "core/dist/torch/rank_order.h"

namespace rollmill {

struct NcclGroup::Impl {
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
  int world_size, device;
  bool failed = false;
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
  impl_->group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world_size, options);
  // All ranks have just met: connect now, not inside the first update, where a rank that ran out of memory would leave the
  // others waiting.
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  impl_->group->eagerConnectSingleDevice(
      at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
  impl_->world_size = world_size;
  impl_->device = device;
}

// After a good run the communicator is shut down; after a failure peers may be gone and only abort returns.
NcclGroup::~NcclGroup() {
  try {
    impl_->slots = at::Tensor();
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

}  // namespace rollmill
