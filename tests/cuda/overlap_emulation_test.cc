// ppo.overlap on a GPU, emulated: the text of the kernels and of what waits for what (rollout/streamed_rollouts.h), on host threads,
// against the CPU's trainer. After several updates the checkpoints, with weights, Adam's moments, environments and the rollout that waits,
// must be the same bytes, whichever stream runs ahead. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>

#include "core/base/thread_pool.h"
#include "rollout/rollout_fields.h"
#include "rollout/streamed_rollouts.h"
#include "tests/cuda/device_run.h"
#include "tests/cuda/learner_emulation.h"
#include "tests/cuda/policy_emulation.h"
#include "tests/trainer/small_ppo.h"
#include "trainer/overlapped_experience.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {
namespace {

using testing::DeviceRun, testing::hash_of;

// An eager stream does at once what is launched into it; a lazy one when somebody waits for it, and no earlier. Between them lies what a
// GPU may do.
class HostStream {
 public:
  explicit HostStream(bool eager) : eager_(eager) {}
  void launch(std::function<void()> work) {
    work_.push_back(std::move(work));
    ++launched_;
    if (eager_) run_to(launched_);
  }
  void run_to(std::int64_t end) {
    while (done_ < end) {
      const std::function<void()> next = std::move(work_.front());
      work_.pop_front();
      ++done_;
      next();
    }
  }
  void run() { run_to(launched_); }
  std::int64_t launched() const { return launched_; }

 private:
  bool eager_;
  std::int64_t launched_ = 0, done_ = 0;
  std::deque<std::function<void()>> work_;
};

// StreamEvent (core/device/side_stream.cuh) of them.
class HostEvent {
 public:
  void record(HostStream& stream) {
    stream_ = &stream;
    at_ = stream.launched();
  }
  void hold(HostStream& stream) const {
    stream.launch([from = stream_, at = at_] { from->run_to(at); });
  }
  void wait() const { stream_->run_to(at_); }
  double seconds_since(const HostEvent&) const { return 0.25; }

 private:
  HostStream* stream_ = nullptr;
  std::int64_t at_ = 0;
};

struct Streams {
  bool eager_main, eager_side;
  HostStream main{eager_main}, side{eager_side};
};

// A GPU's memory: copies are in order with the main stream, and the host waits for them.
class EmulatedMemory final : public Memory {
 public:
  explicit EmulatedMemory(HostStream& main) : main_(main) {}
  bool on_device() const override { return true; }
  void* allocate(std::size_t bytes) override { return host_memory().allocate(bytes); }
  void release(void* memory) noexcept override { host_memory().release(memory); }
  void copy_in(void* to, const void* from, std::size_t bytes) override {
    main_.run();
    std::memcpy(to, from, bytes);
  }
  void copy_out(void* to, const void* from, std::size_t bytes) override {
    main_.run();
    std::memcpy(to, from, bytes);
  }

 private:
  HostStream& main_;
};

// CudaRollouts (rollout/rollout_pair_cuda.cu). Environments are the CPU's: their kernels are kernel_emulation_test's.
class EmulatedRollouts {
 public:
  using Event = HostEvent;

  EmulatedRollouts(const ExperienceConfig& c, const PolicyWeights& weights, Streams& streams)
      : streams_(streams),
        memory_(streams.main),
        pool_(1),
        batch_(c.env->make_cpu(c.batch, &pool_)),
        policy_(batch_->spec(), c.seed, /*greedy=*/false, /*tile_rows=*/8,
                device_products(c.bf16, c.exact)),
        host_policy_(batch_->spec(), weights, c.seed, false),
        rollouts_{{batch_->spec(), c.horizon, c.batch.num_envs, c.frame_stack},
                  {batch_->spec(), c.horizon, c.batch.num_envs, c.frame_stack}},
        readers_{{*batch_, host_policy_, buffer(0), pool_},
                 {*batch_, host_policy_, buffer(1), pool_}},
        log_ratios_(static_cast<std::size_t>(c.horizon * buffer(0).stride)),
        parts_(static_cast<std::size_t>(staleness_blocks(c.batch.num_envs) * c.horizon)) {}

