// The folder of a sweep and who works in it.
//
//   DIR/sweep.toml          resolved; --resume compares against it
//   DIR/recipe.toml         the recipe's bytes: what every trial is trained from
//   DIR/trial_0007/seed_1/  run folders, beside each log_seed_1.txt if it had something to say
//   DIR/trials.jsonl        a line a finished trial, replaced as a whole each time; in order
//   DIR/best.toml           at the end
//   DIR/trials.0-of-4.jsonl of `--part 0/4`, in place of the two above; the next run without --part takes it in
//
// One process holds the folder (lock.json), or one each part of it (lock.0-of-4.json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/sweep/sweep_plan.h"
#include "core/io/dir_lock.h"
#include "evaluation/sweep/trial_record.h"

namespace rollmill {

struct SweepPart {
  std::int64_t index = 0, count = 1;
  bool has(std::int64_t trial) const { return trial % count == index; }
};

class SweepFolder {
 public:
  // Makes the folder or opens it. Throws Error kIo where it holds another sweep, something else, or an unfinished sweep
  // and resume is not set; with it, trials that failed for other than numerical reasons are forgotten and run again.
  SweepFolder(std::string dir, const SweepPlan& plan, std::optional<SweepPart> part, bool resume);

  const std::string& dir() const { return dir_; }
  // Finished trials, of this part where there is one.
  const std::vector<TrialRecord>& records() const { return records_; }
  const TrialRecord* find(std::int64_t trial, std::int64_t rung) const;
  void add(TrialRecord record);  // and writes them all
  // Without parts: trials.jsonl is what counts from here on. `best_recipe`: text of best.toml, "" for none.
  void finish(const std::string& best_recipe);

  // Of a part: whether all parts have begun and have the records of their trials, and nobody has taken them in yet.
  bool all_parts_done() const;
  void leave() { lock_.reset(); }  // others may have the folder

  std::string recipe() const { return dir_ + "/recipe.toml"; }
  // Where a trial is trained with a seed. A rung that is trained anew has folders of its own.
  std::string run_dir(std::int64_t trial, std::int64_t rung, std::int64_t seed) const;

 private:
  void make_or_check();
  void load(bool resume);
  std::vector<TrialRecord> read_records(
      const std::string& name) const;  // none where there is no such file
  void write() const;
  std::string trials_path() const;
  std::vector<std::string> part_names(const std::string& prefix, const std::string& ending) const;
  bool is_whole() const;

  std::string dir_;
  const SweepPlan& plan_;
  std::optional<SweepPart> part_;
  std::optional<DirLock> lock_;
  std::filesystem::file_time_type begun_;  // of a part, by the clock of the folder's files
  std::vector<TrialRecord> records_;
};

}  // namespace rollmill
