#include "trainer/make_learner.h"

#include "core/dist/process_group.h"
#include "core/log/log.h"
#include "rollout/mlp/bf16.h"
#include "trainer/fused/device_learner.h"
#include "trainer/reference_learner.h"

namespace rollmill {

std::unique_ptr<Learner> make_learner(const std::string& kernels, const LearnerContext& context) {
  if (kernels != "fused") return make_reference_learner(context);
  return context.cuda ? make_cuda_learner(context) : make_fused_learner(context);
}

void warn_of_slow_bf16(const TrainOptions& o, ProcessGroup& group) {
  const bool ours = o.bf16 && o.kernels == "fused" && !o.env.device.starts_with("cuda");
  if (!ours || bf16_hardware() || group.rank() != 0) return;
  log_warn(
      "trainer.precision: this processor has no AVX512_BF16, or a slow one; \"bf16\" gives the "
      "same bits here, in more time than \"float32\" would take");
}

}  // namespace rollmill
