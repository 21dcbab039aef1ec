// TensorBoard's event files (events.out.tfevents.*) in a run folder, beside metrics.jsonl: `tensorboard --logdir runs`.
// Every record goes out in one write(2), so a killed process leaves a readable file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/log/append_file.h"
#include "core/log/metrics.h"

namespace rollmill {

// Where TensorBoard shows a metric: "policy_loss" -> "loss/policy", "return_mean" -> "rollout/return_mean",
// "learn_seconds" -> "time/learn_seconds", "approx_kl" -> "train/approx_kl".
std::string tensorboard_tag(std::string_view key);

class TensorboardWriter {
 public:
  // Opens a new file in `dir` that begins after step `last` (0: a new run). What earlier files hold of later steps, torn or
  // damaged is cut off them, and a TensorBoard that has shown it forgets it: no step appears twice. Throws Error (I/O).
  TensorboardWriter(const std::string& dir, std::int64_t last);

  // The run's settings from here on, as a text ("config") and as hyperparameters: "section.key" and its value as TOML.
  void write_config(const std::string& toml,
                    const std::vector<std::pair<std::string, std::string>>& settings);

  // The record's numbers at step record.number("step"), and steps per second between this record and the last. NaN and
  // infinities are left out. Throws Error (I/O), as do the others.
  void write(const MetricsRecord& record);

  void sync() { file_.sync(); }

 private:
  AppendFile file_;
  std::int64_t first_step_;  // of this file
  double last_step_ = 0, last_seconds_ = -1;  // of the record before; -1: none
};

}  // namespace rollmill
