#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <utility>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/sweep/rank_part.h"
#include "cli/sweep/sweep_folder.h"
#include "cli/sweep/sweep_plan.h"
#include "cli/sweep/sweep_report.h"
#include "cli/sweep/sweep_run.h"
#include "cli/training.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/dist/process_group.h"
#include "core/log/log.h"

namespace rollmill {
namespace {

struct SweepArgs {
  std::string file, out, part;
  std::vector<std::string> set;
  std::int64_t jobs = 1;
  bool resume = false, json = false, quiet = false, check = false;

  void add_to(Args& args) {
    args.positional("SWEEP", file, "TOML file that names a recipe and what to vary in it");
    args.option("--out", out, "output folder (runs/NAME of the file)");
    args.option("--jobs", jobs, "trainings at once; each gets its share of the cores", 1, 1024);
    args.option("--part", part,
                "I/N: only trials I, I + N, I + 2 N, ...; several processes may share the folder");
    args.list("--set", set, "override a key of the sweep file, as in --set sweep.trials=4");
    args.flag("--resume", resume, "run what is missing of the sweep that the output folder holds");
    args.flag("--json", json, "print the best trials as JSON on standard output");
    args.flag("--quiet", quiet, "no progress, no notes; warnings and errors only");
    args.flag("--check", check, "read and check everything, print the sweep resolved, and stop");
  }
};

std::optional<SweepPart> parse_part(const std::string& text, SweepMethod method) {
  if (text.empty()) return std::nullopt;
  SweepPart part;
  const char* end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, part.index);
  const bool slash = index.ec == std::errc() && index.ptr != end && *index.ptr == '/';
  const auto count = slash ? std::from_chars(index.ptr + 1, end, part.count) : index;
  if (!slash || count.ec != std::errc() || count.ptr != end || part.index < 0 ||
      part.index >= part.count || part.count > kMostTrials)
    fail_usage("--part " + text + ": I/N with I from 0 to N - 1, as in 0/4");
  if (method == SweepMethod::kHalving)
    fail_usage("--part: halving compares all trials of a rung; use --jobs, or method = \"random\"");
  return part;
}

std::string rungs_text(const SweepPlan& plan) {
  if (plan.rungs.size() == 1) return "";
  std::string text = "# rungs:";
  for (const Rung& rung : plan.rungs)
    text += fmt::format(" {} trials of {} steps{}", rung.trials, rung.steps,
                        &rung == &plan.rungs.back() ? "\n" : ",");
  return text;
}

// The recipe with the best values in place. Trained as it stands it is that trial with the first seed.
std::string best_recipe(const SweepPlan& plan, const SweepFolder& folder, const TrialRecord& best) {
  std::vector<std::string> overrides = trial_overrides(plan, best.trial, best.rung);
  overrides.push_back("run.seed=" + std::to_string(plan.options.seeds.front()));
  overrides.push_back("run.name=" + to_toml({plan.recipe_name + "_best"}));
  Config config = Config::from_file(folder.recipe(), overrides);
  read_train_job(config, 1);
  return fmt::format("# Trial {} of {}: mean return {:.2f} over {} seed{}.\n# {}\n{}", best.trial,
                     plan.options.trials, *best.score(), best.seeds.size(),
                     best.seeds.size() == 1 ? "" : "s", values_text(best.values),
                     config.given_toml());
}

const char* method_name(SweepMethod method) {
  return method == SweepMethod::kGrid      ? "grid"
         : method == SweepMethod::kHalving ? "halving"
                                           : "random";
}

// The first error of all, when nothing else came out.
void require_success(const std::vector<TrialRecord>& ranked, const std::string& dir) {
  if (ranked.empty() || ranked.front().score()) return;
  const TrialRecord& r = ranked.front();
  const int code = r.exit_code >= 2 && r.exit_code <= 7 ? r.exit_code : 4;
  throw Error(
      static_cast<ExitCode>(code),
      fmt::format("all {} trials failed; why is in the logs, {}/trial_{:04}/log_* the first",
                  ranked.size(), dir, r.trial));
}

// Writes what the trials came to, of a part or of all, and says it.
int report(const SweepArgs& args, const SweepPlan& plan, SweepFolder& folder, bool is_part) {
  const SweepSummary summary{folder.dir(), method_name(plan.options.method),
                             ranked_trials(folder.records()), plan.rungs.size()};
  const bool found = !summary.ranked.empty() && summary.ranked.front().score();
  folder.finish(found && !is_part ? best_recipe(plan, folder, summary.ranked.front()) : "");
  if (args.json) {
    print_out(format_json(summary));
  } else if (!args.quiet) {
    print_out(format_text(summary) +
              (found && !is_part ? "  best  " + folder.dir() + "/best.toml\n" : ""));
  }
  require_success(summary.ranked, folder.dir());
  return 0;
}

}  // namespace

int run_sweep(const Arguments& arguments) {
  SweepArgs args;
  Args parser("sweep", "Searches for the best values of a training recipe's keys.");
  args.add_to(parser);
  if (!parser.parse(arguments)) return 0;
  const LaunchInfo launch = read_launch_info();
  const bool ranks = launch.world_size > 1;
  if (!args.part.empty())
    refuse_launcher(launch, "--part: under a launcher each rank has its part already");
  // (As rank 0: each rank has trials of its own to tell of.)
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", 0);
  const auto [plan, part] = [&]() -> std::pair<SweepPlan, std::optional<SweepPart>> {
    try {
      SweepPlan read = read_sweep_plan(args.file, args.set);
      const auto own = ranks ? rank_part(launch, read) : parse_part(args.part, read.options.method);
      if (!args.check) leave_launcher(launch, read);
      return {std::move(read), own};
    } catch (Error& e) {
      if (launch.rank != 0) e.set_reported();  // all ranks read the same
      throw;
    }
  }();
  if (args.check) {
    if (launch.rank != 0) return 0;
    print_out(rungs_text(plan) + plan.checked);
    return 0;
  }
  install_signal_handlers();
  const std::string out = args.out.empty() ? "runs/" + plan.name : args.out;
  const Trainings trainings{args.jobs, launch.local_world_size, parser.plugins()};
  auto folder = std::make_unique<SweepFolder>(out, plan, part, args.resume);
  SweepRun run(plan, *folder, trainings);
  if (const int stopped = run.run(part); stopped != 0) {
    log_info("stopped with {} trials finished; continue with --resume", folder->records().size());
    return stopped;
  }
  if (!ranks) return report(args, plan, *folder, part.has_value());
  folder->finish("");
  folder = whole_sweep(plan, std::move(folder));
  return folder ? report(args, plan, *folder, false) : 0;
}

}  // namespace rollmill
