#include "trainer/train_run.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "envs/registry.h"

namespace rollmill {

TrainRun::TrainRun(const TrainOptions& o, ProcessGroup& ranks)
    : options(o),
      group(ranks),
      pool(std::make_unique<ThreadPool>(o.threads > 0 ? o.threads : available_cores())),
      spec(find_env(o.env.id).spec()),
      curriculum(o.curriculum, spec, o.env.world) {}

bool TrainRun::finished() const {
  if (progress.env_steps >= options.total_steps) return true;
  const auto window = static_cast<std::size_t>(options.stop_window);
  if (window == 0 || progress.recent.size() < window) return false;
  double sum = 0;
  for (const auto& e : progress.recent) sum += static_cast<double>(e.episode_return);
  return sum / static_cast<double>(progress.recent.size()) >= options.stop_at_return;
}

bool TrainRun::stopped() const {
  const bool mine = stop && stop();
  if (group.world_size() == 1) return mine;
  const auto all = group.all_gather(mine ? "1" : "0", "stop flags");
  return std::any_of(all.begin(), all.end(), [](const std::string& flag) { return flag == "1"; });
}

BatchConfig TrainRun::batch_config() const {
  const EnvOptions& env = options.env;
  BatchConfig config;
  config.num_envs = env.num_envs / group.world_size();
  config.seed = options.seed;
  // Global ids: the same environments whatever the number of ranks.
  config.first_environment = static_cast<std::uint32_t>(config.num_envs * group.rank());
  config.time_limit = env.time_limit;
  config.params = env.params;
  config.world = curriculum.world();
  config.changing_world = curriculum.active();
  config.trace_steps = env.trace_steps;
  config.reset_pool = env.reset_pool;
  return config;
}

std::vector<EpisodeRecord> TrainRun::of_all_ranks(std::vector<EpisodeRecord> mine) const {
  if (group.world_size() == 1) return mine;
  const std::string bytes(reinterpret_cast<const char*>(mine.data()),
                          mine.size() * sizeof(EpisodeRecord));
  std::vector<EpisodeRecord> all;
  for (const std::string& part : group.all_gather(bytes, "finished episodes")) {
    const std::size_t count = part.size() / sizeof(EpisodeRecord);
    const std::size_t at = all.size();
    all.resize(at + count);
    std::memcpy(all.data() + at, part.data(), count * sizeof(EpisodeRecord));
  }
  return all;
}

void TrainRun::count(const std::vector<EpisodeRecord>& finished, std::int64_t new_steps,
                     EnvBatch& batch, UpdateReport& report) {
  ++progress.update;
  progress.env_steps += new_steps;
  const std::size_t window =
      options.stop_window > 0 ? static_cast<std::size_t>(options.stop_window) : 100;
  for (const EpisodeRecord& e : finished) progress.recent.push_back(e);
  while (progress.recent.size() > window) progress.recent.pop_front();
  progress.episodes += static_cast<std::int64_t>(finished.size());
  if (curriculum.active()) {
    curriculum.observe(finished, progress.env_steps);
    batch.set_world(curriculum.world());
    report.difficulty = curriculum.difficulty();
    report.success_rate = curriculum.success_rate();
  }
  double returns = 0, lengths = 0;
  for (const EpisodeRecord& e : progress.recent) {
    returns += static_cast<double>(e.episode_return);
    lengths += e.length;
  }
  const auto n = static_cast<double>(progress.recent.size());
  report.mean_return = n > 0 ? returns / n : std::numeric_limits<double>::quiet_NaN();
  report.mean_length = n > 0 ? lengths / n : std::numeric_limits<double>::quiet_NaN();
  report.update = progress.update;
  report.env_steps = progress.env_steps;
  report.new_steps = new_steps;
  report.episodes = progress.episodes;
}

}  // namespace rollmill
