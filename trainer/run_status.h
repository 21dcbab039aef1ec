// RUN/RUN_STATUS.json: what became of a training run, as its own process last said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rollmill {

// Atomically. state: "running" | "done" | "preempted" | "failed". env_steps: of all ranks, nothing where nobody knows.
void write_run_status(const std::string& dir, const std::string& state, int exit_code,
                      std::optional<std::int64_t> env_steps, const std::string& message);
// The state, or "" without a readable status file.
std::string read_run_state(const std::string& dir);

// Whether it says "running" though the process that said so is gone: crashed or killed, it could say no more. Not for who holds
// the folder.
bool run_has_died(const std::string& dir);

}  // namespace rollmill
