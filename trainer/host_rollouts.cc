#include "trainer/host_rollouts.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <thread>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "envs/device_batch.h"
#include "rollout/rollout_fields.h"

namespace rollmill {
namespace {

class HostRollouts final : public RolloutPair {
 public:
  HostRollouts(const ExperienceConfig& c, const PolicyWeights& weights, ThreadPool& pool)
      : acting_(weights),
        pool_(pool),
        own_pool_(std::max(1, c.threads / 2)),
        batch_(make_batch(*c.env, c.batch, &own_pool_, c.device, c.local_rank)),
        policy_(batch_->spec(), acting_, c.seed, /*greedy=*/false, "mlp", c.bf16),
        lanes_{Lane(*this, c), Lane(*this, c)} {
    RM_ASSERT(policy_.memory_columns() == 0);
  }
  ~HostRollouts() override {
    if (worker_.joinable()) worker_.join();
  }

  EnvBatch& batch() override { return *batch_; }
  Memory& memory() override { return host_memory(); }
  const RolloutBuffer& buffer(int k) const override { return lanes_[k].rollout.buffer(); }
  void set_weights(const PolicyWeights& weights) override {
    acting_ = weights;
    policy_.refresh();
  }
  void reset(int k) override { lanes_[k].collector.reset(); }
  void make(int k, const AdvantageOptions& options) override { fill(lanes_[k], options); }
  void begin(int k, const AdvantageOptions& options) override {
    // What a rollout leaves alone (final observations of steps that end nothing) is not to be what an older one left there: the
    // bytes go into checkpoints.
    RolloutBuffer b = buffer(k);
    visit_rollout_fields(b, [](auto*& column, std::int64_t count) {
      std::memset(column, 0, static_cast<std::size_t>(count) * sizeof(*column));
    });
    continue_rollout(buffer(1 - k), buffer(k));
    failure_ = nullptr;
    try {
      worker_ = std::thread([this, k, options] {
        try {
          fill(lanes_[k], options);
        } catch (...) {
          failure_ = std::current_exception();
        }
      });
    } catch (const std::system_error& e) {
      fail_usage(std::string("ppo.overlap: cannot start a thread: ") + e.what());
    }
  }
  void finish() override {
    worker_.join();
    if (failure_) std::rethrow_exception(failure_);
  }
  void correct(int k, const AdvantageOptions& options) override {
    staleness_ = lanes_[k].collector.correct(options, pool_);
  }
  Staleness staleness() const override { return staleness_; }
  double seconds(int k) const override { return lanes_[k].seconds; }
  double environment_share(int k) const override { return lanes_[k].collector.environment_share(); }
  std::vector<EpisodeRecord> finished_episodes(int k, int groups) const override {
    return lanes_[k].collector.finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int k, int groups) override {
    return lanes_[k].collector.observation_moments(groups);
  }
  std::size_t bytes() const override { return 2 * lanes_[0].rollout.bytes(); }

 private:
  struct Lane {
    Lane(HostRollouts& all, const ExperienceConfig& c)
        : rollout(all.batch_->spec(), c.horizon, c.batch.num_envs, c.frame_stack),
          collector(*all.batch_, all.policy_, rollout.buffer(), all.own_pool_) {}
    HostRollout rollout;
    HostCollector collector;
    double seconds = 0;  // that its rollout took
  };
  static void fill(Lane& lane, const AdvantageOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    lane.collector.collect(options);
    lane.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  PolicyWeights acting_;  // the learner's as they were before it started
  ThreadPool& pool_;
  ThreadPool own_pool_;
  std::unique_ptr<EnvBatch> batch_;
  MlpPolicy policy_;
  Lane lanes_[2];
  Staleness staleness_;
  std::thread worker_;
  std::exception_ptr failure_;
};

}  // namespace

std::unique_ptr<RolloutPair> make_host_rollouts(const ExperienceConfig& config,
                                                const PolicyWeights& weights, ThreadPool& pool) {
  return std::make_unique<HostRollouts>(config, weights, pool);
}

}  // namespace rollmill
