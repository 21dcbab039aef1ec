#include "trainer/train_job.h"

#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>
#include <nlohmann/json.hpp>

#include "core/base/as_error.h"
#include "core/dist/from_rank_zero.h"
#include "core/io/atomic_file.h"
#include "core/io/dir_lock.h"
#include "core/log/log.h"
#include "core/log/metrics.h"
#include "core/log/tensorboard.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/fault_report.h"
#include "trainer/checkpoint.h"
#include "trainer/guards.h"
#include "trainer/networks_text.h"
#include "trainer/run_status.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// "section.key" -> value of the program's own resolved print: one "key = value" a line below "[section]".
std::map<std::string, std::string> resolved_keys(const std::string& text) {
  std::map<std::string, std::string> keys;
  std::istringstream in(text);
  std::string line, section;
  while (std::getline(in, line)) {
    if (line.size() > 2 && line.front() == '[') {
      section = line.substr(1, line.find(']') - 1) + ".";
    } else if (const auto equals = line.find(" = ");
               equals != std::string::npos && line.front() != '#') {
      keys[section + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return keys;
}

bool may_change(const std::string& key) {
  static constexpr std::array<const char*, 10> kFree = {
      "run.threads", "run.name",    "run.tensorboard", "trainer.total_steps", "trainer.max_skipped",
      "stop.",       "checkpoint.", "evaluation.",     "env.trace_steps",     "env.reset_pool"};
  for (const char* prefix : kFree) {
    if (key.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

// Of a job's ranks each needs the same config, but for what each decides for itself or leaves to rank 0.
void require_one_config(const std::string& mine, ProcessGroup& group) {
  if (group.world_size() == 1) return;
  const auto all = group.all_gather(mine, "configs of the ranks");
  const auto keys_of = [](const std::string& text) {
    auto keys = resolved_keys(text);
    std::erase_if(keys, [](const auto& key) {
      for (const char* own :
           {"run.threads", "run.name", "run.tensorboard", "checkpoint.", "evaluation."}) {
        if (key.first.rfind(own, 0) == 0) return true;
      }
      return false;
    });
    return keys;
  };
  const auto first = keys_of(all[0]);
  for (std::size_t r = 1; r < all.size(); ++r) {
    const auto theirs = keys_of(all[r]);
    if (theirs == first) continue;
    auto keys = theirs;
    keys.insert(first.begin(), first.end());  // where only rank 0 has the key
    const auto value = [](const auto& of, const std::string& key) {
      const auto found = of.find(key);
      return found == of.end() ? std::string("nothing") : found->second;
    };
    const auto differs = [&](const std::string& name) {
      return value(first, name) != value(theirs, name);
    };
    std::string key = differs("trainer.algorithm") ? "trainer.algorithm" : "";
    for (const auto& [name, text] : keys) {
      if (key.empty() && differs(name)) key = name;
    }
    Error error(ExitCode::kUsage, "rank " + std::to_string(r) +
                                      " has another config than rank 0 (" + key + " is " +
                                      value(theirs, key) + " there, " + value(first, key) +
                                      " here); start all ranks with the same file and keys");
    if (group.rank() != 0) error.set_reported();
    throw error;
  }
}

// Each rank writes into the run folder: one that sees another folder there, on a disk of its own machine perhaps, would fail at
// the first checkpoint.
void require_one_folder(const std::string& dir, ProcessGroup& group) {
  if (group.world_size() == 1) return;
  const std::string mark = from_rank_zero(group, "marking the run folder", [&] {
    const std::string path = tmp_name(dir + "/ranks");
    write_file_atomic(path, "");
    return fs::path(path).filename().string();
  });
  const bool seen = file_exists(dir + "/" + mark);
  const auto all = group.all_gather(seen ? "" : dir, "run folders of the ranks");
  if (group.rank() == 0) {
    std::error_code ignored;
    fs::remove(dir + "/" + mark, ignored);
  }
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r].empty()) continue;
    Error error(ExitCode::kIo, "rank " + std::to_string(r) +
                                   " does not see rank 0's run folder in " + all[r] +
                                   "; give all ranks one --out on a shared file system");
    if (group.rank() != 0) error.set_reported();
    throw error;
  }
}

// Whether two configs of the same run end at different places.
bool asks_for_more(const std::string& there, const std::string& here) {
  auto a = resolved_keys(there), b = resolved_keys(here);
  for (const char* key : {"trainer.total_steps", "stop.mean_return", "stop.window"}) {
    if (a[key] != b[key]) return true;
  }
  return false;
}

MetricsRecord metrics_of(const UpdateReport& r, double seconds, bool with_curriculum) {
  MetricsRecord m;
  m.add("step", r.env_steps).add("update", r.update).add("episodes", r.episodes);
  m.add("return_mean", r.mean_return).add("length_mean", r.mean_length);
  if (with_curriculum) m.add("difficulty", r.difficulty).add("success_rate", r.success_rate);
  for (const Metric& number : r.metrics) m.add(number.name, number.value);
  m.add("collect_seconds", r.collect_seconds)
      .add("env_seconds", r.env_seconds)
      .add("learn_seconds", r.learn_seconds)
      .add("seconds", seconds);
  return m;
}

bool last_checkpoint_is_damaged(const std::string& dir) {
  const auto all = list_checkpoints(dir);
  return all.empty() || !check_checkpoint(all.front()).empty();
}

// Whether a run failed before its first update: a dataset or policy that was not there, say. Nothing of it can be lost.
bool never_began(const std::string& dir) {
  const std::string metrics = dir + "/metrics.jsonl";
  return read_run_state(dir) == "failed" && list_checkpoints(dir).empty() &&
         (!file_exists(metrics) || file_bytes(metrics) == 0);
}

// Of a folder that is to become a run's.
void refuse_other_files(const std::string& dir) {
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (name == "lock.json" || (name == "checkpoints" && fs::is_empty(entry.path()))) continue;
    fail_io(dir + " holds files that are not a training run (" + name + "); choose another --out");
  }
}

// Rank 0 decides what the folder is: "new", "resume" or "done".
std::string open_folder(const TrainJob& job) {
  const std::string& dir = job.out_dir;
  const std::string config_path = dir + "/config.toml";
  remove_leftovers(dir);  // of a process that was killed; this one holds the lock
  const bool anew = never_began(dir);
  if (anew || !file_exists(config_path)) {
    if (!anew) refuse_other_files(dir);
    check_writable(dir);
    make_dirs(checkpoints_dir(dir));
    write_file_atomic(config_path, job.config_text);
    if (job.resume) log_info("{} holds no run yet: starting anew", dir);
    return "new";
  }
  const std::string difference =
      config_difference(read_file(config_path, 1 << 22), job.config_text);
  if (!difference.empty()) {
    fail_io(dir + " holds a run with another config (" + difference + "); choose another --out");
  }
  const bool longer = asks_for_more(read_file(config_path, 1 << 22), job.config_text);
  const bool done = read_run_state(dir) == "done";
  if (done && !longer && !(job.resume && last_checkpoint_is_damaged(dir))) return "done";
  if (!job.resume && done) {
    fail_io(dir +
            " holds a finished run of this config with other lengths or limits; extend it with "
            "--resume, or choose "
            "another --out");
  }
  if (!job.resume) {
    fail_io(dir +
            " holds an unfinished run of this config; continue it with --resume, or choose another "
            "--out");
  }
  make_dirs(checkpoints_dir(dir));
  remove_leftovers(checkpoints_dir(dir));
  for (const auto& entry : fs::directory_iterator(checkpoints_dir(dir))) {
    if (entry.path().extension() == ".tmp") fs::remove_all(entry.path());  // a checkpoint begun
  }
  write_file_atomic(config_path, job.config_text);
  return "resume";
}

// Of jobs at once in a process one after the other takes its memory: each is asked whether there is enough (check_memory).
std::mutex making;

class Loop {
 public:
  Loop(const TrainJob& job, ProcessGroup& group)
      : job_(job), group_(group), faults_(job.out_dir + "/faults") {}
  TrainResult run(bool resume);
  // Done so far, updates that failed apart; nothing before it has begun.
  std::optional<std::int64_t> env_steps() const { return env_steps_; }

 private:
  struct Decision {
    bool checkpoint = false;
    StopRequest stop = StopRequest::kNone;
  };
  Decision decide(Trainer& trainer, Clock::time_point last_checkpoint);
  void restore(Trainer& trainer);
  void open_events(std::optional<TensorboardWriter>& events, std::int64_t last) const;
  UpdateReport step(Trainer& trainer);
  void report_faults(const UpdateReport& report);
  void report_skipped(const UpdateReport& report, Trainer& trainer);
  std::string cause_of(const std::string& observation) const;

  const TrainJob& job_;
  ProcessGroup& group_;
  FaultReports faults_;
  std::optional<std::int64_t> env_steps_;
  std::int64_t broken_ = 0;  // environments of this process, so far
  bool told_of_skipped_ = false;
};

void Loop::restore(Trainer& trainer) {
  std::string warnings;
  const std::string folder = load_newest_checkpoint(job_.out_dir, trainer, warnings);
  if (!warnings.empty()) log_warn("{}", warnings);
  if (group_.rank() != 0) return;
  if (folder.empty()) {
    log_info("no checkpoint in {}: starting from the beginning", job_.out_dir);
  } else {
    log_info("resuming from {} ({} steps)", folder, trainer.progress().env_steps);
  }
  MetricsWriter::truncate_after(job_.out_dir + "/metrics.jsonl", "step",
                                trainer.progress().env_steps);
}

void Loop::open_events(std::optional<TensorboardWriter>& events, std::int64_t last) const {
  events.emplace(job_.out_dir, last);
  const auto settings = resolved_keys(job_.config_text);
  events->write_config(job_.config_text, {settings.begin(), settings.end()});
}

// Where it comes from: of a state that was not finite the report in faults/ tells.
std::string Loop::cause_of(const std::string& observation) const {
  return observation + " is NaN or infinite" +
         (broken_ > 0 ? "" : ", though no state is: its observe must not write such a number") +
         "; `rollmill check-env " + job_.options.env.id + "` looks for where";
}

// A failure of numbers says whose they are: where an environment shows some that are not finite, no learning rate helps.
UpdateReport Loop::step(Trainer& trainer) {
  try {
    return trainer.step();
  } catch (const Error& e) {
    if (e.code() != ExitCode::kNumerical) throw;
    const std::string observation = trainer.observation_not_finite();
    UpdateReport lost;
    lost.update = trainer.progress().update;
    lost.faults = trainer.batch().take_faults();
    report_faults(lost);
    if (observation.empty()) throw;
    throw Error(e.code(), "update " + std::to_string(lost.update) + ": " + cause_of(observation));
  }
}

void Loop::report_skipped(const UpdateReport& report, Trainer& trainer) {
  if (report.skipped == 0 || told_of_skipped_) return;
  const std::string observation = trainer.observation_not_finite();
  if (observation.empty() && group_.rank() != 0) return;
  told_of_skipped_ = true;
  log_warn("{}update {}: optimiser steps of NaN or infinity are skipped ({} here){}{}", job_.label,
           report.update, report.skipped, observation.empty() ? "" : ": ",
           observation.empty() ? "" : cause_of(observation));
}

// Environments that broke do not stop the run; what is needed to see why is written.
void Loop::report_faults(const UpdateReport& report) {
  broken_ += report.faults.count;
  if (report.faults.count == 0) return;
  log_warn("{}update {}: {} environments ended because a number was NaN or infinite; {}",
           job_.label, report.update, report.faults.count,
           faults_.write(find_env(job_.options.env.id).spec(), job_.options.seed, report.faults));
}

// The same on all ranks: a signal that reached one of them, or rank 0's clock.
Loop::Decision Loop::decide(Trainer& trainer, Clock::time_point last_checkpoint) {
  const TrainOptions& o = job_.options;
  Decision d;
  d.stop = job_.stop();
  d.checkpoint = o.checkpoint_updates > 0 ? trainer.progress().update % o.checkpoint_updates == 0
                                          : seconds_since(last_checkpoint) >= o.checkpoint_seconds;
  if (group_.world_size() == 1) return d;
  const std::string mine = {static_cast<char>('0' + static_cast<int>(d.stop)),
                            d.checkpoint ? '1' : '0'};
  const auto all = group_.all_gather(mine, "stop and checkpoint flags");
  d.checkpoint = all.front()[1] == '1';
  for (const std::string& other : all) {
    d.stop = std::max(d.stop, static_cast<StopRequest>(other[0] - '0'));
  }
  return d;
}

TrainResult Loop::run(bool resume) {
  const auto start = Clock::now();
  std::unique_lock<std::mutex> alone(making, std::defer_lock);
  // (Ranks as threads of a process make theirs together: that is collective.)
  if (group_.world_size() == 1) alone.lock();
  const auto made = make_trainer(job_.options, group_, job_.local_rank);
  if (alone) alone.unlock();
  Trainer& trainer = *made;
  trainer.run().stop = [this] { return job_.stop() != StopRequest::kNone; };
  if (resume) restore(trainer);
  std::optional<MetricsWriter> metrics;
  std::optional<TensorboardWriter> events;
  if (group_.rank() == 0) {
    metrics.emplace(job_.out_dir + "/metrics.jsonl");
    if (job_.options.tensorboard) open_events(events, trainer.progress().env_steps);
    write_run_status(job_.out_dir, "running", 0, trainer.progress().env_steps, "");
    for (const std::string& key : job_.options.curriculum.fixed_too) {
      log_info("{}{} is for the evaluation: training takes its values from curriculum.{}",
               job_.label, key, key.substr(std::string("env.").size()));
    }
  }
  TrainingWatch watch(trainer.spec(), trainer.options().reward_scale);
  TrainResult result;
  bool tell_networks = job_.tells_networks;
  const std::int64_t first_steps = trainer.progress().env_steps;
  env_steps_ = first_steps;
  auto last_checkpoint = Clock::now();
  while (!trainer.finished()) {
    const UpdateReport report = step(trainer);
    env_steps_ = trainer.progress().env_steps;
    if (report.stopped) {
      result.stopped_by = decide(trainer, last_checkpoint).stop;
      break;
    }
    // (Only now is everything that the job names known to fit.)
    if (group_.rank() == 0 && std::exchange(tell_networks, false))
      log_info("{}{}", job_.label, networks_text(job_.options));
    const MetricsRecord record =
        metrics_of(report, seconds_since(start), trainer.curriculum().active());
    if (metrics) metrics->write(record);
    if (events) events->write(record);
    report_faults(report);
    report_skipped(report, trainer);
    if (group_.rank() == 0) {
      for (const std::string& warning : watch.observe(record))
        log_warn("{}update {}: {}", job_.label, report.update, warning);
    }
    job_.on_update(record);
    const Decision d = decide(trainer, last_checkpoint);
    if (d.stop != StopRequest::kNone && !trainer.finished()) {
      result.stopped_by = d.stop;
      break;
    }
    if (d.checkpoint && !trainer.finished()) {
      save_checkpoint(job_.out_dir, trainer);
      last_checkpoint = Clock::now();
    }
  }
  // (Before the first update there is nothing that a run could go on from: it begins again.)
  if (trainer.progress().update > 0 || result.stopped_by == StopRequest::kNone)
    result.checkpoint = save_checkpoint(job_.out_dir, trainer);
  result.finished = result.stopped_by == StopRequest::kNone;
  result.env_steps = trainer.progress().env_steps;
  result.new_steps = result.env_steps - first_steps;
  result.updates = trainer.progress().update;
  result.seconds = seconds_since(start);
  if (group_.rank() == 0) {
    if (metrics) metrics->sync();
    if (events) events->sync();
    const int code = result.finished ? 0 : result.stopped_by == StopRequest::kInterrupt ? 130 : 75;
    write_run_status(job_.out_dir, result.finished ? "done" : "preempted", code, result.env_steps,
                     "");
  }
  return result;
}

}  // namespace

std::string config_difference(const std::string& there, const std::string& here) {
  const auto a = resolved_keys(there), b = resolved_keys(here);
  for (const auto& [key, value] : b) {
    const auto it = a.find(key);
    if (may_change(key)) continue;
    if (it == a.end()) return key + ": absent there, " + value + " here";
    if (it->second != value) return key + ": " + it->second + " there, " + value + " here";
  }
  for (const auto& [key, value] : a) {
    if (!may_change(key) && b.find(key) == b.end())
      return key + ": " + value + " there, absent here";
  }
  return "";
}

namespace {

// What is needed to see a numerical failure again: training repeats itself bit for bit from its last good checkpoint.
// Returns the rest of the message: where to go back to.
std::string write_failure(const TrainJob& job, const std::string& message) {
  std::string problems;
  const std::string checkpoint = newest_good_checkpoint(job.out_dir, problems);
  const std::string path = job.out_dir + "/failure.json";
  nlohmann::ordered_json j;
  j["message"] = message;
  if (checkpoint.empty()) {
    j["checkpoint"] = nullptr;
    j["reproduce"] = "train this config again: there was no checkpoint yet";
  } else {
    j["checkpoint"] = checkpoint;
    j["reproduce"] = "train this config with --resume: the same bits from that checkpoint on";
  }
  write_file_atomic(path, j.dump(2) + "\n");
  return "; last good checkpoint: " + (checkpoint.empty() ? "none yet" : checkpoint) +
         "; how to see it again: " + path;
}

}  // namespace

TrainResult run_train_job(const TrainJob& job, ProcessGroup& group) {
  require_one_config(job.config_text, group);
  std::optional<DirLock> lock;
  const std::string kind = from_rank_zero(group, "opening the run folder", [&] {
    make_dirs(job.out_dir);
    lock.emplace(job.out_dir, "train");
    return open_folder(job);
  });
  require_one_folder(job.out_dir, group);
  if (kind == "done") {
    TrainResult result;
    result.finished = result.already_done = true;
    std::string problems;
    result.checkpoint = newest_good_checkpoint(job.out_dir, problems);
    if (!problems.empty()) {
      fail_data(problems + "; train its last steps again with --resume");
    }
    if (result.checkpoint.empty()) fail_data(job.out_dir + " is marked done but has no checkpoint");
    const CheckpointInfo info = read_checkpoint_info(result.checkpoint);
    result.env_steps = info.env_steps;
    result.updates = info.update;
    return result;
  }
  Loop loop(job, group);
  try {
    return loop.run(kind == "resume");
  } catch (const std::exception& e) {
    const Error error = as_error(e);
    std::string message = error.what();
    if (group.rank() == 0) {
      try {
        if (error.code() == ExitCode::kNumerical) message += write_failure(job, message);
        write_run_status(job.out_dir, "failed", static_cast<int>(error.code()), loop.env_steps(),
                         message);
      } catch (const std::exception&) {
        // The same full disk, most likely: the first error is the one to report.
      }
    }
    if (message != error.what()) throw Error(error.code(), message);
    throw;
  }
}

}  // namespace rollmill