  HostStream& main() { return streams_.main; }
  HostStream& side() { return streams_.side; }
  EnvBatch& batch() { return *batch_; }
  Memory& memory() { return memory_; }
  const RolloutBuffer& buffer(int k) const { return rollouts_[k].buffer(); }
  void set_weights(const PolicyWeights& weights) {
    main().run();  // before the copy
    policy_.set_weights(weights);
  }
  void reset(int k) {
    main().launch(
        [this, k] { batch_->reset(buffer(k).observation_slot(0), buffer(k).mask_slot(0)); });
  }
  void make(int k, const AdvantageOptions& options, bool continues) {
    side().launch([this, k, options, continues] {
      RolloutBuffer b = buffer(k);
      if (continues) {
        visit_rollout_fields(b, [](auto*& column, std::int64_t n) {
          std::memset(column, 0, static_cast<std::size_t>(n) * sizeof(*column));
        });
        continue_rollout(buffer(1 - k), b);
      }
      launch_steps(policy_, testing::EmulatedElements{}, *batch_, b);
      launch_estimates(policy_, testing::EmulatedElements{}, batch_->episodes().step, b, options);
    });
  }
  void correct(int k, const AdvantageOptions& options) {
    main().launch([this, k, options] {
      launch_correction(policy_, testing::EmulatedElements{}, buffer(k), options,
                        log_ratios_.data(), parts_.data());
    });
  }
  Staleness staleness() const {
    streams_.main.run();
    return staleness_of(parts_, buffer(0).horizon, buffer(0).num_envs);
  }
  std::vector<EpisodeRecord> finished_episodes(int k, int groups) const {
    streams_.main.run();
    return readers_[k].finished_episodes(groups);
  }
  std::vector<Moments> observation_moments(int k, int groups) {
    const RolloutBuffer& b = buffer(k);
    const auto size = static_cast<std::size_t>(b.observation_columns),
               of_group = size * static_cast<std::size_t>(b.horizon);
    std::vector<Moments> parts(static_cast<std::size_t>(groups) * of_group),
        total(static_cast<std::size_t>(groups) * size);
    main().launch([&] {
      testing::EmulatedElements{}("moments_kernel", moments_kernel,
                                  static_cast<std::int64_t>(parts.size()), b, groups, parts.data());
    });
    main().run();
    for (std::size_t p = 0; p < parts.size(); ++p)
      total[p / of_group * size + p % size].merge(parts[p]);
    return total;
  }
  std::size_t bytes() const { return 2 * rollouts_[0].bytes(); }

 private:
  Streams& streams_;
  EmulatedMemory memory_;
  ThreadPool pool_;
  std::unique_ptr<EnvBatch> batch_;
  testing::EmulatedPolicy policy_;
  MlpPolicy host_policy_;  // acts nowhere; the readers want one
  HostRollout rollouts_[2];
  HostCollector readers_[2];
  std::vector<float> log_ratios_;
  std::vector<RatioSums> parts_;
};

// CudaLearner (trainer/fused/cuda_learner.cc), whose stream is a blocking one.
class StreamedLearner final : public Learner {
 public:
  StreamedLearner(const LearnerContext& context, HostStream& main) : c_(context), main_(main) {}
  UpdateStats update(const RolloutBuffer& buffer, std::int64_t update, double rate) override {
    main_.run();
    const int groups = groups_of_rank(c_.groups, *c_.group);
    if (!emulated_) {
      emulated_.emplace(*c_.options, *c_.weights, *c_.optimizer, buffer, c_.seed, c_.frozen, groups,
                        *c_.group, device_products(c_.bf16, c_.groups > 0));
    }
    emulated_->learn_from(buffer);
    UpdateStats stats = emulated_->update(update, rate);
    stats.explained_variance = explained_variance(emulated_->spreads(), groups, *c_.group);
    return stats;
  }

