// Command-line arguments of one subcommand; a thin wrapper, so that CLI11 is compiled once (cli/args.cc). Every command takes
// --plugin, and parse() loads what it names: environments of plugins are there before a command looks for one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollmill {

class Args {
 public:
  enum Plugins : bool { kWithoutPlugins, kWithPlugins };
  Args(const std::string& command, const std::string& summary, Plugins plugins = kWithPlugins);
  ~Args();

  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool required = true);
  // One or more, the last of the positional arguments.
  void positionals(const std::string& name, std::vector<std::string>& values,
                   const std::string& help);
  void option(const std::string& names, std::string& value, const std::string& help);
  void option(const std::string& names, std::int64_t& value, const std::string& help,
              std::int64_t low, std::int64_t high);
  void option(const std::string& names, std::optional<std::string>& value, const std::string& help);
  void option(const std::string& names, std::optional<std::int64_t>& value,
              const std::string& help);
  void option(const std::string& names, std::optional<double>& value, const std::string& help);
  void list(const std::string& names, std::vector<std::string>& values, const std::string& help);
  void flag(const std::string& names, bool& value, const std::string& help);

  // False: help was printed and there is nothing to do. Throws a usage error for anything it cannot take.
  bool parse(const std::vector<std::string>& arguments);
  // What --plugin named: for processes that this one starts.
  const std::vector<std::string>& plugins() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What every job takes.
struct JobArgs {
  std::string config;
  std::string out;
  std::vector<std::string> set;
  std::optional<std::int64_t> seed;
  bool resume = false, json = false, quiet = false, check = false;

  void add_to(Args& args);
  std::vector<std::string> overrides() const;  // --set and --seed
};

}  // namespace rollmill
