#include "core/device/device.h"

#include <charconv>

#include "core/base/error.h"
#include "core/base/module_loader.h"
#include "core/device/cuda_module.h"

namespace rollmill {
namespace {

constexpr char kWayOut[] = "; use device = \"cpu\"";

void on_failure(const std::string& message) {
  fail_device("CUDA asked for, but " + message + kWayOut);
}

}  // namespace

std::string DeviceChoice::text() const {
  if (kind == Kind::kCpu) return "cpu";
  if (kind == Kind::kCheck) return "check";
  return index < 0 ? "cuda" : "cuda:" + std::to_string(index);
}

DeviceChoice parse_device(const std::string& text, const std::string& where) {
  using Kind = DeviceChoice::Kind;
  if (text == "cpu") return {Kind::kCpu, -1};
  if (text == "cuda") return {Kind::kCuda, -1};
  if (text == "check") return {Kind::kCheck, -1};
  if (text.starts_with("cuda:")) {
    int index = -1;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    if (error == std::errc{} && stop == end && index >= 0) return {Kind::kCuda, index};
  }
  fail_usage(where + " = \"" + text +
             "\" is no device; use \"cpu\", \"cuda\", \"cuda:N\" or \"check\"");
}

void* load_cuda_symbol(const char* symbol) {
  void* module =
      load_module(kCudaModuleFile, "rollmill_cuda_module_version", kCudaModuleVersion, on_failure);
  return module_symbol(module, kCudaModuleFile, symbol, on_failure);
}

int cuda_device_count() {
  const auto count = reinterpret_cast<decltype(&rollmill_cuda_device_count)>(
      load_cuda_symbol("rollmill_cuda_device_count"));
  const char* reason = "";
  const int devices = count(&reason);
  if (devices == 0)
    on_failure(std::string("no NVIDIA GPU or driver: cudaGetDeviceCount says ") + reason);
  return devices;
}

void require_cuda(int index) {
  const int devices = cuda_device_count();
  if (index < 0 || index >= devices) {
    on_failure("there is no GPU " + std::to_string(index) + ": this machine has " +
               std::to_string(devices) + ", numbered from 0");
  }
}

Memory& cuda_memory(int index) {
  require_cuda(index);
  return *reinterpret_cast<decltype(&rollmill_cuda_memory)>(
      load_cuda_symbol("rollmill_cuda_memory"))(index);
}

}  // namespace rollmill