 private:
  LearnerContext c_;
  HostStream& main_;
  std::optional<testing::EmulatedLearner> emulated_;
};

DeviceRun device_run(const TrainOptions& o, Streams& streams) {
  PpoParts parts;
  parts.experience = [&](const ExperienceConfig& c, const PolicyWeights& weights, ThreadPool&) {
    return make_overlapped_experience(std::make_unique<StreamedRollouts<EmulatedRollouts>>(
                                          [] { return HostEvent(); }, c, weights, streams),
                                      weights);
  };
  parts.learner = [&](const std::string&, const LearnerContext& c) {
    EXPECT_TRUE(c.cuda);
    return std::make_unique<StreamedLearner>(c, streams.main);
  };
  return DeviceRun(
      [&](ProcessGroup& group) { return std::make_unique<PpoTrainer>(o, group, 0, parts); });
}

TrainOptions options(const char* env) {
  TrainOptions o = testing::small_ppo(env);
  o.ppo.overlap = true;
  o.ppo.horizon = 8;
  o.ppo.epochs = 2;
  o.env.num_envs = 52;  // more than one block of a correction
  o.env.time_limit = 9;
  o.total_steps = 52 * 8 * 10;
  o.reward_scale = 0.5f;
  o.groups = 2;
  return o;
}

// eager_main, eager_side: each stream ahead of the other, both behind the host, and both at once.
void expect_equal(const TrainOptions& o, bool eager_main, bool eager_side, int updates = 4) {
  SCOPED_TRACE(eager_main ? "main at once" : "main late");
  SCOPED_TRACE(eager_side ? "side at once" : "side late");
  Streams streams{eager_main, eager_side};
  testing::Run cpu(o);
  DeviceRun device = device_run(o, streams);
  testing::expect_equal_steps(cpu, device, updates);
  EXPECT_GT(dynamic_cast<PpoTrainer&>(*cpu).optimizer().step, 0);
}

TEST(OverlapEmulation, WhicheverStreamRunsAhead) {
  TrainOptions o = options("CartPole-v1");
  o.normalize_observations = true;
  for (const bool main : {false, true}) {
    for (const bool side : {false, true}) expect_equal(o, main, side);
  }
}
TEST(OverlapEmulation, Masks) {
  TrainOptions o = options("Taxi-v3");
  o.policy.trunk = Trunk::kShared;
  expect_equal(o, false, true);
}
TEST(OverlapEmulation, EveryDistributionOfRealActions) {
  TrainOptions o = options("Pendulum-v1");
  o.normalize_observations = true;
  expect_equal(o, false, true);
  for (const auto distribution : {RealDistribution::kSquashed, RealDistribution::kBeta}) {
    o.policy.distribution = distribution;
    expect_equal(o, false, true, 2);
  }
}
// Also longer stacks than a rollout.
TEST(OverlapEmulation, FramesAndConvolutions) {
  TrainOptions o = options("CartPole-v1");
  o.policy.frame_stack = 3;
  expect_equal(o, true, false, 3);
  o.policy.frame_stack = 11;
  expect_equal(o, false, true, 3);
  o = options("MinAtar/Breakout-v1");
  o.env.num_envs = 20;
  o.policy.frame_stack = 2;
  o.policy.conv = {{16, 3, 1}};
  expect_equal(o, false, true, 2);
}
// trainer.precision = "bf16".
TEST(OverlapEmulation, Bf16) {
  TrainOptions o = options("CartPole-v1");
  o.bf16 = true;
  expect_equal(o, false, true, 3);
}
// What one device has begun the other goes on with: a rollout waits in the checkpoint.
TEST(OverlapEmulation, ResumesOnTheOtherDevice) {
  TrainOptions o = options("Taxi-v3");
  Streams first{false, false}, second{false, true};
  testing::Run whole(o);
  DeviceRun device = device_run(o, first);
  testing::expect_equal_steps(whole, device, 3);
  const testing::TempDir of_cpu, of_device;
  save_checkpoint(of_cpu.path(), *whole);
  save_checkpoint(of_device.path(), *device);
  testing::Run on_cpu(o);
  DeviceRun on_device = device_run(o, second);
  std::string warnings;
  load_newest_checkpoint(of_device.path(), *on_cpu, warnings);
  load_newest_checkpoint(of_cpu.path(), *on_device, warnings);
  EXPECT_EQ(warnings, "");
  EXPECT_EQ(hash_of(whole), hash_of(on_device));
  testing::expect_equal_steps(on_cpu, on_device, 2);
  testing::expect_equal_steps(whole, device, 2);
  EXPECT_EQ(hash_of(whole), hash_of(on_cpu));
}
// A checkpoint before the first update, where nothing waits.
TEST(OverlapEmulation, ResumesFromTheStart) {
  const TrainOptions o = options("Taxi-v3");
  Streams first{false, false}, second{false, false};
  DeviceRun device = device_run(o, first);
  const testing::TempDir dir;
  save_checkpoint(dir.path(), *device);
  DeviceRun resumed = device_run(o, second);
  std::string warnings;
  load_newest_checkpoint(dir.path(), *resumed, warnings);
  testing::Run cpu(o);
  testing::expect_equal_steps(cpu, resumed, 2);
}

// A device whose side stream was not told to wait would be found out: what is late is late.
TEST(OverlapEmulation, LateStreamsRunWhenTheyAreWaitedFor) {
  HostStream main(false), side(false);
  std::string said;
  main.launch([&] { said += "a"; });
  HostEvent ready, made;
  ready.record(main);
  main.launch([&] { said += "d"; });
  ready.hold(side);
  side.launch([&] { said += "b"; });
  made.record(side);
  side.launch([&] { said += "c"; });
  EXPECT_EQ(said, "");
  made.wait();
  EXPECT_EQ(said, "ab");
  side.run();
  main.run();
  EXPECT_EQ(said, "abcd");
}

}  // namespace
}  // namespace rollmill
