// Checkpoint folders of a run as readers see them: which are complete, which verify (docs/formats.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rollmill {

// 2: longer columns of environments and observations in the state files (core/base/aligned.h: padded_columns).
inline constexpr int kCheckpointFormatVersion = 2;

struct CheckpointInfo {
  std::string environment, build;
  std::int64_t update = 0, env_steps = 0;
  int world_size = 1;
  std::uint64_t seed = 0;
};

std::string checkpoints_dir(const std::string& run_dir);
std::string checkpoint_name(std::int64_t env_steps);  // "step_000000123456"

// Folders with a complete name, newest first, by number (never by time: clocks jump).
std::vector<std::string> list_checkpoints(const std::string& run_dir);

// Every file of the checkpoint against its manifest; "" or what is wrong.
std::string check_checkpoint(const std::string& folder);

// Throws Error(kBadData) when the manifest is damaged.
CheckpointInfo read_checkpoint_info(const std::string& folder);

// Folder of the newest checkpoint that verifies; "" if there is none. `problems` says what is wrong with newer ones.
std::string newest_good_checkpoint(const std::string& run_dir, std::string& problems);

// The policy file that a command line names: a policy.safetensors, a checkpoint folder, or a run (its newest good
// checkpoint). Throws Error(kBadData) that says what was looked for.
std::string find_policy_file(const std::string& path);

}  // namespace rollmill
