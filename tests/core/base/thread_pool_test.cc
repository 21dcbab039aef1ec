#include "core/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rollmill {
namespace {

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

// The same thread takes the same contiguous range in every run: the split is a function of the
// numbers alone.
TEST(ThreadPoolTest, SplitIsStaticAndContiguous) {
  constexpr int kTasks = 50;
  ThreadPool pool(4);
  std::vector<std::thread::id> first(kTasks), second(kTasks);
  pool.run(kTasks, [&](int task) { first[task] = std::this_thread::get_id(); });
  pool.run(kTasks, [&](int task) { second[task] = std::this_thread::get_id(); });
  EXPECT_EQ(first, second);
  std::map<std::thread::id, int> sizes;
  int changes = 0;
  for (int task = 0; task < kTasks; ++task) {
    ++sizes[first[task]];
    changes += task > 0 && first[task] != first[task - 1];
  }
  EXPECT_EQ(sizes.size(), 4u);
  EXPECT_EQ(changes, 3);
  for (const auto& [thread, size] : sizes) EXPECT_TRUE(size == 12 || size == 13) << size;
  EXPECT_EQ(first.front(), std::this_thread::get_id());  // the caller takes part, as thread 0
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

TEST(ThreadPoolTest, KnowsItsCores) { EXPECT_GE(available_cores(), 1); }

}  // namespace
}  // namespace rollmill
