// `rollmill SUBCOMMAND ...`: a table. Errors become one line and an exit code here and nowhere else.
#include <cstring>
#include <string>

#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/as_error.h"
#include "core/base/build_info.h"
#include "core/config/nearest.h"
#include "core/log/console.h"
#include "core/log/log.h"

namespace rollmill {
namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments&);
};

constexpr Command kCommands[] = {
    {"train", "train a policy on generated experience", run_train},
    {"sweep", "search for the best values of a recipe's keys", run_sweep},
    {"generate", "write a dataset of trajectories", run_generate},
    {"evaluate", "score a policy with intervals", run_evaluate},
    {"compare", "compare training runs: curves over seeds, and a table", run_compare},
    {"export", "write a policy as ONNX, TorchScript, C or safetensors", run_export},
    {"play", "play an environment in the terminal", run_play},
    {"branch", "play on from a state twice, with another action the second time", run_branch},
    {"render", "show an episode as a picture or an animation", run_render},
    {"replay", "re-execute a dataset and compare bit for bit", run_replay},
    {"verify", "check a dataset or run on disk", run_verify},
    {"inspect", "summarise a dataset, checkpoint, policy or run", run_inspect},
    {"envs", "list environments, or describe one", run_envs},
    {"bench", "measure speed: environment, rollout, training", run_bench},
    {"check-env", "check that an environment keeps its promises", run_check_env},
    {"new-env", "make the skeleton of a new environment", run_new_env},
};

std::string help() {
  std::string text = "usage: rollmill COMMAND [ARGUMENTS]   (rollmill COMMAND --help for each)\n\n";
  for (const Command& c : kCommands) {
    text +=
        "  " + std::string(c.name) + std::string(12 - std::strlen(c.name), ' ') + c.summary + "\n";
  }
  return text + "\nrollmill --version prints the build.\n";
}

int dispatch(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "--help" || name == "-h" || name == "help") {
    print_out(help());
    return argc > 1 ? 0 : 2;
  }
  if (name == "--version") {
    print_out(std::string("rollmill ") + build_info() + "\n");
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& c : kCommands) {
    if (name == c.name) return c.run(Arguments(argv + 2, argv + argc));
    names.emplace_back(c.name);
  }
  const std::string near = nearest(name, names);
  fail_usage("'" + name + "' is not a command" +
             (near.empty() ? "" : "; did you mean '" + near + "'?") +
             " (rollmill --help lists them)");
}

}  // namespace
}  // namespace rollmill

int main(int argc, char** argv) {
  rollmill::prepare_standard_streams();
  try {
    return rollmill::dispatch(argc, argv);
  } catch (const std::exception& e) {
    const rollmill::Error error = rollmill::as_error(e);
    if (!error.reported()) rollmill::log_error("{}", error.what());
    return static_cast<int>(error.code());
  }
}
