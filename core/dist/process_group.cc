#include "core/dist/process_group.h"

#include <cstdlib>

#include "core/base/error.h"
#include "core/base/module_loader.h"
#include "core/dist/torch_module.h"

namespace rollmill {
namespace {

// A world of one: every sum is already complete.
class SingleProcessGroup final : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  std::string backend() const override { return "single"; }
  void all_reduce_sum(float*, std::int64_t, const char*) override {}
  void all_reduce_sum(double*, std::int64_t, const char*) override {}
  void all_reduce_sum_device(float*, std::int64_t, void*, const char*) override {}
  void all_gather_device(void*, std::int64_t, void*, const char*) override {}
  void wait_device(void*, const char*) override {}
  void abort_device() override {}
  std::vector<std::string> all_gather(const std::string& bytes, const char*) override {
    return {bytes};
  }
  void barrier(const char*) override {}
};

void on_failure(const std::string& message) { fail_usage(message); }

}  // namespace

void* load_torch_symbol(const char* symbol) {
  // c10d logs a stack trace for each lost connection; we say the same in one line.
  setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
  void* module = load_module(kTorchModuleFile, "rollmill_torch_module_version", kTorchModuleVersion,
                             on_failure);
  return module_symbol(module, kTorchModuleFile, symbol, on_failure);
}

std::unique_ptr<ProcessGroup> make_process_group(const LaunchInfo& launch, bool cuda) {
  if (launch.world_size == 1) return std::make_unique<SingleProcessGroup>();
  auto* make =
      reinterpret_cast<MakeProcessGroup*>(load_torch_symbol("rollmill_make_torch_process_group"));
  return std::unique_ptr<ProcessGroup>(make(&launch, cuda));
}

}  // namespace rollmill
