#include <cmath>
#include <limits>

#include "core/base/assert.h"
#include "core/device/cuda_module.h"
#include "core/device/device.h"
#include "core/dist/process_group.h"
#include "trainer/fused/device_learner.h"
#include "trainer/may_step.h"

namespace rollmill {
namespace {

class CudaLearner final : public Learner {
 public:
  explicit CudaLearner(const LearnerContext& context) : c_(context) {
    require_cuda(context.device);
    const auto make = reinterpret_cast<decltype(&rollmill_make_device_learner)>(
        load_cuda_symbol("rollmill_make_device_learner"));
    device_.reset(make(&c_));
  }

  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update,
                     double learning_rate) override {
    DeviceUpdate done = device_->update(buffer, update, learning_rate);
    if (done.longest_skipped > c_.options->max_skipped) {
      // As the CPU's learner says it, if later: after the update.
      OptimizerState state;
      state.step = c_.optimizer->step;
      state.skipped = done.longest_skipped - 1;  // may_step counts one more
      may_step(std::numeric_limits<double>::quiet_NaN(), 0, c_.options->max_skipped, "policy",
               state);
    }
    const int groups = groups_of_rank(c_.groups, *c_.group);
    done.stats.explained_variance = explained_variance(done.spreads, groups, *c_.group);
    return done.stats;
  }

 private:
  LearnerContext c_;
  std::unique_ptr<DeviceLearner> device_;
};

}  // namespace

std::unique_ptr<Learner> make_cuda_learner(const LearnerContext& context) {
  return std::make_unique<CudaLearner>(context);
}

}  // namespace rollmill
