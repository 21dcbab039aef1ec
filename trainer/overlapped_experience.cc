#include "trainer/overlapped_experience.h"

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

class OverlappedExperience final : public Experience {
 public:
  OverlappedExperience(const ExperienceConfig& c, const PolicyWeights& weights, ThreadPool& pool)
      : weights_(weights),
        acting_(weights),
        pool_(pool),
        own_pool_(std::max(1, c.threads / 2)),
        batch_(make_batch(*c.env, c.batch, &own_pool_, c.device, c.local_rank)),
        policy_(batch_->spec(), acting_, c.seed, /*greedy=*/false, "mlp", c.bf16),
        lanes_{Lane(*this, c), Lane(*this, c)} {
    RM_ASSERT(policy_.memory_columns() == 0);
  }
  ~OverlappedExperience() override {
    if (worker_.joinable()) worker_.join();
  }

  EnvBatch& batch() override { return *batch_; }
  const RolloutBuffer& buffer() const override { return now().rollout.buffer(); }
  bool cuda() const override { return false; }
  void refresh_policy() override {
    acting_ = weights_;
    policy_.refresh();
  }
  void reset() override { now().collector.reset(); }

  void collect(const AdvantageOptions& options) override {
    options_ = options;
    staleness_ = {};
    if (waits_) {
      turn_ ^= 1;
      waits_ = false;
      staleness_ = now().collector.correct(options, pool_);
    } else {
      make(now());
    }
  }
  void begin_next() override {
    // What a rollout leaves alone (final observations of steps that end nothing) is not to be what an older one left there: the
    // bytes go into checkpoints.
    visit(next(), [](auto* field, std::size_t size) { std::memset(field, 0, size); });
    continue_rollout(now().rollout.buffer(), next().rollout.buffer());
    failure_ = nullptr;
    try {
      worker_ = std::thread([this] {
        try {
          make(next());
        } catch (...) {
          failure_ = std::current_exception();
        }
      });
    } catch (const std::system_error& e) {
      fail_usage(std::string("ppo.overlap: cannot start a thread: ") + e.what());
    }
  }
  void finish_next() override {
    worker_.join();
    if (failure_) std::rethrow_exception(failure_);
    waits_ = true;
  }
  void advance() override {}  // begin_next() has gone on
  Staleness staleness() const override { return staleness_; }
  double made_in_seconds() const override { return now().seconds; }
  double environment_share() const override { return now().collector.environment_share(); }
  std::vector<EpisodeRecord> finished_episodes(int groups) const override {
    return now().collector.finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int groups) const override {
    return now().collector.observation_moments(groups);
  }

  // Where a rollout waits, it says where it goes on.
  std::vector<float> first_observations() const override {
    const RolloutBuffer& b = lanes_[waits_ ? turn_ ^ 1 : turn_].rollout.buffer();
    return {b.observation_slot(1 - b.frame_stack), b.observation_slot(1)};
  }
  void set_first_observations(const std::vector<float>& observations) override {
    if (waits_) return;
    const RolloutBuffer& b = now().rollout.buffer();
    std::copy(observations.begin(), observations.end(), b.observation_slot(1 - b.frame_stack));
    if (b.mask_columns > 0) batch_->observe(b.observation_slot(0), b.mask_slot(0));
  }
  std::vector<float> memory() const override { return {}; }
  void set_memory(const std::vector<float>&) override {}

  std::vector<std::uint8_t> waiting() const override {
    std::vector<std::uint8_t> bytes;
    if (!waits_) return bytes;
    bytes.reserve(waiting_bytes());
    visit(lanes_[turn_ ^ 1], [&](auto* field, std::size_t size) {
      const auto* from = reinterpret_cast<const std::uint8_t*>(field);
      bytes.insert(bytes.end(), from, from + size);
    });
    return bytes;
  }
  std::size_t waiting_bytes() const override {
    std::size_t total = 0;
    visit(lanes_[0], [&](auto*, std::size_t size) { total += size; });
    return total;
  }
  void set_waiting(const std::vector<std::uint8_t>& bytes) override {
    waits_ = !bytes.empty();
    if (!waits_) return;
    const std::uint8_t* from = bytes.data();
    visit(next(), [&](auto* field, std::size_t size) {
      std::memcpy(field, from, size);
      from += size;
    });
  }
  std::size_t buffer_bytes() const override { return 2 * lanes_[0].rollout.bytes(); }

 private:
  struct Lane {
    Lane(OverlappedExperience& e, const ExperienceConfig& c)
        : rollout(e.batch_->spec(), c.horizon, c.batch.num_envs, c.frame_stack),
          collector(*e.batch_, e.policy_, rollout.buffer(), e.own_pool_) {}
    HostRollout rollout;
    HostCollector collector;
    double seconds = 0;  // that its rollout took
  };
  void make(Lane& lane) {
    const auto start = std::chrono::steady_clock::now();
    lane.collector.collect(options_);
    lane.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  Lane& now() { return lanes_[turn_]; }
  const Lane& now() const { return lanes_[turn_]; }
  Lane& next() { return lanes_[turn_ ^ 1]; }

  // field(pointer, bytes) for each column of a rollout.
  template <class Field>
  static void visit(const Lane& lane, Field&& field) {
    RolloutBuffer b = lane.rollout.buffer();
    visit_rollout_fields(b, [&](auto*& column, std::int64_t count) {
      field(column, static_cast<std::size_t>(count) * sizeof(*column));
    });
  }

  const PolicyWeights& weights_;  // the learner's
  PolicyWeights acting_;          // as they were before it started
  ThreadPool& pool_;
  ThreadPool own_pool_;
  std::unique_ptr<EnvBatch> batch_;
  MlpPolicy policy_;
  Lane lanes_[2];
  int turn_ = 0;
  bool waits_ = false;  // next() holds a rollout that nobody has learned from
  AdvantageOptions options_;
  Staleness staleness_;
  std::thread worker_;
  std::exception_ptr failure_;
};

}  // namespace

std::unique_ptr<Experience> make_overlapped_experience(const ExperienceConfig& config,
                                                       const PolicyWeights& weights,
                                                       ThreadPool& pool) {
  return std::make_unique<OverlappedExperience>(config, weights, pool);
}

}  // namespace rollmill
