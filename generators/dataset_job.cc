#include "generators/dataset_job.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>
#include <sstream>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/config/config.h"
#include "core/dist/from_rank_zero.h"
#include "core/dist/process_group.h"
#include "core/io/atomic_file.h"
#include "core/io/dir_lock.h"
#include "core/io/hash.h"
#include "core/log/log.h"
#include "datasets/card.h"
#include "datasets/writer.h"
#include "generators/broken_episodes.h"
#include "generators/shard_builder.h"
#include "rollout/dataset_columns.h"
#include "rollout/fault_report.h"

namespace rollmill {

GenerateOptions read_generate_options(Config& c) {
  GenerateOptions o;
  o.name = c.get_string("run.name", std::filesystem::path(c.name()).stem().string());
  if (o.name.empty() || o.name.front() == '.' || o.name.find('/') != std::string::npos) {
    c.fail("run.name", "'" + o.name + "' is not a folder's name; choose another place with --out");
  }
  o.seed = static_cast<std::uint64_t>(c.get_int("run.seed", 1, 0));
  o.threads = static_cast<int>(c.get_int("run.threads", 0, 0, 1024));
  o.env = read_env_options(c, 1024);
  o.policy = c.get_string("generate.policy", o.policy);
  o.greedy = c.get_bool("generate.greedy", o.greedy);
  o.transitions = c.get_int("generate.transitions", 0, 0);
  o.episodes = c.get_int("generate.episodes", 0, 0);
  o.shard_transitions =
      c.get_int("generate.shard_transitions", o.shard_transitions, 1000, 100'000'000);
  o.compress = c.get_bool("generate.compress", o.compress);
  o.policy_outputs = c.get_bool("generate.policy_outputs", o.policy_outputs);
  if ((o.transitions == 0) == (o.episodes == 0)) {
    c.fail(o.transitions == 0 ? "generate.transitions" : "generate.episodes",
           o.transitions == 0
               ? "give generate.transitions or generate.episodes"
               : "generate.transitions is given too; set the one you do not mean to 0");
  }
  if (o.env.device != "cpu")
    c.fail("env.device", "generate runs on the CPU; set env.device = \"cpu\"");
  return o;
}

namespace {

DatasetSpec make_spec(const GenerateOptions& o, const EnvEntry& entry, const Policy& policy,
                      const std::string& config_text) {
  const EnvSpec env = entry.spec();
  DatasetSpec spec;
  spec.env_id = env.id;
  spec.env_params = env_params_json(entry, o.env);
  spec.policy_id = policy.id();
  spec.policy_hash = policy.hash();
  spec.seed = o.seed;
  spec.config = config_text;
  spec.build = build_info();
  describe_observations(env, spec);
  for (const FieldSpec& f : env.action) {
    spec.action_description += (spec.action_description.empty() ? "" : "; ") + f.name +
                               (f.note.empty() ? "" : ": " + f.note);
  }
  spec.outcome_names = env.outcomes;
  spec.columns = dataset_columns(env, o.policy_outputs, o.env.world);
  return spec;
}

EpisodeJob make_job(const GenerateOptions& o, const EnvEntry& entry, const Policy& policy) {
  if (o.policy_outputs && !policy.has_value()) {
    fail_usage("generate.policy_outputs: the policy " + policy.id() +
               " has no value function to record; set it to false");
  }
  EpisodeJob job;
  job.env = &entry;
  job.params = o.env.params;
  job.world = o.env.world;
  job.trace_steps = o.env.trace_steps;
  job.reset_pool = o.env.reset_pool;
  job.time_limit = o.env.time_limit;
  job.seed = o.seed;
  job.policy = &policy;
  job.policy_outputs = o.policy_outputs;
  return job;
}

// A shard holds whole episodes, and 64 at least: of long ones that may be more than the memory. (They are held as rows while
// they are played, as rows of their shard's episodes, and as the shard's columns.)
void check_shard_memory(const GenerateOptions& o, const EpisodeJob& job, std::int64_t pilot_steps) {
  if (pilot_steps <= o.shard_transitions) return;
  const EnvSpec spec = job.env->spec();
  const std::int64_t wanted = o.episodes > 0 ? std::min<std::int64_t>(o.episodes, 64) : 64;
  const std::int64_t row = 4 * episode_row_words(spec, job.policy_outputs);
  const std::int64_t length = pilot_steps / 64;
  check_memory(static_cast<std::size_t>(3 * wanted * length * row),
               "a shard of " + std::to_string(wanted) + " episodes of " + spec.id + ", " +
                   std::to_string(length) + " steps each,",
               "set a lower env.time_limit");
}

// Episodes of a shard from the mean length of the job's first 64: the same on every rank. 0 where it was stopped meanwhile.
std::int64_t choose_shard_episodes(const GenerateOptions& o, EpisodeJob job, ThreadPool& pool) {
  constexpr std::int64_t kPilot = 64;
  std::vector<std::int64_t> lengths(kPilot);
  job.first = 0;
  job.count = kPilot;
  run_episodes(job, false, pool, [&](int, const EpisodeRows& rows) {
    lengths[static_cast<std::size_t>(rows.episode)] = rows.summary.length;
  });
  if (job.stopped()) return 0;
  const auto steps = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  check_shard_memory(o, job, steps);
  const std::int64_t episodes = o.shard_transitions * kPilot / steps;
  return std::clamp<std::int64_t>(episodes / 64 * 64, 64, std::int64_t{1} << 22);
}

// Fixed-size message of one rank about its shard of a round.
struct RoundMessage {
  std::int64_t steps =
      0;  // of the shard's episodes that were made, enough for the job; 0: this rank has none
  std::int64_t stop = 0;
};

std::string pack(const std::vector<ShardInfo>& shards) {
  std::ostringstream out;
  for (const ShardInfo& s : shards) {
    out << s.file << ' ' << s.first_episode << ' ' << s.episodes << ' ' << s.steps << ' ' << s.bytes
        << ' ' << s.sha256 << ' ' << s.content << '\n';
  }
  return out.str();
}

std::vector<ShardInfo> unpack(const std::string& text) {
  std::istringstream in(text);
  std::vector<ShardInfo> shards;
  ShardInfo s;
  while (in >> s.file >> s.first_episode >> s.episodes >> s.steps >> s.bytes >> s.sha256 >>
         s.content) {
    shards.push_back(s);
  }
  return shards;
}

class DatasetJob {
 public:
  DatasetJob(const GenerateOptions& options, const EnvEntry& entry, const Policy& policy,
             std::string dir, ProcessGroup& group, ThreadPool& pool)
      : o_(options),
        job_(make_job(options, entry, policy)),
        dir_(std::move(dir)),
        faults_(dir_ + "/faults"),
        group_(group),
        pool_(pool) {}

