// The subcommands, one file each in cli/commands/. Each takes its own arguments and returns an exit code, or throws Error.
#pragma once

#include <string>
#include <vector>

namespace rollmill {

using Arguments = std::vector<std::string>;

int run_train(const Arguments& arguments);
int run_sweep(const Arguments& arguments);
int run_generate(const Arguments& arguments);
int run_evaluate(const Arguments& arguments);
int run_compare(const Arguments& arguments);
int run_export(const Arguments& arguments);
int run_play(const Arguments& arguments);
int run_branch(const Arguments& arguments);
int run_render(const Arguments& arguments);
int run_replay(const Arguments& arguments);
int run_verify(const Arguments& arguments);
int run_inspect(const Arguments& arguments);
int run_envs(const Arguments& arguments);
int run_bench(const Arguments& arguments);
int run_check_env(const Arguments& arguments);
int run_new_env(const Arguments& arguments);

}  // namespace rollmill
