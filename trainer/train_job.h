// A training run as a job: its folder, checkpoints, metrics, resume and the end. Used by `rollmill train`.
//   RUN/config.toml  RUN_STATUS.json  metrics.jsonl  events.out.tfevents.*  checkpoints/
#pragma once

#include <functional>
#include <string>

#include "core/log/metrics.h"
#include "trainer/trainer.h"

namespace rollmill {

// What asks a job to end early, polled between updates, and within the imitation before the first (TrainRun::stopped).
enum class StopRequest { kNone, kInterrupt, kTerminate };

struct TrainJob {
  TrainOptions options;
  std::string config_text;  // resolved
  std::string out_dir;
  std::string label;  // before its warnings, where several jobs run at once: "seed 3: "
  bool tells_networks = true;  // says what is trained when it begins
  bool resume = false;
  int local_rank = 0;
  std::function<StopRequest()> stop;
  std::function<void(const MetricsRecord&)> on_update;  // every update: what metrics.jsonl gets
};

struct TrainResult {
  bool finished = false;      // false: stopped early, resumable
  bool already_done = false;  // the folder held this run, finished
  StopRequest stopped_by = StopRequest::kNone;
  std::string checkpoint;  // the last one; "" where it was stopped before the first update was done
  std::int64_t env_steps = 0, updates = 0;
  std::int64_t new_steps = 0;  // of this process
  double seconds = 0;          // of this process's loop
};

// Collective. Throws Error; the run's status file then says "failed" with the exit code.
TrainResult run_train_job(const TrainJob& job, ProcessGroup& group);

// The first key whose value differs between two resolved configs, as "ppo.clip: 0.2 there, 0.1 here"; "" if only keys that
// may change over a resume differ (lengths, stopping, threads, checkpoints, evaluation).
std::string config_difference(const std::string& there, const std::string& here);

}  // namespace rollmill
