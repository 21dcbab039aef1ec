// Chooses the learner: trainer.kernels = "fused" | "reference".
#pragma once

#include <memory>
#include <string>

#include "trainer/learner.h"

namespace rollmill {

// "reference" loads the torch module; throws Error(kDevice) with a cure where that is not possible.
std::unique_ptr<Learner> make_learner(const std::string& kernels, const LearnerContext& context);

}  // namespace rollmill
