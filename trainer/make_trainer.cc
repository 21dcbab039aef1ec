#include "core/base/assert.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {

std::unique_ptr<Trainer> make_trainer(const TrainOptions& options, ProcessGroup& group,
                                      int local_rank) {
  RM_ASSERT(options.algorithm == "ppo");
  return std::make_unique<PpoTrainer>(options, group, local_rank);
}

}  // namespace rollmill
