#include "cli/sweep/sweep_folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJob = "sweep";
constexpr std::uint64_t kMostBytes = 4u << 20;

std::string part_text(const SweepPart& part) {
  return fmt::format("{}-of-{}", part.index, part.count);
}

// Parts that start together make the folder one after the other; that takes moments.
DirLock lock_patiently(const std::string& dir) {
  for (int attempt = 0;; ++attempt) {
    try {
      return DirLock(dir, kJob);
    } catch (const Error&) {
      if (attempt == 100) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

bool may_change(const TrialRecord& r) {  // a numerical failure comes again, bit for bit
  return r.exit_code != 0 && r.exit_code != static_cast<int>(ExitCode::kNumerical);
}

}  // namespace

SweepFolder::SweepFolder(std::string dir, const SweepPlan& plan, std::optional<SweepPart> part,
                         bool resume)
    : dir_(std::move(dir)), plan_(plan), part_(part) {
  make_dirs(dir_);
  if (part_) {
    const DirLock door = lock_patiently(dir_);
    lock_.emplace(dir_, kJob, "lock." + part_text(*part_) + ".json");
    make_or_check();
    load(resume);
    write();  // from here on the part is known to have begun
    begun_ = fs::last_write_time(trials_path());
    return;
  }
  lock_.emplace(dir_, kJob);
  for (const std::string& name : part_names("lock.", ".json")) DirLock(dir_, kJob, name);
  make_or_check();
  load(resume);
}

// lock.0-of-4.json and the like.
std::vector<std::string> SweepFolder::part_names(const std::string& prefix,
                                                 const std::string& ending) const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(ending) &&
        name.find("-of-") != std::string::npos)
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void SweepFolder::make_or_check() {
  // (Of parts each may be on another machine, which alone knows which of its processes are gone.)
  if (!part_) remove_leftovers(dir_);
  const std::string path = dir_ + "/sweep.toml";
  if (file_exists(path)) {
    const std::string difference = config_difference(read_file(path, kMostBytes), plan_.text);
    if (!difference.empty())
      fail_io(dir_ + " holds another sweep (" + difference + "); choose another --out");
    if (read_file(recipe(), kMostBytes) != plan_.recipe)
      fail_io(dir_ + " holds a sweep of this recipe as it was before (" + recipe() +
              "); choose another --out");
    return;
  }
  for (const auto& entry : fs::directory_iterator(dir_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("lock.") || name == "recipe.toml") continue;
    fail_io(dir_ + " holds files that are not a sweep (" + name + "); choose another --out");
  }
  check_writable(dir_);
  write_file_atomic(recipe(), plan_.recipe);
  write_file_atomic(path, plan_.text);  // last: with it the folder is a sweep's
}

std::string SweepFolder::trials_path() const {
  return dir_ + (part_ ? "/trials." + part_text(*part_) + ".jsonl" : "/trials.jsonl");
}

std::vector<TrialRecord> SweepFolder::read_records(const std::string& name) const {
  const std::string path = dir_ + "/" + name;
  if (!file_exists(path)) return {};
  return read_trials(path, [&](std::int64_t trial) {
    return trial < plan_.options.trials ? plan_.trials[static_cast<std::size_t>(trial)]
                                        : TrialValues{};
  });
}

bool SweepFolder::all_parts_done() const {
  for (std::int64_t part = 0; part < part_->count; ++part) {
    const std::string name = "trials." + part_text({part, part_->count}) + ".jsonl";
    std::error_code gone;
    const auto written = fs::last_write_time(dir_ + "/" + name, gone);
    if (gone) return false;  // not begun, or taken in
    std::vector<TrialRecord> records;
    try {
      records = read_records(name);
    } catch (const Error&) {
      if (!file_exists(dir_ + "/" + name)) return false;  // taken in at this moment
      throw;
    }
    // What failed before this part began, its rank will try again.
    std::erase_if(records, [&](const TrialRecord& r) { return written < begun_ && may_change(r); });
    std::set<std::int64_t> trials;
    for (const TrialRecord& r : records) trials.insert(r.trial);
    for (std::int64_t k = part; k < plan_.options.trials; k += part_->count) {
      if (!trials.contains(k)) return false;
    }
  }
  return true;
}

void SweepFolder::load(bool resume) {
  std::vector<std::string> names = part_names("trials.", ".jsonl");
  if (part_) {
    const std::string ending = "-of-" + std::to_string(part_->count) + ".jsonl";
    for (const std::string& name : names) {
      if (!name.ends_with(ending))
        fail_io(dir_ + " is worked on in other parts (" + name + "); choose the same number");
    }
    names = {"trials." + part_text(*part_) + ".jsonl"};
  }
  names.insert(names.begin(), "trials.jsonl");
  for (const std::string& name : names) {
    for (TrialRecord& r : read_records(name)) {
      if (part_ && !part_->has(r.trial)) continue;
      const auto known = std::find_if(records_.begin(), records_.end(), [&](const TrialRecord& k) {
        return k.trial == r.trial && k.rung == r.rung;
      });
      if (known == records_.end()) {
        records_.push_back(std::move(r));
      } else if (may_change(*known)) {  // it was tried again
        *known = std::move(r);
      }
    }
  }
  sort_trials(records_);
  if (resume) {
    std::erase_if(records_, may_change);
  } else if (!is_whole() && (!part_ || file_exists(trials_path()))) {
    // A part that has not begun may join others; a whole sweep that finds a sweep.toml of its own making may not.
    const bool begun = fs::exists(dir_ + "/trials.jsonl") || !records_.empty() ||
                       std::any_of(fs::directory_iterator(dir_), fs::directory_iterator(),
                                   [](const fs::directory_entry& entry) {
                                     return entry.path().filename().string().starts_with("trial");
                                   });
    if (begun)
      fail_io(dir_ +
              " holds an unfinished sweep; continue it with --resume, or choose another --out");
  }
}

// Whether all trials of this part have their records; with halving, whether the last rung has one.
bool SweepFolder::is_whole() const {
  if (plan_.rungs.size() > 1) return fs::exists(dir_ + "/best.toml");
  for (std::int64_t k = 0; k < plan_.options.trials; ++k) {
    if ((!part_ || part_->has(k)) && find(k, 0) == nullptr) return false;
  }
  return true;
}

const TrialRecord* SweepFolder::find(std::int64_t trial, std::int64_t rung) const {
  for (const TrialRecord& r : records_) {
    if (r.trial == trial && r.rung == rung) return &r;
  }
  return nullptr;
}

void SweepFolder::add(TrialRecord record) {
  records_.push_back(std::move(record));
  sort_trials(records_);
  write();
}

void SweepFolder::write() const {
  std::string text;
  for (const TrialRecord& r : records_) text += trial_json(r) + "\n";
  write_file_atomic(trials_path(), text);
}

void SweepFolder::finish(const std::string& best_recipe) {
  write();
  if (part_) return;
  if (!best_recipe.empty()) write_file_atomic(dir_ + "/best.toml", best_recipe);
  for (const std::string& name : part_names("trials.", ".jsonl")) fs::remove(dir_ + "/" + name);
  fsync_dir(dir_);
}

std::string SweepFolder::run_dir(std::int64_t trial, std::int64_t rung, std::int64_t seed) const {
  const std::string anew = rung > 0 && !plan_.extends[static_cast<std::size_t>(trial)]
                               ? fmt::format("rung_{}/", rung)
                               : "";
  return fmt::format("{}/trial_{:04}/{}seed_{}", dir_, trial, anew, seed);
}

}  // namespace rollmill
