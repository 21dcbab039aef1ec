// Chooses the learner: trainer.kernels = "fused" | "reference".
#pragma once

#include <memory>
#include <string>

#include "trainer/learner.h"
#include "trainer/train_options.h"

namespace rollmill {

// "reference" loads the torch module; throws Error(kDevice) with a cure where that is not possible.
std::unique_ptr<Learner> make_learner(const std::string& kernels, const LearnerContext& context);

// Where trainer.precision = "bf16" only costs time, a line (rank 0).
void warn_of_slow_bf16(const TrainOptions& options, ProcessGroup& group);

}  // namespace rollmill
