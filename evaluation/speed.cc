#include "evaluation/speed.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "envs/registry.h"
#include "evaluation/step_memory.h"
#include "rollout/buffer.h"
#include "rollout/collector.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

struct Rate {  // steps per second
  double mean = 0, fastest_call = 0;
};

// Calls body until `seconds` are over, after one call to warm up.
template <class Body>
Rate rate(double seconds, std::int64_t steps_per_call, Body&& body) {
  body();
  std::int64_t steps = 0;
  const auto start = Clock::now();
  double elapsed = 0, shortest = 1e30;
  while (elapsed < seconds) {
    body();
    steps += steps_per_call;
    const double before = elapsed;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    shortest = std::min(shortest, elapsed - before);
  }
  return {static_cast<double>(steps) / elapsed, static_cast<double>(steps_per_call) / shortest};
}

// Fills in the figures of the environments alone. As a collector does it: a task takes its block of environments through
// some steps before the next block's turn; observations, rewards and ends are written at every step.
void measure_environment(const SpeedJob& job, const EnvEntry& entry, SpeedFigures& figures) {
  ThreadPool pool(job.threads);
  BatchConfig config;
  config.num_envs = job.num_envs;
  config.seed = 1;
  const auto batch = entry.make_cpu(config, &pool);
  const EnvSpec& spec = batch->spec();
  StepMemory memory(spec, job.num_envs);
  const int per_block = batch->preferred_block();
  const RandomPolicy policy(spec, 1);
  std::optional<ActionTable> table;
  if (job.actions_ahead && spec.mask_columns == 0) table.emplace(spec, per_block, 1);
  batch->reset(memory.observations(), memory.masks());
  figures.bytes_per_environment = batch->bytes_per_environment() + memory.bytes() / job.num_envs;
  figures.field_bytes = field_bytes(spec);
  const StepBuffers buffers = memory.buffers();
  constexpr int kSteps = 32;
  const int blocks = (job.num_envs + per_block - 1) / per_block;
  std::int64_t first_row = 0;
  const Rate measured = rate(job.seconds, std::int64_t{kSteps} * job.num_envs, [&] {
    pool.run(blocks, [&](int block) {
      ActRequest q;
      q.stride = memory.stride();
      q.keys = batch->episodes();
      q.begin = block * per_block;
      q.end = std::min(q.begin + per_block, job.num_envs);
      q.masks = memory.masks();
      q.actions = memory.actions();
      for (int s = 0; s < kSteps; ++s) {
        if (table) {
          table->copy(first_row + s + block, q.actions, q.stride, q.begin, q.end);
        } else {
          policy.act(q);
        }
        batch->step_range(buffers, q.begin, q.end);
      }
    });
    first_row += kSteps + 1;
  });
  figures.environment = measured.mean;
}

TrainOptions training_options(const SpeedJob& job) {
  TrainOptions o;
  o.env.id = job.env_id;
  o.env.num_envs = job.num_envs;
  o.threads = job.threads;
  o.total_steps = std::int64_t{1} << 60;
  o.ppo.horizon = job.horizon;
  o.ppo.minibatches = job.horizon % 4 == 0 || job.num_envs % 4 == 0 ? 4 : 1;
  return o;
}

}  // namespace

SpeedFigures measure_speed(const SpeedJob& job) {
  const EnvEntry& entry = find_env(job.env_id);
  SpeedFigures f;
  measure_environment(job, entry, f);
  if (job.env_only) return f;
  const auto group = make_process_group(LaunchInfo{}, false);
  const std::int64_t steps = static_cast<std::int64_t>(job.horizon) * job.num_envs;
  {
    ThreadPool pool(job.threads);
    BatchConfig config;
    config.num_envs = job.num_envs;
    config.seed = 1;
    const auto batch = entry.make_cpu(config, &pool);
    PolicyWeights weights(shape_for(batch->spec(), {64, 64}));
    initialize_weights(weights, 1, 0.0f);
    const MlpPolicy policy(batch->spec(), weights, 1, false);
    const HostRollout memory(batch->spec(), job.horizon, job.num_envs);
    HostCollector collector(*batch, policy, memory.buffer(), pool);
    collector.reset();
    const Rate measured = rate(job.seconds, steps, [&] {
      collector.collect({});
      collector.advance();
    });
    f.rollout = measured.mean;
    f.fastest_rollout = measured.fastest_call;
  }
  PpoTrainer trainer(training_options(job), *group);
  f.training = rate(job.seconds, steps, [&] { trainer.step(); }).mean;
  return f;
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

}  // namespace rollmill
