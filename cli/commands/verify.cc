#include "datasets/verify.h"

#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/log/log.h"
#include "datasets/manifest.h"
#include "rollout/checkpoint_folder.h"

namespace rollmill {
namespace {

// All checkpoints of a run, or one checkpoint.
VerifyReport verify_checkpoints(const std::string& path) {
  VerifyReport report;
  const bool one = !std::filesystem::exists(checkpoints_dir(path));
  const auto folders = one ? std::vector<std::string>{path} : list_checkpoints(path);
  if (folders.empty()) report.problems.push_back({"checkpoints", "there is none"});
  for (const std::string& folder : folders) {
    ++report.shards;
    if (const std::string problem = check_checkpoint(folder); !problem.empty()) {
      report.problems.push_back({std::filesystem::relative(folder, path).string(), problem});
    }
  }
  return report;
}

// "PATH/FILE: what", where it does not name the file itself already.
std::string problem_line(const std::string& path, const Problem& p) {
  const std::string file = p.file == "." ? path : path + "/" + p.file;
  return p.what.find(file) == std::string::npos ? file + ": " + p.what : p.what;
}

}  // namespace

int run_verify(const Arguments& arguments) {
  std::string path;
  bool json = false, quiet = false;
  Args parser("verify",
              "Checks every hash and structural promise of a dataset, run or checkpoint.");
  parser.positional("PATH", path, "dataset, run or checkpoint folder");
  parser.flag("--json", json, "print the report as JSON");
  parser.flag("--quiet", quiet, "problems only");
  if (!parser.parse(arguments)) return 0;
  if (!std::filesystem::is_directory(path))
    fail_data(path + (std::filesystem::exists(path)
                          ? ": is a file; verify takes the folder of a dataset, run or checkpoint"
                          : ": no such folder"));
  const bool run = file_exists(path + "/config.toml") ||
                   std::filesystem::exists(checkpoints_dir(path)) ||
                   file_exists(path + "/policy.safetensors");
  const VerifyReport report = run ? verify_checkpoints(path) : verify_dataset(path);
  if (json) {
    nlohmann::ordered_json j;
    j["path"] = path;
    j["ok"] = report.ok();
    j["kind"] = run ? "checkpoints" : "dataset";
    j["files"] = report.shards;
    j["steps"] = report.steps;
    j["content_hash"] = report.content_hash;
    j["problems"] = nlohmann::json::array();
    for (const Problem& p : report.problems)
      j["problems"].push_back({{"file", p.file}, {"what", p.what}});
    print_out(j.dump(2) + "\n");
  } else if (report.ok() && !quiet) {
    print_out(run ? fmt::format("{}: {} checkpoints, every hash matches\n", path, report.shards)
                  : fmt::format("{}: {} shards, {} episodes, {} transitions, every hash "
                                "matches{}\n  content hash  {}\n",
                                path, report.shards, report.episodes, report.steps,
                                report.finished ? "" : " (the job is unfinished)",
                                report.content_hash));
  }
  for (const Problem& p : report.problems) log_error("{}", problem_line(path, p));
  return report.ok() ? 0 : static_cast<int>(ExitCode::kBadData);
}

}  // namespace rollmill
