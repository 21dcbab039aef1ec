// Deep Q-learning on a GPU: trainer/algos/dqn_machine.cuh with trainer/replay/replay_cuda.cuh.
#include "trainer/algos/dqn_machine.cuh"
#include "trainer/replay/replay_cuda.cuh"

namespace rollmill {
namespace {

class CudaDqn final : private CudaParts, public DqnMachine<CudaLaunch> {
 public:
  explicit CudaDqn(const DeviceDqnConfig& config)
      : CudaParts(config),
        DqnMachine(config, *rollmill_cuda_memory(config.device), *CudaParts::batch,
                   policy->device(), shared_floats(), CudaLaunch{}),
        graphs_(config.batch, turn_launches(task())) {
    allow_shared(dqn_tile_kernel);
    allow_shared(dqn_act_kernel);
  }

  void reset() override {
    const DeviceScope scope(device);
    DqnMachine::reset();
  }
  DqnReport play() override {
    const DeviceScope scope(device);
    return DqnMachine::play();
  }

 private:
  void run_turn(bool learns) override {
    graphs_.run(learns, [&] { launch_turn(learns); });
  }
  TurnGraphs graphs_;
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceDqn* rollmill_make_device_dqn(const rollmill::DeviceDqnConfig* config) {
  return new rollmill::CudaDqn(*config);
}
