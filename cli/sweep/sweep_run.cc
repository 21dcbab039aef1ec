#include "cli/sweep/sweep_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cli/output.h"
#include "cli/sweep/sweep_report.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/io/atomic_file.h"
#include "core/log/log.h"
#include "evaluation/run_result.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

// The last line that a training printed: why it failed.
std::string last_line(const std::string& path) {
  if (!file_exists(path) || file_bytes(path) > (1u << 20)) return "";
  std::string text = read_file(path, 1u << 20);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return one_line(text.substr(text.rfind('\n') + 1), 300);
}

// A training of a sweep that was killed writes its last checkpoint: until then the folder is its own.
void wait_for_orphan(const std::string& run) {
  constexpr int kAttempts = 600;
  for (int attempt = 1; file_exists(run + "/lock.json"); ++attempt) {
    try {
      DirLock(run, "sweep");
      return;
    } catch (const Error&) {
      if (attempt == kAttempts || stop_signal() != 0) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

bool means_stopped(int exit_code) {
  return exit_code == static_cast<int>(ExitCode::kPreempted) ||
         exit_code == static_cast<int>(ExitCode::kInterrupted);
}

}  // namespace

SweepRun::SweepRun(const SweepPlan& plan, SweepFolder& folder, const Trainings& trainings)
    : plan_(plan), folder_(folder), trainings_(trainings) {}

int SweepRun::run(std::optional<SweepPart> part) {
  std::vector<std::int64_t> entrants;
  for (std::int64_t k = 0; k < plan_.options.trials; ++k) {
    if (!part || part->has(k)) entrants.push_back(k);
  }
  for (std::size_t rung = 0; rung < plan_.rungs.size(); ++rung) {
    const auto number = static_cast<std::int64_t>(rung);
    if (rung > 0) {
      std::vector<TrialScore> scores;
      for (const std::int64_t k : entrants)
        scores.emplace_back(k, folder_.find(k, number - 1)->score());
      entrants = halving_survivors(std::move(scores), plan_.rungs[rung].trials);
    }
    std::vector<std::int64_t> missing;
    for (const std::int64_t k : entrants) {
      if (folder_.find(k, number) == nullptr) missing.push_back(k);
    }
    if (const int code = train(missing, number); code != 0) return code;
  }
  return 0;
}

int SweepRun::train(const std::vector<std::int64_t>& trials, std::int64_t rung) {
  rung_ = rung;
  tasks_.clear();
  for (const std::int64_t trial : trials) {
    for (const std::int64_t seed : plan_.options.seeds) tasks_.push_back({trial, seed});
  }
  const auto at_once = static_cast<std::size_t>(trainings_.at_once);
  std::size_t next = 0;
  bool passed_on = false;
  while (true) {
    if (stop_signal() != 0 && stop_code_ == 0) stop_code_ = stop_signal() == SIGINT ? 130 : 75;
    if (stop_code_ != 0 && !passed_on) {
      children_.signal_all(stop_code_ == 130 ? SIGINT : SIGTERM);
      passed_on = true;
    }
    while (stop_code_ == 0 && next < tasks_.size() && children_.running() < at_once) start(next++);
    for (const Children::Ended& ended : children_.take_ended()) take(ended);
    if (children_.running() == 0 && (stop_code_ != 0 || next == tasks_.size())) return stop_code_;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string SweepRun::log_path(const Task& task) const {
  // Not seed_1.log: `compare DIR/trial_*/seed_*` names runs only.
  const fs::path run = folder_.run_dir(task.trial, rung_, task.seed);
  return (run.parent_path() / ("log_" + run.filename().string() + ".txt")).string();
}

void SweepRun::start(std::size_t id) {
  const Task& task = tasks_[id];
  const std::string run = folder_.run_dir(task.trial, rung_, task.seed);
  make_dirs(fs::path(run).parent_path().string());
  wait_for_orphan(run);
  fs::remove(log_path(task));
  // --resume: the sweep knows that the folder is its own; a new run begins, one that was stopped goes on.
  std::vector<std::string> words = {"train", folder_.recipe(), "--resume", "--quiet", "--out", run};
  const auto set = [&](const std::string& text) {
    words.emplace_back("--set");
    words.push_back(text);
  };
  for (const std::string& text : trial_overrides(plan_, task.trial, rung_)) set(text);
  set("run.name=" + to_toml({plan_.recipe_name}));
  set("run.seed=" + std::to_string(task.seed));
  if (const std::int64_t all = trainings_.at_once * trainings_.processes; all > 1)
    set("run.threads=" + std::to_string(std::max<std::int64_t>(1, available_cores() / all)));
  for (const std::string& plugin : trainings_.plugins) {
    words.emplace_back("--plugin");
    words.push_back(plugin);
  }
  children_.start(id, words, log_path(task));
}

void SweepRun::take(const Children::Ended& ended) {
  Task& task = tasks_[ended.id];
  const std::string log = log_path(task);
  if (file_exists(log) && file_bytes(log) == 0) fs::remove(log);
  // Stopped: by us, or by whoever stops all processes of a job and reached this one first.
  const bool killed_by_us =
      stop_code_ != 0 && (ended.exit_code == 128 + SIGTERM || ended.exit_code == 128 + SIGINT);
  if (means_stopped(ended.exit_code) || killed_by_us) {
    if (stop_code_ == 0) stop_code_ = ended.exit_code;
    return;
  }
  task.exit_code = ended.exit_code;
  record_if_done(task.trial);
}

void SweepRun::record_if_done(std::int64_t trial) {
  TrialRecord r;
  r.trial = trial;
  r.rung = rung_;
  r.values = plan_.trials[static_cast<std::size_t>(trial)];
  r.seeds = plan_.options.seeds;
  std::string last_words;
  for (const Task& task : tasks_) {
    if (task.trial != trial) continue;
    if (task.exit_code < 0) return;
    const std::string run = folder_.run_dir(trial, rung_, task.seed);
    const auto evaluation = task.exit_code == 0 ? read_evaluation(run) : std::nullopt;
    if (task.exit_code == 0 && !evaluation) fail_data(run + "/evaluation.json: missing or damaged");
    r.returns.push_back(evaluation ? std::optional(evaluation->mean_return) : std::nullopt);
    const RunLength length = read_run_length(run);
    r.steps += length.steps;
    r.seconds += length.seconds;
    if (task.exit_code == 0 || r.exit_code != 0) continue;
    r.exit_code = task.exit_code;
    last_words = last_line(log_path(task));
  }
  folder_.add(r);
  log_info("{}", trial_line(r, folder_.records(), plan_.rungs.size(), last_words));
}

}  // namespace rollmill
