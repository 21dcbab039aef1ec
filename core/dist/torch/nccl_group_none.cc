// Stands in for nccl_group.cc where the CUDA or NCCL headers are missing at build time.
#include "core/base/error.h"
#include "core/dist/torch/nccl_group.h"

namespace rollmill {

struct NcclGroup::Impl {};

NcclGroup::NcclGroup(const c10::intrusive_ptr<c10d::Store>&, int, int, int, int) {
  fail_device(
      "this build has no NCCL (its headers were not found); install the CUDA toolkit or its wheels "
      "and build again");
}
NcclGroup::~NcclGroup() = default;
void NcclGroup::all_reduce_sum(float*, std::int64_t, void*) {}
void NcclGroup::all_gather(void*, std::int64_t, void*) {}
void NcclGroup::wait(void*) {}
void NcclGroup::abort() noexcept {}

}  // namespace rollmill
