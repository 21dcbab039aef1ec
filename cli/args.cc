#include "cli/args.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <CLI/CLI.hpp>

#include "cli/output.h"
#include "core/base/error.h"
#include "envs/plugin.h"

namespace rollmill {

// (CLI11 takes a number beyond the range of the type for the nearest one in it.)
static const CLI::Validator kFits(
    [](const std::string& text) -> std::string {
      errno = 0;
      std::strtoll(text.c_str(), nullptr, 0);  // as CLI11 reads it
      return errno == ERANGE ? text + " is beyond the integers of 64 bits" : "";
    },
    "");

struct Args::Impl {
  CLI::App app;
  std::string command;
  std::vector<std::string> plugins;
  bool takes_plugins = false;
};

Args::Args(const std::string& command, const std::string& summary, Plugins plugins)
    : impl_(std::make_unique<Impl>()) {
  impl_->app.description(summary);
  impl_->app.name("rollmill " + command);
  impl_->command = command;
  if (plugins == kWithPlugins) {
    list("--plugin", impl_->plugins,
         "a .so with more environments; repeatable (also ROLLMILL_PLUGINS=A.so:B.so)");
  }
  impl_->takes_plugins = plugins == kWithPlugins;
}
Args::~Args() = default;

void Args::positional(const std::string& name, std::string& value, const std::string& help,
                      bool required) {
  auto* option = impl_->app.add_option(name, value, help);
  if (required) option->required();
}
void Args::positionals(const std::string& name, std::vector<std::string>& values,
                       const std::string& help) {
  impl_->app.add_option(name, values, help)->required();
}
void Args::option(const std::string& names, std::string& value, const std::string& help) {
  impl_->app.add_option(names, value, help);
}
void Args::option(const std::string& names, std::int64_t& value, const std::string& help,
                  std::int64_t low, std::int64_t high) {
  impl_->app.add_option(names, value, help)
      ->check(kFits)
      ->check(CLI::Range(low, high))
      ->capture_default_str();
}
void Args::option(const std::string& names, std::optional<std::string>& value,
                  const std::string& help) {
  impl_->app.add_option(names, value, help);
}
void Args::option(const std::string& names, std::optional<std::int64_t>& value,
                  const std::string& help) {
  impl_->app.add_option(names, value, help)->check(kFits);
}
void Args::option(const std::string& names, std::optional<double>& value, const std::string& help) {
  impl_->app.add_option(names, value, help);
}
void Args::list(const std::string& names, std::vector<std::string>& values,
                const std::string& help) {
  impl_->app.add_option(names, values, help)->allow_extra_args(false);
}
void Args::flag(const std::string& names, bool& value, const std::string& help) {
  impl_->app.add_flag(names, value, help);
}

// Those of ROLLMILL_PLUGINS first: a command line adds to what a shell has set.
static void load_named_plugins(const std::vector<std::string>& named) {
  std::vector<std::string> paths;
  const char* set = std::getenv("ROLLMILL_PLUGINS");
  std::istringstream list(set != nullptr ? set : "");
  for (std::string path; std::getline(list, path, ':');) {
    if (!path.empty()) paths.push_back(path);
  }
  paths.insert(paths.end(), named.begin(), named.end());
  load_plugins(paths);
}

bool Args::parse(const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    impl_->app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    print_out(impl_->app.help());
    return false;
  } catch (const CLI::ParseError& e) {
    std::string what = e.what();
    for (char& c : what) {
      if (c == '\n') c = ' ';
    }
    fail_usage(what + " (see `rollmill " + impl_->command + " --help`)");
  }
  if (impl_->takes_plugins) load_named_plugins(impl_->plugins);
  return true;
}

const std::vector<std::string>& Args::plugins() const { return impl_->plugins; }

void JobArgs::add_to(Args& args) {
  args.positional("CONFIG", config, "TOML file that describes the job");
  args.option("--out", out, "output folder");
  args.list("--set", set, "override a config key, as in --set ppo.gamma=0.98; repeatable");
  args.option("--seed", seed, "same as --set run.seed=N");
  args.flag("--resume", resume, "continue the job that the output folder holds");
  args.flag("--json", json, "print the final report as JSON on standard output");
  args.flag("--quiet", quiet, "no progress, no notes; warnings and errors only");
  args.flag("--check", check, "read and check the config, print it resolved, and stop");
}

std::vector<std::string> JobArgs::overrides() const {
  std::vector<std::string> all = set;
  if (seed) all.push_back("run.seed=" + std::to_string(*seed));
  return all;
}

}  // namespace rollmill
