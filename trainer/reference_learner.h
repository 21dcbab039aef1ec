// The Learner of plain libtorch autograd (trainer/torch/torch_learner.cc), opened with the torch
// module: what trainer.kernels = "reference" names, and what the fused learner is tested against.
#pragma once

#include <memory>
#include <type_traits>

#include "trainer/learner.h"

namespace rollmill {

// With context.cuda the rollout lies in the memory of GPU context.device, else on the host. Weights
// and optimiser state are the host's in both cases: read at the start of an update, written at its
// end. float64: computes in double precision (and rounds what it writes to float32), for tests.
// Throws Error(kUsage) when the torch module is missing; updates throw Error(kDevice) for torch's
// own failures.
std::unique_ptr<Learner> make_reference_learner(const LearnerContext& context,
                                                bool float64 = false);

using MakeTorchLearner = Learner*(const LearnerContext* context);

}  // namespace rollmill

extern "C" {
rollmill::Learner* rollmill_make_torch_learner(const rollmill::LearnerContext* context);
rollmill::Learner* rollmill_make_torch_learner_float64(const rollmill::LearnerContext* context);
}

static_assert(std::is_same_v<decltype(rollmill_make_torch_learner), rollmill::MakeTorchLearner>);