  GenerateResult run(DatasetSpec spec, bool resume,
                     const std::function<void(const GenerateProgress&)>& progress,
                     const std::function<bool()>& stop);

 private:
  bool open(DatasetSpec& spec, bool resume);
  void open_first(DatasetSpec& spec, bool resume);
  void check_present() const;
  void drop_damaged();
  bool satisfied() const;
  std::int64_t episodes_of(std::int64_t shard) const;
  const ShardInfo* on_disk(std::int64_t shard) const {
    return manifest_.find(shard_file_name(shard));
  }
  ShardData generate(std::int64_t shard, std::int64_t episodes) {
    return *generate(shard, episodes, nullptr);
  }
  std::optional<ShardData> generate(std::int64_t shard, std::int64_t episodes,
                                    const std::function<bool()>& stop);
  std::optional<ShardData> generate_enough(std::int64_t shard, const std::function<bool()>& stop);
  bool round(std::int64_t base, const std::function<bool()>& stop);
  void remove_after(std::int64_t last);
  void record(const std::vector<ShardInfo>& mine);

  const GenerateOptions& o_;
  EpisodeJob job_;
  std::string dir_;
  FaultReports faults_;
  ProcessGroup& group_;
  ThreadPool& pool_;
  Manifest manifest_;  // rank 0's is the one on disk; other ranks have the state at the start
  std::optional<DirLock> lock_;  // rank 0's
  std::optional<AsyncShardWriter> writer_;
  GenerateProgress done_;
  std::int64_t new_transitions_ = 0;
  bool stopped_ = false;
};

bool DatasetJob::satisfied() const {
  if (manifest_.state != DatasetState::kDone) return false;
  return o_.episodes > 0 ? manifest_.episodes() >= o_.episodes
                         : manifest_.steps() >= o_.transitions;
}

// Rank 0 opens or creates the dataset; what goes wrong there is every rank's error. False where it was stopped before there was
// one.
bool DatasetJob::open(DatasetSpec& spec, bool resume) {
  const std::string answer = from_rank_zero(group_, "opening the dataset", [&] {
    open_first(spec, resume);
    return std::to_string(spec.shard_episodes);
  });
  spec.shard_episodes = std::stoll(answer);
  if (spec.shard_episodes == 0) return false;
  if (group_.rank() != 0) manifest_ = read_manifest(dir_);
  return true;
}

void DatasetJob::open_first(DatasetSpec& spec, bool resume) {
  make_dirs(dir_);
  lock_.emplace(dir_, "generate");
  remove_leftovers(dir_);  // of a process that was killed; this one holds the lock
  if (!has_manifest(dir_)) {
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      const std::string name = entry.path().filename().string();
      if (name != "lock.json")
        fail_io(dir_ + " holds files that are not a dataset (" + name + "); choose another --out");
    }
    check_writable(dir_);
    spec.shard_episodes = choose_shard_episodes(o_, job_, pool_);
    if (spec.shard_episodes == 0) return;
    manifest_.spec = spec;
    write_manifest(dir_, manifest_);
    return;
  }
  manifest_ = read_manifest(dir_);
  spec.shard_episodes = manifest_.spec.shard_episodes;
  const std::string difference = spec_difference(manifest_.spec, spec);
  if (!difference.empty()) {
    fail_io(dir_ + " holds a dataset of another job (" + difference + "); choose another --out");
  }
  if (resume) {
    drop_damaged();
  } else {
    check_present();
  }
  if (satisfied()) {
    if (!file_exists(dir_ + "/CARD.md")) write_card(dir_);
    return;
  }
  if (!resume) {
    fail_io(dir_ +
            (manifest_.state == DatasetState::kDone
                 ? " holds a smaller dataset of this job; extend it"
                 : " holds an unfinished dataset; continue it") +
            " with --resume, or choose another --out");
  }
  // A shard that an earlier target cut short, or this one does, is made anew; a full one is the same for any target.
  const std::vector<ShardInfo> shards = manifest_.shards;
  for (const ShardInfo& s : shards) {
    if (s.episodes != episodes_of(shard_index(s.file))) remove_shard(dir_, manifest_, s.file);
  }
  manifest_.state = DatasetState::kRunning;
  manifest_.spec.config = spec.config;
  write_manifest(dir_, manifest_);
}

// Before answering "complete": the shards are there, and as long as they were.
void DatasetJob::check_present() const {
  if (manifest_.state != DatasetState::kDone) return;
  for (const ShardInfo& s : manifest_.shards) {
    const std::string path = dir_ + "/" + s.file;
    if (!file_exists(path) || file_bytes(path) != s.bytes) {
      fail_data(path + (file_exists(path) ? " is damaged" : " is missing") +
                "; make it anew with --resume");
    }
  }
}

// Shards that are missing or whose hash is wrong leave the manifest and are made anew.
void DatasetJob::drop_damaged() {
  const std::size_t before = manifest_.shards.size();
  for (const std::string& file : reconcile(dir_, manifest_).lost)
    log_warn("{}/{} is lost: making it anew", dir_, file);
  const std::vector<ShardInfo> shards = manifest_.shards;
  for (const ShardInfo& s : shards) {
    if (sha256_file(dir_ + "/" + s.file) == s.sha256) continue;
    log_warn("{}/{} does not match its hash: making it anew", dir_, s.file);
    remove_shard(dir_, manifest_, s.file);
  }
  if (manifest_.shards.size() != before) manifest_.state = DatasetState::kRunning;
}

std::int64_t DatasetJob::episodes_of(std::int64_t shard) const {
  const std::int64_t full = manifest_.spec.shard_episodes;
  if (o_.episodes == 0) return full;
  return std::clamp<std::int64_t>(o_.episodes - shard * full, 0, full);
}

// The shard's first episodes, as many as reach the job's target, or all of them. (What lies beyond is cut off; of a small job that
// would be most of a shard.)
std::optional<ShardData> DatasetJob::generate_enough(std::int64_t shard,
                                                     const std::function<bool()>& stop) {
  const std::int64_t all = episodes_of(shard);
  if (o_.episodes > 0) return generate(shard, all, stop);
  const std::int64_t missing = o_.transitions - done_.transitions;
  const double length = static_cast<double>(o_.shard_transitions) /
                        static_cast<double>(manifest_.spec.shard_episodes);
  const double likely = 64 + 1.5 * static_cast<double>(missing) / length;
  if (likely >= static_cast<double>(all)) return generate(shard, all, stop);
  auto some = generate(shard, static_cast<std::int64_t>(likely), stop);
  if (!some || static_cast<std::int64_t>(some->steps()) >= missing) return some;
  return generate(shard, all, stop);
}

// Nothing if it was stopped.
std::optional<ShardData> DatasetJob::generate(std::int64_t shard, std::int64_t episodes,
                                              const std::function<bool()>& stop) {
  EpisodeJob job = job_;
  job.stop = stop;
  job.first = shard * manifest_.spec.shard_episodes;
  job.count = episodes;
  BrokenEpisodes broken;
  broken.watch(job);
  ShardData data = writer_->take_empty();
  build_shard(job, pool_, data);
  if (job.stopped()) return std::nullopt;
  if (const EnvBatch::Faults& faults = broken.all(); faults.count > 0) {
    log_warn("shard {}: {} episodes ended because a number was NaN or infinite; {}", shard,
             faults.count, faults_.write(job.env->spec(), job.seed, faults));
  }
  return data;
}

// One shard a rank: shards base .. base + ranks - 1. Returns whether the dataset is complete.
bool DatasetJob::round(std::int64_t base, const std::function<bool()>& stop) {
  const std::int64_t mine = base + group_.rank();
  const ShardInfo* present = on_disk(mine);
  RoundMessage message;
  message.stop = stop() ? 1 : 0;
  std::optional<ShardData> data;
  if (present != nullptr) {
    message.steps = present->steps;
  } else if (episodes_of(mine) > 0) {
    data = generate_enough(mine, stop);
    if (data) message.steps = static_cast<std::int64_t>(data->steps());
    if (!data) message.stop = 1;
  }
  const std::string bytes(reinterpret_cast<const char*>(&message), sizeof message);
  bool complete = false;
  int rank = 0;
  std::int64_t last = -1;  // shard of the dataset
  for (const std::string& part : group_.all_gather(bytes, "shard sizes")) {
    RoundMessage other;
    std::memcpy(&other, part.data(), sizeof other);
    stopped_ = stopped_ || other.stop != 0;
    const bool is_mine = rank++ == group_.rank();
    if (complete || other.steps == 0) {
      complete = true;
      if (is_mine) data.reset();
      continue;
    }
    const std::int64_t missing = o_.transitions - done_.transitions;
    complete = o_.episodes == 0 && other.steps >= missing;
    if (complete) last = base + rank - 1;
    if (is_mine && complete && other.steps > missing) {
      if (!data) data = generate(mine, episodes_of(mine));
      const auto starts = data->values<std::int64_t>("episodes/start");
      // Episodes that begin before the last row that is missing are needed.
      const auto needed = std::lower_bound(starts.begin(), starts.end(), missing) - starts.begin();
      trim_shard(*data, needed);
    }
    done_.transitions += other.steps;
    done_.shards += 1;
  }
  if (data) {
    new_transitions_ += static_cast<std::int64_t>(data->steps());
    writer_->push(mine, std::move(*data));
  }
  if (last >= 0 && group_.rank() == 0) remove_after(last);
  record(writer_->take_written());
  return complete;
}

// Those of a run that was to be longer, and was stopped.
void DatasetJob::remove_after(std::int64_t last) {
  const std::vector<ShardInfo> shards = manifest_.shards;
  for (const ShardInfo& s : shards) {
    if (shard_index(s.file) > last) remove_shard(dir_, manifest_, s.file);
  }
}

// Everybody's written shards into the manifest, by rank 0.
void DatasetJob::record(const std::vector<ShardInfo>& mine) {
  std::vector<ShardInfo> all;
  for (const std::string& part : group_.all_gather(pack(mine), "written shards")) {
    for (ShardInfo& s : unpack(part)) all.push_back(std::move(s));
  }
  if (group_.rank() == 0 && !all.empty()) append_shards(dir_, manifest_, all);
}

GenerateResult DatasetJob::run(DatasetSpec spec, bool resume,
                               const std::function<void(const GenerateProgress&)>& progress,
                               const std::function<bool()>& stop) {
  job_.stop = stop;
  GenerateResult result;
  if (!open(spec, resume)) return result;
  if (satisfied()) {
    result.already_done = true;
    result.manifest = manifest_;
    return result;
  }
  writer_.emplace(dir_, spec, ShardOptions{o_.compress});
  for (std::int64_t base = 0; !stopped_; base += group_.world_size()) {
    const bool complete = round(base, stop);
    done_.episodes = (base + group_.world_size()) * spec.shard_episodes;
    progress(done_);
    if (complete) break;
  }
  const bool whole = !stopped_;
  record(writer_->finish());
  if (group_.rank() == 0 && whole) {
    finish_manifest(dir_, manifest_);
    write_card(dir_);
  }
  group_.barrier("dataset done");
  double added = static_cast<double>(new_transitions_);
  group_.all_reduce_sum(&added, 1, "transitions written");
  result.new_transitions = static_cast<std::int64_t>(added);
  result.manifest = group_.rank() == 0 ? manifest_ : read_manifest(dir_);
  return result;
}

}  // namespace

GenerateResult run_dataset_job(const GenerateOptions& options, const Policy& policy,
                               const std::string& out_dir, bool resume,
                               const std::string& config_text, ProcessGroup& group,
                               ThreadPool& pool,
                               const std::function<void(const GenerateProgress&)>& progress,
                               const std::function<bool()>& stop) {
  const EnvEntry& entry = find_env(options.env.id);
  DatasetJob job(options, entry, policy, out_dir, group, pool);
  return job.run(make_spec(options, entry, policy, config_text), resume, progress, stop);
}

}  // namespace rollmill
