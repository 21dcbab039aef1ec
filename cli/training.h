// One training from its config to its evaluation: what `rollmill train` does once, and with --seeds several times.
#pragma once

#include <string>

#include "core/dist/process_group.h"
#include "evaluation/protocol.h"
#include "trainer/train_job.h"

namespace rollmill {

class Config;
class TeamProgress;

// How a training shows itself.
struct TrainingView {
  bool quiet = false, plain = false;
  std::string title;             // before its last line, "CartPole-v1"; "" is the environment's id
  TeamProgress* team = nullptr;  // shown as a line among others, of this member
  int member = 0;
};

// Of a run that stopped early, for people: "at 2048 steps; continue with ...".
std::string stopped_where(const TrainResult& result);
// 130 or 75: the exit code of a job that stopped because it was asked to.
int stopped_exit_code(StopRequest by);

// Reads and checks a training recipe: options, and the resolved config for the run folder. Throws usage errors.
TrainJob read_train_job(Config& config, int world_size);

// Chooses this process's GPU where the job wants one, and the number of threads. Sets launch.gpu.
void choose_device(TrainJob& job, LaunchInfo& launch);

// Runs the job under the dashboard and the signal handlers (cli/output.h). Collective.
TrainResult train_shown(TrainJob& job, ProcessGroup& group, const TrainingView& view);

// Scores the finished policy as the recipe says and writes RUN/evaluation.json.
EvaluationReport evaluate_run(const TrainJob& job, const std::string& checkpoint);

// Whether RUN/evaluation.json is the report that evaluate_run() would write.
bool has_evaluation(const TrainJob& job, const std::string& checkpoint);

}  // namespace rollmill
