#include "trainer/make_learner.h"

#include "trainer/fused/device_learner.h"
#include "trainer/reference_learner.h"

namespace rollmill {

std::unique_ptr<Learner> make_learner(const std::string& kernels, const LearnerContext& context) {
  if (kernels != "fused") return make_reference_learner(context);
  return context.cuda ? make_cuda_learner(context) : make_fused_learner(context);
}

}  // namespace rollmill
