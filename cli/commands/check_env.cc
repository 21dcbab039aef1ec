#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/apart.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "envs/contract/checks.h"

namespace rollmill {
namespace {

struct Verdict {
  const contract::Check* check;
  std::vector<std::string> broken;
  bool late = false;
};

// A check that throws or crashes is broken, too: what an environment does then is what its author must read.
Verdict judge(const contract::Check& check, const EnvEntry& entry, std::chrono::seconds limit) {
  const auto body = [&] {
    std::vector<std::string> broken;
    try {
      check.run(entry, broken);
    } catch (const std::exception& e) {
      broken.push_back(std::string("it stopped with an error: ") + e.what());
    }
    return nlohmann::json(broken).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  const ApartResult run = run_apart(body, limit);
  if (run.late)
    return {&check,
            {"it " + run.death + ": it hangs, or it is slow and needs a longer --timeout"},
            true};
  if (!run.death.empty()) return {&check, {"it " + run.death}};
  return {&check, nlohmann::json::parse(run.text).get<std::vector<std::string>>()};
}

std::string line(const Verdict& v) {
  std::string text = fmt::format("{:<18}{:<8}{}\n", v.check->name,
                                 v.broken.empty() ? "ok" : "BROKEN", v.check->promise);
  for (const std::string& what : v.broken) text += fmt::format("{:<18}  {}\n", "", what);
  return text;
}

}  // namespace

int run_check_env(const Arguments& arguments) {
  std::string id;
  bool json = false;
  std::int64_t limit = 120;
  Args parser("check-env",
              "Checks that an environment keeps its promises, and says in words what is broken. "
              "Exit code 1 if anything is.");
  parser.positional("ENV", id, "environment to check");
  parser.option("--timeout", limit,
                "seconds that each check may take; the first that hangs is the last", 1, 86'400);
  parser.flag("--json", json, "print as JSON");
  if (!parser.parse(arguments)) return 0;
  const EnvEntry& entry = find_env(id);
  auto list = nlohmann::ordered_json::array();
  std::size_t broken = 0;
  for (const contract::Check& check : contract::contract_checks()) {
    const Verdict v = judge(check, entry, std::chrono::seconds(limit));
    broken += v.broken.empty() ? 0 : 1;
    if (!json) print_out(line(v));
    list.push_back({{"check", check.name},
                    {"promise", check.promise},
                    {"ok", v.broken.empty()},
                    {"broken", v.broken}});
    if (v.late) break;
  }
  const std::size_t left = contract::contract_checks().size() - list.size();
  const std::string rest =
      left == 0 ? "" : fmt::format("; {} more were not run, for they would hang, too", left);
  if (json) {
    const nlohmann::ordered_json report = {
        {"env", entry.id}, {"ok", broken == 0}, {"checks", list}, {"not_run", left}};
    print_out(report.dump(2) + "\n");
  } else if (broken == 0) {
    print_out(fmt::format("{}: all {} checks hold\n", entry.id, list.size()));
  } else {
    print_out(fmt::format("{}: {} of {} checks are broken{}; read the first one first\n", entry.id,
                          broken, list.size(), rest));
  }
  return broken == 0 ? 0 : 1;
}

}  // namespace rollmill
