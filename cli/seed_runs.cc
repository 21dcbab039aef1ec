#include "cli/seed_runs.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/team_progress.h"
#include "cli/training.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/io/atomic_file.h"
#include "core/log/log.h"
#include "evaluation/run_result.h"
#include "evaluation/statistics.h"
#include "evaluation/table.h"

namespace rollmill {
namespace {

constexpr std::int64_t kMostSeeds = 10'000;

// A finished seed, or one that failed.
struct SeedRow {
  std::int64_t seed = 0;
  std::string run;
  std::string failure;  // "" where it finished
  RunLength length;
  std::optional<EvaluationSummary> evaluation;  // none with evaluation.episodes = 0
};

struct SeedTable {
  std::string out, environment;
  std::vector<SeedRow> rows;

  std::vector<double> returns() const {
    std::vector<double> all;
    for (const SeedRow& row : rows) {
      if (row.evaluation) all.push_back(row.evaluation->mean_return);
    }
    return all;
  }
};

std::string interval_text(const std::optional<Interval>& i, const std::string& none) {
  return i ? fmt::format("[{:.2f}, {:.2f}]", i->low, i->high) : none;
}

std::optional<Interval> interval_of(const std::vector<double>& returns) {
  if (returns.size() < kFewestForInterval) return std::nullopt;
  return t_mean_interval(returns);
}

std::string format_text(const SeedTable& t) {
  std::vector<TableRow> rows = {{"seed", "mean return", "95 % interval", "steps", "seconds"}};
  RunLength all;
  for (const SeedRow& row : t.rows) {
    const std::string mean = !row.failure.empty() ? "failed"
                             : row.evaluation ? fmt::format("{:.2f}", row.evaluation->mean_return)
                                              : "-";
    rows.push_back({std::to_string(row.seed), mean,
                    row.evaluation ? interval_text(row.evaluation->interval, "-") : "-",
                    human(static_cast<double>(row.length.steps)),
                    fmt::format("{:.2f}", row.length.seconds)});
    all.steps += row.length.steps;
    all.seconds += row.length.seconds;
  }
  const std::vector<double> returns = t.returns();
  rows.push_back(
      {"all", returns.empty() ? "-" : fmt::format("{:.2f}", mean(returns)),
       returns.empty() ? "-"
                       : interval_text(interval_of(returns),
                                       fmt::format("of {} seeds or more", kFewestForInterval)),
       human(static_cast<double>(all.steps)), fmt::format("{:.2f} in sum", all.seconds)});
  return fmt::format("{} seeds of {}\n{}runs        {}/seed_*\n", t.rows.size(), t.environment,
                     format_table(rows), t.out);
}

std::string format_json(const SeedTable& t, bool finished) {
  nlohmann::ordered_json j;
  j["out"] = t.out;
  j["env"] = t.environment;
  j["finished"] = finished;
  j["seeds"] = nlohmann::ordered_json::array();
  for (const SeedRow& row : t.rows) {
    nlohmann::ordered_json r;
    r["seed"] = row.seed;
    r["run"] = row.run;
    if (!row.failure.empty()) r["failure"] = row.failure;
    if (row.evaluation) {
      r["mean_return"] = row.evaluation->mean_return;
      if (const auto& i = row.evaluation->interval) r["mean_return_95"] = {i->low, i->high};
    }
    r["steps"] = row.length.steps;
    r["seconds"] = row.length.seconds;
    j["seeds"].push_back(r);
  }
  const std::vector<double> returns = t.returns();
  if (!returns.empty()) j["mean_return"] = mean(returns);
  if (const auto i = interval_of(returns)) j["mean_return_95"] = {i->low, i->high};
  return j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Trains and evaluates one seed. Returns 0 and fills the row, or the exit code of a stop.
int train_seed(TrainJob job, ProcessGroup& group, TrainingView view, SeedRow& row) {
  view.title = fmt::format("{} seed {}", job.options.env.id, row.seed);
  const TrainResult result = train_shown(job, group, view);
  if (!result.finished) {
    log_info("stopped in seed {} {}", row.seed, stopped_where(result));
    return stopped_exit_code(result.stopped_by);
  }
  if (job.options.evaluation_episodes > 0) {
    if (!result.already_done || !has_evaluation(job, result.checkpoint))
      evaluate_run(job, result.checkpoint);
    row.evaluation = read_evaluation(job.out_dir);
  }
  row.length = read_run_length(job.out_dir);
  return 0;
}

// The same, but a numerical failure is a result: what became of the seed.
int train_or_fail(const TrainJob& job, ProcessGroup& group, const TrainingView& view,
                  SeedRow& row) {
  try {
    return train_seed(job, group, view, row);
  } catch (const Error& e) {
    if (e.code() != ExitCode::kNumerical) throw;
    log_error("seed {}: {}", row.seed, e.what());
    row.failure = e.what();
    row.length = read_run_length(job.out_dir);
    return 0;
  }
}

TrainJob read_seed(const JobArgs& args, std::int64_t seed) {
  std::vector<std::string> overrides = args.set;
  overrides.push_back("run.seed=" + std::to_string(seed));
  Config config = Config::from_file(args.config, overrides);
  TrainJob job = read_train_job(config, 1);
  job.resume = args.resume;
  return job;
}

int threads_of(const TrainJob& job, const LaunchInfo& launch) {
  return job.options.threads > 0 ? job.options.threads : default_threads(launch);
}

// How many train at once. Where one uses the GPU or libtorch, which has one number of threads for the whole process: one.
int members_for(const TrainJob& job, std::size_t seeds, const LaunchInfo& launch) {
  const TrainOptions& o = job.options;
  const bool alone = parse_device(o.env.device, "env.device").kind != DeviceChoice::Kind::kCpu ||
                     o.kernels != "fused";
  return alone ? 1 : std::min(threads_of(job, launch), static_cast<int>(seeds));
}

// Trains a list of seeds. Every member takes the next one when it has finished its last.
class SeedTeam {
 public:
  SeedTeam(const JobArgs& args, const std::vector<std::int64_t>& seeds, const std::string& out,
           bool plain, const LaunchInfo& launch)
      : args_(args),
        seeds_(seeds),
        out_(out),
        plain_(plain),
        launch_(launch),
        rows_(seeds.size()) {}

  // Returns the exit code. An error of one seed (a folder that is in use, a full disk) is told at once, lets the others that have
  // begun go on to their ends, and is thrown then.
  int train(int members, int threads) {
    members_ = members;
    free_ = threads;
    if (members == 1) {
      work(0, nullptr);
    } else {
      TeamProgress progress(args_.quiet, plain_ ? Progress::Style::kPlain : Progress::Style::kLive,
                            members);
      std::vector<std::jthread> running;
      for (int m = 1; m < members; ++m) {
        try {
          running.emplace_back([&, m] { work(m, &progress); });
        } catch (const std::system_error& e) {  // fewer than wished, then
          log_warn("only {} seeds at once: no more threads can be had ({})", m, e.what());
          const std::lock_guard<std::mutex> lock(mutex_);
          members_ = m;
          break;
        }
      }
      work(0, &progress);
    }
    if (error_) std::rethrow_exception(error_);
    if (stopped_ == 0 && unbegun_) {
      log_info("stopped before seed {}; continue with --resume", *unbegun_);
      stopped_ = stop_signal() == SIGINT ? 130 : 75;
    }
    return stopped_ != 0 ? stopped_ : failed_;
  }
  bool stopped() const { return stopped_ != 0; }
  // Of the seeds that were trained, in the list's order.
  std::vector<SeedRow> rows() const {
    std::vector<SeedRow> rows;
    for (const auto& row : rows_) {
      if (row) rows.push_back(*row);
    }
    return rows;
  }

 private:
  struct Turn {
    std::size_t index;  // of the seed
    int threads;        // for it: a share of those that nobody uses
  };

  // The next seed to train; nothing where none is left, or where no more may begin.
  std::optional<Turn> next() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (next_ == seeds_.size() || stopped_ != 0 || error_) return std::nullopt;
    if (stop_signal() != 0) {  // between two seeds nothing is lost: what is done stays done
      if (!unbegun_) unbegun_ = seeds_[next_];
      return std::nullopt;
    }
    const int waiting = std::min(members_ - running_, static_cast<int>(seeds_.size() - next_));
    const int share = std::max(1, (free_ + waiting - 1) / std::max(1, waiting));
    ++running_;
    free_ -= share;
    return Turn{next_++, share};
  }

  void work(int member, TeamProgress* progress) {
    while (const auto turn = next()) {
      std::exception_ptr error;
      try {
        train_one(*turn, member, progress);
      } catch (Error& e) {
        if (progress != nullptr) {
          log_error("seed {}: {}; no more seeds are begun", seeds_[turn->index], e.what());
          e.set_reported();
        }
        error = std::current_exception();
      } catch (...) {
        error = std::current_exception();
      }
      if (progress != nullptr) progress->clear(member);
      const std::lock_guard<std::mutex> lock(mutex_);
      --running_;
      free_ += turn->threads;
      if (error && !error_) error_ = error;
    }
  }

  void train_one(const Turn& turn, int member, TeamProgress* progress) {
    SeedRow row;
    row.seed = seeds_[turn.index];
    row.run = fmt::format("{}/seed_{}", out_, row.seed);
    TrainJob job = read_seed(args_, row.seed);
    job.out_dir = row.run;
    if (progress != nullptr) job.label = fmt::format("seed {}: ", row.seed);
    LaunchInfo launch = launch_;
    choose_device(job, launch);
    job.options.threads = turn.threads;
    job.tells_networks = turn.index == 0;
    const auto group = make_process_group(launch, false);
    TrainingView view;
    view.quiet = args_.quiet;
    view.plain = plain_;
    view.team = progress;
    view.member = member;
    const int stopped = train_or_fail(job, *group, view, row);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped != 0) {
      stopped_ = stopped;
      return;
    }
    if (!row.failure.empty()) failed_ = static_cast<int>(ExitCode::kNumerical);
    rows_[turn.index] = row;
  }

