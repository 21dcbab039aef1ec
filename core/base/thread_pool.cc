#include "core/base/thread_pool.h"

#include <sched.h>

#include <string>
#include <system_error>

#include "core/base/assert.h"
#include "core/base/error.h"

namespace rollmill {
namespace {

// Spinning this often costs some 20 us: longer than the gaps between the loops of one training step, shorter
// than anything a person notices as a busy core.
constexpr int kSpins = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

ThreadPool::ThreadPool(int threads) {
  RM_ASSERT(threads >= 1);
  // More threads than cores: a thread that spins keeps the one it waits for from running.
  spins_ = threads <= available_cores() ? kSpins : 0;
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
  } catch (const std::system_error& e) {
    stop();
    fail_usage("cannot start " + std::to_string(threads) + " threads: " + e.what() +
               "; lower run.threads (--threads)");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run_range(int thread) {
  const std::int64_t count = threads();
  const int begin = static_cast<int>(tasks_ * static_cast<std::int64_t>(thread) / count);
  const int end = static_cast<int>(tasks_ * (static_cast<std::int64_t>(thread) + 1) / count);
  try {
    for (int i = begin; i < end; ++i) call_(context_, i);
  } catch (...) {
    if (!failed_.exchange(true)) error_ = std::current_exception();
  }
}

void ThreadPool::dispatch(int tasks, Call call, void* context) {
  RM_ASSERT(!busy_);  // one loop at a time, and none inside another
  busy_ = true;
  call_ = call;
  context_ = context;
  tasks_ = tasks;
  error_ = nullptr;
  failed_.store(false, std::memory_order_relaxed);
  pending_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  run_range(0);
  for (int spin = 0;; ++spin) {
    const std::uint32_t left = pending_.load(std::memory_order_acquire);
    if (left == 0) break;
    if (spin < spins_) {
      relax();
    } else {
      pending_.wait(left, std::memory_order_acquire);
    }
  }
  busy_ = false;
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::work(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; generation_.load(std::memory_order_acquire) == seen; ++spin) {
      if (spin < spins_) {
        relax();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
    }
    ++seen;
    if (stop_) return;
    run_range(thread);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

}  // namespace rollmill
