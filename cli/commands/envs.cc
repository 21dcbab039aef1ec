#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/describe_env.h"
#include "cli/output.h"
#include "envs/registry.h"

namespace rollmill {

int run_envs(const Arguments& arguments) {
  std::string id;
  bool json = false;
  Args parser("envs", "Lists the environments, or describes one.");
  parser.positional("ID", id, "environment to describe", false);
  parser.flag("--json", json, "print as JSON");
  if (!parser.parse(arguments)) return 0;
  if (!id.empty()) {
    const EnvEntry& entry = find_env(id);
    const EnvSpec spec = entry.spec();
    print_out(json ? describe_json(entry, spec).dump(2) + "\n" : describe_text(entry, spec));
    return 0;
  }
  auto list = nlohmann::ordered_json::array();
  std::vector<std::array<std::string, 4>> table;
  std::array<std::size_t, 3> width{};
  for (const EnvEntry& entry : env_registry()) {
    const EnvSpec s = entry.spec();
    if (json) list.push_back(describe_json(entry, s));
    table.push_back({s.id, observation_text(s), action_text(s), s.summary});
    for (std::size_t k = 0; k < 3; ++k) width[k] = std::max(width[k], table.back()[k].size());
  }
  std::string text;
  for (const auto& [id_text, observation, action, summary] : table) {
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {}\n", id_text, width[0], observation, width[1],
                        action, width[2], summary);
  }
  print_out(json ? list.dump(2) + "\n" : text);
  return 0;
}

}  // namespace rollmill