  const JobArgs& args_;
  const std::vector<std::int64_t>& seeds_;
  const std::string& out_;
  bool plain_;
  const LaunchInfo& launch_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  int members_ = 1, running_ = 0, free_ = 1;  // free_: threads of the job that no seed uses
  std::vector<std::optional<SeedRow>> rows_;
  int stopped_ = 0, failed_ = 0;         // exit codes
  std::optional<std::int64_t> unbegun_;  // the first seed that a signal kept from its beginning
  std::exception_ptr error_;
};

// The folder of all seeds is no run itself: what is in it by then would be taken for a part of one.
void check_folder(const std::string& out) {
  if (file_exists(out + "/config.toml"))
    fail_io(out + " is a training run itself; choose another --out for the seeds' runs");
}

}  // namespace

std::vector<std::int64_t> parse_seeds(const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    fail_usage("--seeds " + text + ": " + why + "; 5 means seeds 1 to 5, 3,7,11 means these");
  };
  std::vector<std::int64_t> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    std::int64_t number = -1;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + end, number);
    if (error != std::errc() || rest != text.data() + end || number < 0)
      refuse("not whole numbers from 0 on with commas between");
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end())
      refuse("seed " + std::to_string(number) + " twice");
    numbers.push_back(number);
    at = end + 1;
  }
  if (text.find(',') != std::string::npos) return numbers;
  const std::int64_t count = numbers.front();
  if (count < 1 || count > kMostSeeds)
    refuse("1 to " + std::to_string(kMostSeeds) + " seeds are possible");
  numbers.clear();
  for (std::int64_t seed = 1; seed <= count; ++seed) numbers.push_back(seed);
  return numbers;
}

int train_seeds(const JobArgs& args, const std::vector<std::int64_t>& seeds, bool plain) {
  const LaunchInfo launch = read_launch_info();
  refuse_launcher(launch,
                  "--seeds trains in one process; under a launcher start each seed with --seed");
  for (const std::string& set : args.set) {
    if (set.starts_with("run.seed=")) fail_usage("--seeds and --set " + set + ": choose one");
  }
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", 0);
  const TrainJob first = read_seed(args, seeds.front());
  SeedTable table;
  table.out = args.out.empty() ? "runs/" + first.options.name : args.out;
  table.environment = first.options.env.id;
  check_folder(table.out);
  SeedTeam team(args, seeds, table.out, plain, launch);
  const int code = team.train(members_for(first, seeds.size(), launch), threads_of(first, launch));
  table.rows = team.rows();
  if (args.json) {
    print_out(format_json(table, !team.stopped()));
  } else if (!args.quiet && !team.stopped()) {
    print_out(format_text(table));
  }
  return code;
}

}  // namespace rollmill
