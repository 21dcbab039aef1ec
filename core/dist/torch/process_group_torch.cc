// The process group of many ranks: Gloo for host memory, NCCL for device memory, both c10d's.
// Deadlines are the launch info's; what c10d throws becomes Error(kPeer) that names this rank, the
// collective and the deadline.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/base/error.h"
#include "core/dist/torch/nccl_group.h"
#include "core/dist/torch/rank_order.h"
#include "core/dist/torch/rendezvous.h"
#include "core/dist/torch_module.h"

namespace rollmill {
namespace {

using Gloo = c10d::ProcessGroupGloo;

// The network device: GLOO_SOCKET_IFNAME when set, the loopback when all ranks are on this machine,
// else the address of this machine's name.
std::shared_ptr<::gloo::transport::Device> make_device(const LaunchInfo& launch) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return Gloo::createDeviceForInterface(interface);
  if (launch.local_world_size == launch.world_size)
    return Gloo::createDeviceForHostname("127.0.0.1");
  return Gloo::createDefaultDevice();
}

class TorchProcessGroup final : public ProcessGroup {
 public:
  TorchProcessGroup(const LaunchInfo& launch, bool cuda)
      : launch_(launch), store_(join_store(launch)) {
    // Gloo's thread puts together what ranks send with ATen's copies. Those of more than 32 KiB would wake OpenMP's threads,
    // which then spin on the cores that the ranks compute on. (torchrun says OMP_NUM_THREADS=1 for that; other launchers do
    // not. The reference learner asks for its own number.)
    at::set_num_threads(1);
    guarded("start of Gloo", [&] {
      auto options = Gloo::Options::create(std::chrono::seconds(launch.timeout_seconds));
      options->devices.push_back(make_device(launch));
      options->threads = 1;  // one collective at a time
      const auto store = c10::make_intrusive<c10d::PrefixStore>("gloo", store_);
      gloo_ = c10::make_intrusive<Gloo>(store, launch.rank, launch.world_size, options);
    });
    if (!cuda) return;
    guarded("start of NCCL", [&] {
      nccl_ = std::make_unique<NcclGroup>(c10::make_intrusive<c10d::PrefixStore>("nccl", store_),
                                          launch.rank, launch.world_size, launch.gpu,
                                          launch.timeout_seconds);
    });
  }

  int rank() const override { return launch_.rank; }
  int world_size() const override { return launch_.world_size; }
  std::string backend() const override { return nccl_ ? "nccl" : "gloo"; }

  void all_reduce_sum(float* data, std::int64_t n, const char* what) override {
    sum(data, n, at::kFloat, what);
  }
  void all_reduce_sum(double* data, std::int64_t n, const char* what) override {
    sum(data, n, at::kDouble, what);
  }

  void all_reduce_sum_device(float* data, std::int64_t n, void* stream, const char* what) override {
    need_nccl(what);
    guarded(what, [&] { nccl_->all_reduce_sum(data, n, stream); });
  }

  void all_gather_device(void* all, std::int64_t bytes, void* stream, const char* what) override {
    need_nccl(what);
    guarded(what, [&] { nccl_->all_gather(all, bytes, stream); });
  }
  void wait_device(void* stream, const char* what) override {
    need_nccl(what);
    guarded(what, [&] { nccl_->wait(stream); });
  }
  void abort_device() override {
    failed_ = true;
    if (nccl_) nccl_->abort();
  }

