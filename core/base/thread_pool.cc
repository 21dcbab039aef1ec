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
  ranges_ = std::make_unique<Range[]>(static_cast<std::size_t>(threads));
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

// Takes one task of a loop's range; `left` becomes how many there were. Compared and exchanged, not counted down: a worker that
// comes late finds another loop's number there and must leave it as it is.
bool ThreadPool::claim(Range& range, std::uint32_t loop, std::uint32_t& left) {
  std::uint64_t seen = range.left.load(std::memory_order_acquire);
  for (;;) {
    left = static_cast<std::uint32_t>(seen);
    if (static_cast<std::uint32_t>(seen >> 32) != loop || left == 0) return false;
    if (range.left.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
      return true;
  }
}

// Until a thread has said that it did a task that it claimed, the task's loop lasts: what the loop is may be read. It says so once,
// at its end: a number that all threads count down after every task goes from core to core as often.
void ThreadPool::run_tasks(int thread, std::uint32_t loop) {
  const int count = threads();
  std::uint32_t done = 0;
  for (int k = 0; k < count; ++k) {
    const int range = (thread + k) % count;
    std::uint32_t left = 0;
    while (claim(ranges_[static_cast<std::size_t>(range)], loop, left)) {
      try {
        call_(context_, range_begin(range + 1) - static_cast<int>(left));
      } catch (...) {
        if (!failed_.exchange(true)) error_ = std::current_exception();
      }
      ++done;
    }
  }
  if (done > 0 && pending_.fetch_sub(done, std::memory_order_acq_rel) == done)
    pending_.notify_one();
}

void ThreadPool::dispatch(int tasks, Call call, void* context) {
  RM_ASSERT(!busy_);  // one loop at a time, and none inside another
  busy_ = true;
  call_ = call;
  context_ = context;
  tasks_ = tasks;
  error_ = nullptr;
  failed_.store(false, std::memory_order_relaxed);
  pending_.store(static_cast<std::uint32_t>(tasks), std::memory_order_relaxed);
  const std::uint32_t loop = generation_.load(std::memory_order_relaxed) + 1;
  for (int r = 0; r < threads(); ++r) {
    const auto size = static_cast<std::uint64_t>(range_begin(r + 1) - range_begin(r));
    ranges_[static_cast<std::size_t>(r)].left.store(std::uint64_t{loop} << 32 | size,
                                                    std::memory_order_release);
  }
  generation_.store(loop, std::memory_order_release);
  generation_.notify_all();
  run_tasks(0, loop);
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
    seen = generation_.load(std::memory_order_acquire);
    if (stop_) return;
    run_tasks(thread, seen);
  }
}

}  // namespace rollmill
