#include "trainer/make_learner.h"

#include "trainer/reference_learner.h"

namespace rollmill {

std::unique_ptr<Learner> make_learner(const std::string& kernels, const LearnerContext& context) {
  return kernels == "fused" ? make_fused_learner(context) : make_reference_learner(context);
}

}  // namespace rollmill
