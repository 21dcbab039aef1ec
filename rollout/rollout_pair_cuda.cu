// Two rollouts on a GPU, the second one made in a stream of its own (rollout/streamed_rollouts.h).
#include "core/device/cuda_module.h"
#include "core/device/side_stream.cuh"
#include "rollout/cuda_rollout.cuh"
#include "rollout/device_rollout_pair.h"
#include "rollout/streamed_rollouts.h"

namespace rollmill {
namespace {

class CudaRollouts {
 public:
  using Event = StreamEvent;

  explicit CudaRollouts(const DeviceCollectorConfig& config)
      : memory_(*rollmill_cuda_memory(config.device)),
        batch_(make_rollout_batch(config)),
        policy_(batch_->spec(), config.seed, config.greedy, config.frame_stack, config.device,
                config.products),
        rollouts_{CudaRollout(config, *batch_, policy_), CudaRollout(config, *batch_, policy_)},
        log_ratios_(memory_,
                    static_cast<std::size_t>(buffer(0).horizon * buffer(0).stride) * sizeof(float)),
        parts_(memory_, part_count() * sizeof(RatioSums)),
        side_(config.device) {}

  cudaStream_t main() const { return nullptr; }
  cudaStream_t side() const { return side_.get(); }

  EnvBatch& batch() { return *batch_; }
  Memory& memory() { return memory_; }
  const RolloutBuffer& buffer(int k) const { return rollouts_[k].buffer(); }
  void set_weights(const PolicyWeights& weights) { policy_.set_weights(weights); }
  void reset(int k) { batch_->reset(buffer(k).observation_slot(0), buffer(k).mask_slot(0)); }
  void make(int k, const AdvantageOptions& options, bool continues) {
    rollouts_[k].make(side(), options, continues ? &buffer(1 - k) : nullptr);
  }
  void correct(int k, const AdvantageOptions& options) {
    rollouts_[k].correct(options, log_ratios_.as<float>(), parts_.as<RatioSums>());
  }
  Staleness staleness() const {
    std::vector<RatioSums> parts(part_count());
    parts_.copy_out(parts.data(), parts_.bytes());
    return staleness_of(parts, buffer(0).horizon, buffer(0).num_envs);
  }
  std::vector<EpisodeRecord> finished_episodes(int k, int groups) const {
    return rollouts_[k].finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int k, int groups) {
    return rollouts_[k].observation_moments(groups);
  }
  std::size_t bytes() const { return rollouts_[0].bytes() + rollouts_[1].bytes(); }

 private:
  std::size_t part_count() const {
    return static_cast<std::size_t>(staleness_blocks(buffer(0).num_envs) * buffer(0).horizon);
  }

  Memory& memory_;
  std::unique_ptr<EnvBatch> batch_;
  CudaPolicy policy_;
  CudaRollout rollouts_[2];
  Buffer log_ratios_, parts_;
  SideStream side_;  // the last member: it waits before anything that it works on goes
};

}  // namespace
}  // namespace rollmill

extern "C" rollmill::RolloutPair* rollmill_make_device_rollout_pair(
    const rollmill::DeviceCollectorConfig* config) {
  using namespace rollmill;
  return new StreamedRollouts<CudaRollouts>([&] { return StreamEvent(config->device); }, *config);
}
