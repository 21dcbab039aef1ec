#include "core/base/assert.h"
#include "core/device/device.h"
#include "trainer/algos/bc.h"
#include "trainer/algos/device_dqn_trainer.h"
#include "trainer/algos/device_twin_trainer.h"
#include "trainer/algos/dqn.h"
#include "trainer/algos/sac.h"
#include "trainer/algos/td3.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {

std::unique_ptr<Trainer> make_trainer(const TrainOptions& options, ProcessGroup& group,
                                      int local_rank) {
  const DeviceChoice device = parse_device(options.env.device, "env.device");
  if (options.algorithm == "dqn" && device.kind == DeviceChoice::Kind::kCuda)
    return std::make_unique<DeviceDqnTrainer>(options, group, device.gpu(local_rank));
  if (options.algorithm == "dqn") return std::make_unique<DqnTrainer>(options, group);
  if (device.kind == DeviceChoice::Kind::kCuda &&
      (options.algorithm == "sac" || options.algorithm == "td3"))
    return std::make_unique<DeviceTwinTrainer>(options, group, device.gpu(local_rank));
  if (options.algorithm == "sac") return std::make_unique<SacTrainer>(options, group);
  if (options.algorithm == "td3") return std::make_unique<Td3Trainer>(options, group);
  if (options.algorithm == "bc") return std::make_unique<BcTrainer>(options, group);
  RM_ASSERT(options.algorithm == "ppo" || options.algorithm == "distill");
  return std::make_unique<PpoTrainer>(options, group, local_rank);
}

}  // namespace rollmill
