// SAC and TD3 on a GPU: trainer/algos/twin_machine.cuh with trainer/replay/replay_cuda.cuh.
#include "trainer/algos/twin_machine.cuh"
#include "trainer/replay/replay_cuda.cuh"

namespace rollmill {
namespace {

class CudaTwin final : private CudaParts, public TwinMachine<CudaLaunch> {
 public:
  explicit CudaTwin(const DeviceTwinConfig& config)
      : CudaParts(config),
        TwinMachine(config, *rollmill_cuda_memory(config.device), *CudaParts::batch,
                    policy->device(), shared_floats(), CudaLaunch{}),
        graphs_(config.batch, turn_launches(task())) {
    allow_shared(critic_tile_kernel);
    allow_shared(actor_tile_kernel);
    allow_shared(twin_act_kernel);
  }

  void reset() override {
    const DeviceScope scope(device);
    TwinMachine::reset();
  }
  TwinReport play() override {
    const DeviceScope scope(device);
    return TwinMachine::play();
  }

 private:
  void run_turn(bool learns) override {
    graphs_.run(learns, [&] { launch_turn(learns); });
  }
  TurnGraphs graphs_;
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::DeviceTwin* rollmill_make_device_twin(
    const rollmill::DeviceTwinConfig* config) {
  return new rollmill::CudaTwin(*config);
}
