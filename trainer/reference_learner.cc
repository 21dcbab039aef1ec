#include "trainer/reference_learner.h"

#include "core/dist/torch_module.h"

namespace rollmill {

std::unique_ptr<Learner> make_reference_learner(const LearnerContext& context, bool float64) {
  auto* make = reinterpret_cast<MakeTorchLearner*>(load_torch_symbol(
      float64 ? "rollmill_make_torch_learner_float64" : "rollmill_make_torch_learner"));
  return std::unique_ptr<Learner>(make(&context));
}

}  // namespace rollmill
