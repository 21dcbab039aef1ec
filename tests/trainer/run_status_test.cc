// What a run's folder says of it, and what is true of it once its process is gone.
#include "trainer/run_status.h"

#include <signal.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <new>
#include <nlohmann/json.hpp>

#include "core/dist/process_group.h"
#include "core/io/atomic_file.h"
#include "core/io/dir_lock.h"
#include "tests/core/io/temp_dir.h"
#include "tests/trainer/small_ppo.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

using testing::TempDir;

nlohmann::json status_of(const std::string& dir) {
  return nlohmann::json::parse(read_file(dir + "/RUN_STATUS.json", 1 << 20));
}

TEST(RunStatus, RoundTripAndAbsence) {
  const TempDir dir;
  EXPECT_EQ(read_run_state(dir.path()), "");
  EXPECT_FALSE(run_has_died(dir.path()));
  write_run_status(dir.path(), "preempted", 75, 12345, "a \"quoted\" reason");
  EXPECT_EQ(read_run_state(dir.path()), "preempted");
  EXPECT_EQ(status_of(dir.path())["step"], 12345);
  write_run_status(dir.path(), "done", 0, 20000, "");
  EXPECT_EQ(read_run_state(dir.path()), "done");
  write_run_status(dir.path(), "failed", 4, std::nullopt, "before it began");
  EXPECT_TRUE(status_of(dir.path())["step"].is_null());
  EXPECT_FALSE(run_has_died(dir.path()));
}

// Of a process that holds the folder, and of one that was killed while it did.
TEST(RunStatus, ADeadProcessIsNotRunning) {
  const TempDir dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const DirLock lock(dir.path(), "train");
    write_run_status(dir.path(), "running", 0, 0, "");
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  ::close(ready[1]);  // a child that ends early is no wait
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(run_has_died(dir.path()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(read_run_state(dir.path()), "running");
  EXPECT_TRUE(run_has_died(dir.path()));
  const DirLock next(dir.path(), "train");  // whoever asked took nothing away
  ::close(ready[0]);
}

// An exception that is none of ours is a failure as well, and the step is the last that was done.
TEST(RunStatus, AnyExceptionIsAFailureAtItsStep) {
  const TempDir dir;
  TrainJob job;
  job.options = testing::small_ppo("CartPole-v1");
  job.options.total_steps = 1'000'000;
  job.options.tensorboard = false;
  job.config_text = "[run]\n";
  job.out_dir = dir / "run";
  job.stop = [] { return StopRequest::kNone; };
  std::int64_t steps = 0;
  job.on_update = [&](const MetricsRecord& record) {
    steps = static_cast<std::int64_t>(record.number("step"));
    if (record.number("update") == 3) throw std::bad_alloc();
  };
  const auto alone = make_process_group(LaunchInfo{}, false);
  EXPECT_THROW(run_train_job(job, *alone), std::bad_alloc);
  const auto status = status_of(job.out_dir);
  EXPECT_EQ(status["state"], "failed");
  EXPECT_EQ(status["exit_code"], 4);
  EXPECT_GT(steps, 0);
  EXPECT_EQ(status["step"], steps);
  EXPECT_NE(status["message"].get<std::string>().find("memory"), std::string::npos) << status;
}

}  // namespace
}  // namespace rollmill
