#include "core/base/thread_pool.h"

#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr uid_t kNobody = 65534;
constexpr int kNotArranged = 77;

TEST(ThreadPoolTest, RunsEachTaskOnce) {
  for (int threads = 1; threads <= 8; ++threads) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int tasks : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
      std::vector<int> runs(static_cast<std::size_t>(tasks), 0);
      pool.run(tasks, [&](int task) { ++runs[static_cast<std::size_t>(task)]; });
      for (int task = 0; task < tasks; ++task) ASSERT_EQ(runs[task], 1) << threads << " " << task;
    }
  }
}

// A worker that does not come back from its first task: the caller does all others, of the worker's range, too. Then the next
// loop finds both.
TEST(ThreadPoolTest, WhoIsHeldUpHoldsUpNobodyElse) {
  constexpr int kTasks = 50;
  ThreadPool pool(2);
  for (int loop = 0; loop < 20; ++loop) {
    const std::thread::id caller = std::this_thread::get_id();
    std::vector<std::thread::id> who(kTasks);
    std::atomic<bool> worker_began{false};
    std::atomic<int> done{0};
    pool.run(kTasks, [&](int task) {
      who[static_cast<std::size_t>(task)] = std::this_thread::get_id();
      if (std::this_thread::get_id() == caller) {
        while (!worker_began) std::this_thread::yield();
      } else if (!worker_began.exchange(true)) {
        while (done < kTasks - 1) std::this_thread::yield();
      }
      ++done;
    });
    EXPECT_EQ(done, kTasks);
    EXPECT_EQ(std::count(who.begin(), who.end(), caller), kTasks - 1);
    EXPECT_EQ(who.front(), caller);  // each begins with its own range
    EXPECT_NE(who[kTasks / 2], caller);
  }
}

TEST(ThreadPoolTest, RethrowsWhatATaskThrew) {
  for (int threads = 1; threads <= 8; ++threads) {
    ThreadPool pool(threads);
    for (const int bad : {0, 13, 39}) {
      try {
        pool.run(40, [&](int task) {
          if (task == bad) throw std::runtime_error("task " + std::to_string(task));
        });
        FAIL() << "nothing thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "task " + std::to_string(bad));
      }
      std::atomic<int> runs{0};  // and works on
      pool.run(40, [&](int) { ++runs; });
      EXPECT_EQ(runs, 40);
    }
    EXPECT_THROW(pool.run(40, [](int) { throw std::logic_error("all"); }), std::logic_error);
  }
}

// Results of one run are seen by the next one's other threads: each task reads its neighbour's last
// value.
TEST(ThreadPoolTest, ManyTinyRunsSeeEachOther) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    std::vector<int> even(16, 0), odd(16, 0);
    constexpr int kRuns = 500;
    for (int run = 0; run < kRuns; ++run) {
      pool.run(16, [&](int task) { odd[task] = even[(task + 5) % 16] + 1; });
      pool.run(16, [&](int task) { even[task] = odd[(task + 11) % 16] + 1; });
    }
    for (const int v : even) EXPECT_EQ(v, 2 * kRuns) << threads << " threads";
  }
}

// Workers that have gone to sleep wake up again.
TEST(ThreadPoolTest, WakesAfterAPause) {
  ThreadPool pool(4);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> runs{0};
    pool.run(100, [&](int) { ++runs; });
    ASSERT_EQ(runs, 100);
  }
}

TEST(ThreadPoolTest, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 100; ++i) ThreadPool pool(1 + i % 8);
}

// What a run inside a run would do to the one around it is not defined: a bug, and said to be one.
TEST(ThreadPoolDeathTest, RunInsideARunIsABug) {
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.run(4, [&](int) { pool.run(4, [](int) {}); });
      },
      "rollmill: bug: ");
}

int threads_of_this_process() {
  return static_cast<int>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

bool can_start(int count) {
  std::vector<std::thread> threads;
  try {
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
    }
  } catch (const std::system_error&) {}
  const bool all = static_cast<int>(threads.size()) == count;
  for (std::thread& thread : threads) thread.join();
  return all;
}

// Lets this process start two more threads, whatever else its user runs. The superuser has no such limit: it becomes
// another user first. False where that cannot be arranged.
bool limit_threads() {
  if (geteuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) return false;
  rlimit limit{};
  if (getrlimit(RLIMIT_NPROC, &limit) != 0) return false;
  for (limit.rlim_cur = 1; limit.rlim_cur <= std::min<rlim_t>(limit.rlim_max, 20000);
       ++limit.rlim_cur) {
    if (setrlimit(RLIMIT_NPROC, &limit) != 0) return false;
    if (can_start(2)) return true;
  }
  return false;
}

// In a child process. 0: as promised.
int start_too_many() {
  if (!limit_threads()) return kNotArranged;
  const int before = threads_of_this_process();
  try {
    const ThreadPool pool(64);
    return 1;
  } catch (const Error& error) {
    const std::string what = error.what();
    if (error.code() != ExitCode::kUsage) return 2;
    if (what.find("64 threads") == std::string::npos || what.find('\n') != std::string::npos)
      return 3;
  }
  // A joined thread may be listed for a moment.
  for (int i = 0; i < 1000 && threads_of_this_process() != before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (threads_of_this_process() != before) return 4;
  std::atomic<int> runs{0};
  ThreadPool(2).run(10, [&](int) { ++runs; });  // what can be started works
  return runs == 10 ? 0 : 5;
}

TEST(ThreadPoolTest, ThreadsThatCannotBeStartedAreAUsageError) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(start_too_many());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNotArranged) GTEST_SKIP() << "no limit on threads here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ThreadPoolTest, KnowsItsCores) { EXPECT_GE(available_cores(), 1); }

}  // namespace
}  // namespace rollmill
