// A persistent pool for short parallel loops. Task i always covers the same part of the data, so which thread ran it cannot
// change a result. Each thread begins with its own range of tasks, the same in every loop of a size, so that their data is in
// its cache; who is done takes over what others have not begun. A worker that the system lets wait, on a machine that does
// other things, too, so holds up nobody: the caller would do its part, as one thread alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace rollmill {

class ThreadPool {
 public:
  // threads >= 1, the caller included: threads - 1 workers are started. Throws a usage error where the system refuses.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(task) for every task in [0, tasks); returns when all are done. Thread t begins with the t-th of
  // threads() contiguous ranges. The first exception thrown by a body is rethrown here.
  template <class Body>
  void run(int tasks, Body&& body) {
    if (tasks <= 1 || workers_.empty()) {
      for (int i = 0; i < tasks; ++i) body(i);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    dispatch(
        tasks, [](void* context, int task) { (*static_cast<Plain*>(context))(task); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, int task);
  void dispatch(int tasks, Call call, void* context);
  void work(int thread);
  void stop();
  // Of one loop: its number in the upper half, tasks of the range that nobody has begun in the lower.
  struct alignas(64) Range {
    std::atomic<std::uint64_t> left{0};
  };
  int range_begin(int range) const {
    return static_cast<int>(tasks_ * static_cast<std::int64_t>(range) / threads());
  }
  bool claim(Range& range, std::uint32_t loop, std::uint32_t& left);
  void run_tasks(int thread, std::uint32_t loop);

  std::unique_ptr<Range[]> ranges_;
  std::vector<std::thread> workers_;
  int spins_ = 0;
  Call call_ = nullptr;
  void* context_ = nullptr;
  int tasks_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> stop_{false};
  bool busy_ = false;
  alignas(64) std::atomic<std::uint32_t> generation_{0};  // number of the loop
  alignas(64) std::atomic<std::uint32_t> pending_{0};     // its tasks that no thread has reported
};

// Between two looks at what another thread is about to write.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Cores this process may use (its affinity mask, not the machine's count).
int available_cores();

}  // namespace rollmill
