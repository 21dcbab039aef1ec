// What a launcher says in the environment. Names are torchrun's; Slurm and Kubernetes wrappers set
// the same ones.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/base/error.h"
#include "core/dist/process_group.h"

namespace rollmill {
namespace {

const char* get(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::optional<int> get_int(const char* name, int low, int high) {
  const char* text = get(name);
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || stop != end) {
    fail_usage(std::string(name) + "=\"" + text + "\" in the environment is not a whole number");
  }
  if (value < low || value > high) {
    fail_usage(std::string(name) + "=" + text + " in the environment is outside [" +
               std::to_string(low) + ", " + std::to_string(high) + "]");
  }
  return value;
}

// "A", "A and B", "A, B and C" of the names that are not set; empty when all are.
std::string missing_of(std::initializer_list<const char*> names) {
  std::string text;
  int left = 0;
  for (const char* name : names) left += get(name) == nullptr;
  for (const char* name : names) {
    if (get(name) != nullptr) continue;
    text += text.empty() ? "" : left == 1 ? " and " : ", ";
    text += name;
    --left;
  }
  return text;
}

[[noreturn]] void fail_missing(const std::string& names) {
  fail_usage("RANK is set, so a launcher started this process, but it did not set " + names +
             "; start with torchrun --no-python, or unset RANK for a single process");
}

void read_elastic(LaunchInfo& info) {
  const char* run_id = get("TORCHELASTIC_RUN_ID");
  info.run_id = run_id != nullptr ? run_id : "none";
  info.restart_count = get_int("TORCHELASTIC_RESTART_COUNT", 0, 1 << 20).value_or(0);
  const char* agent = get("TORCHELASTIC_USE_AGENT_STORE");
  info.agent_store =
      agent != nullptr && (std::strcmp(agent, "True") == 0 || std::strcmp(agent, "1") == 0);
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

// After the master's address. Without LOCAL_WORLD_SIZE: all ranks when they meet on the loopback,
// else as many as this rank can be sure of, and never all (core/dist/torch takes the loopback then).
void read_local(LaunchInfo& info) {
  info.local_rank = get_int("LOCAL_RANK", 0, info.rank).value_or(0);
  const std::optional<int> local = get_int("LOCAL_WORLD_SIZE", 1, info.world_size);
  if (local && info.local_rank >= *local) {
    fail_usage("LOCAL_RANK=" + std::to_string(info.local_rank) +
               " does not fit LOCAL_WORLD_SIZE=" + std::to_string(*local) + "; it counts from 0");
  }
  const int known = std::min(info.local_rank + 1, std::max(1, info.world_size - 1));
  info.local_world_size = local.value_or(is_loopback(info.master_addr) ? info.world_size : known);
}

}  // namespace

LaunchInfo read_launch_info() {
  LaunchInfo info;
  info.timeout_seconds = get_int("ROLLMILL_TIMEOUT", 1, 86400).value_or(info.timeout_seconds);
  const std::optional<int> rank = get_int("RANK", 0, 1 << 20);
  const std::optional<int> world = get_int("WORLD_SIZE", 1, 1 << 20);
  if (!rank) {
    if (world.value_or(1) > 1) {
      fail_usage("WORLD_SIZE=" + std::to_string(*world) +
                 " is set, but RANK is not; start with torchrun --no-python, or unset WORLD_SIZE "
                 "for a single process");
    }
    info.run_id = "none";
    return info;
  }
  if (!world) fail_missing(missing_of({"WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}));
  info.launched = true;
  info.rank = *rank;
  info.world_size = *world;
  if (info.rank >= info.world_size) {
    fail_usage("RANK=" + std::to_string(info.rank) + " does not fit WORLD_SIZE=" +
               std::to_string(info.world_size) + "; ranks count from 0");
  }
  // A world of one needs no rendezvous, so none of its variables.
  if (info.world_size > 1) {
    const std::string missing = missing_of({"LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"});
    if (!missing.empty()) fail_missing(missing);
  }
  if (const char* address = get("MASTER_ADDR")) info.master_addr = address;
  read_local(info);
  read_elastic(info);
  info.master_port = get_int("MASTER_PORT", 1, 65535).value_or(0);
  return info;
}

void forget_launch_info() {
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
        "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_USE_AGENT_STORE"})
    unsetenv(name);
}

}  // namespace rollmill