  std::vector<std::string> all_gather(const std::string& bytes, const char* what) override {
    std::vector<std::string> result(static_cast<std::size_t>(world_size()));
    guarded(what, [&] {
      // Gloo gathers equal sizes only: first every size with as much of the bytes as fits, which is all of them as a rule,
      // then what is left, padded to the largest.
      const std::size_t size = bytes.size(), head = std::min(size, kHeadBytes);
      std::string own(sizeof size + kHeadBytes, '\0');
      std::memcpy(own.data(), &size, sizeof size);
      std::memcpy(own.data() + sizeof size, bytes.data(), head);
      std::size_t most = 0;
      std::vector<std::size_t> sizes(result.size());
      const std::string heads = gather_bytes(own);
      for (std::size_t r = 0; r < result.size(); ++r) {
        const char* from = heads.data() + r * own.size();
        std::memcpy(&sizes[r], from, sizeof size);
        result[r].assign(from + sizeof size, std::min(sizes[r], kHeadBytes));
        most = std::max(most, sizes[r]);
      }
      if (most <= kHeadBytes) return;
      std::string rest = bytes.substr(head);
      rest.resize(most - kHeadBytes);
      const std::string tails = gather_bytes(rest);
      for (std::size_t r = 0; r < result.size(); ++r)
        result[r].append(tails, r * rest.size(), sizes[r] - result[r].size());
    });
    return result;
  }

  void barrier(const char* what) override {
    guarded(what, [&] { gather(at::zeros({1}, at::kByte)); });
  }

 private:
  static constexpr std::size_t kHeadBytes = 1016;

  void need_nccl(const char* what) const {
    if (!nccl_)
      fail_device(std::string("a collective on device memory (") + what +
                  ") needs device = \"cuda\"");
  }

  // The same number of bytes of each rank, one rank's after the other's.
  std::string gather_bytes(const std::string& own) {
    const at::Tensor mine = at::empty({static_cast<std::int64_t>(own.size())}, at::kByte);
    std::memcpy(mine.mutable_data_ptr(), own.data(), own.size());
    const at::Tensor all = gather(mine);
    return {static_cast<const char*>(all.const_data_ptr()), static_cast<std::size_t>(all.numel())};
  }

  // [n] of this rank -> [world_size * n] of all, in rank order.
  at::Tensor gather(const at::Tensor& own) {
    const at::Tensor all = at::empty({own.numel() * world_size()}, own.options());
    std::vector<std::vector<at::Tensor>> outputs = {all.chunk(world_size())};
    std::vector<at::Tensor> inputs = {own};
    gloo_->allgather(outputs, inputs)->wait();
    return all;
  }

  template <class T>
  void sum(T* data, std::int64_t n, at::ScalarType type, const char* what) {
    if (n == 0) return;
    guarded(what, [&] {
      std::vector<at::Tensor> own = {at::from_blob(data, {n}, at::TensorOptions().dtype(type))};
      if (!sum_in_rank_order(world_size(), n)) {
        gloo_->allreduce(own)->wait();
        return;
      }
      const at::Tensor all = gather(own[0]);
      const T* from = static_cast<const T*>(all.const_data_ptr());
      std::memcpy(data, from, static_cast<std::size_t>(n) * sizeof(T));
      for (int r = 1; r < world_size(); ++r) {
        const T* part = from + r * n;
        for (std::int64_t i = 0; i < n; ++i) data[i] += part[i];
      }
    });
  }

  template <class Body>
  void guarded(const char* what, Body&& body) {
    if (failed_) {  // a second use would wait for its deadline, too
      fail_peer(place() + ": collective \"" + what +
                "\" after an earlier one failed; the job must restart");
    }
    try {
      body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& e) {
      failed_ = true;
      fail_peer(place() + ": collective \"" + what + "\" failed, deadline " +
                std::to_string(launch_.timeout_seconds) +
                " s: " + describe_silent_ranks(*store_, launch_) + " (" + first_line(e.what()) +
                "); look at the other ranks' logs and restart with --resume");
    }
  }

  std::string place() const {
    return "rank " + std::to_string(launch_.rank) + " of " + std::to_string(launch_.world_size);
  }

  LaunchInfo launch_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<Gloo> gloo_;
  std::unique_ptr<NcclGroup> nccl_;
  bool failed_ = false;
};

}  // namespace
}  // namespace rollmill

extern "C" int rollmill_torch_module_version() { return rollmill::kTorchModuleVersion; }

extern "C" rollmill::ProcessGroup* rollmill_make_torch_process_group(
    const rollmill::LaunchInfo* launch, bool cuda) {
  c10::initLogging();  // reads TORCH_CPP_LOG_LEVEL, which load_torch_symbol() set
  return new rollmill::TorchProcessGroup(*launch, cuda);
}
