#include "core/base/assert.h"
#include "trainer/algos/dqn.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {

std::unique_ptr<Trainer> make_trainer(const TrainOptions& options, ProcessGroup& group,
                                      int local_rank) {
  if (options.algorithm == "dqn") return std::make_unique<DqnTrainer>(options, group);
  RM_ASSERT(options.algorithm == "ppo");
  return std::make_unique<PpoTrainer>(options, group, local_rank);
}

}  // namespace rollmill
