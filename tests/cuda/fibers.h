// A block's threads as fibers of the calling thread: one runs until a barrier keeps it, then the next. Some fifty times as fast as a
// host thread each, and barriers that only some of the threads reach are found instead of waited for. From block to block they
// take turns in ascending and in descending order, so that what reads before it should is read too early in one of them.
//
// The thread sanitizer wants real threads (tests/cuda/emulation.h).
#pragma once

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace rollmill {

class Fibers {
 public:
  // Those of the calling thread.
  static Fibers& mine() {
    static thread_local Fibers fibers;
    return fibers;
  }

  int current() const { return current_; }

  // body() by fibers 0 to count - 1; enter(i): before fiber i goes on.
  void run(int count, std::function<void(int)> enter, std::function<void()> body) {
    while (static_cast<int>(all_.size()) < count) all_.push_back(std::make_unique<Fiber>());
    enter_ = std::move(enter);
    body_ = std::move(body);
    count_ = left_ = count;
    ascending_ = !ascending_;
    step_ = ascending_ ? 1 : count - 1;
    idle_ = 0;
    for (int i = 0; i < count; ++i) all_[static_cast<std::size_t>(i)]->done = false;
    current_ = ascending_ ? 0 : count - 1;
    if (_setjmp(caller_) == 0) resume();
    arrived(nullptr);
  }

  // Called by a fiber that waits: others go on, and some time it does.
  void yield() {
    if (++idle_ > count_) {
      std::fputs("a barrier is reached by only some of the threads that should meet there\n",
                 stderr);
      std::abort();
    }
    Fiber& self = *all_[static_cast<std::size_t>(current_)];
    if (_setjmp(self.here) == 0) {
      next();
      resume();
    }
    arrived(&self);
  }
  // Something happened that a fiber may wait for.
  void progress() { idle_ = 0; }

 private:
  static constexpr std::size_t kStack = 256 * 1024;

  struct Fiber {
    std::unique_ptr<char[]> stack{new char[kStack]};  // (not cleared: memory only where it is used)
    std::jmp_buf here;
    bool begun = false, done = false;
  };

  void next() {
    do {
      current_ = (current_ + step_) % count_;
    } while (all_[static_cast<std::size_t>(current_)]->done);
  }

  // Never returns: whoever left goes on where it was.
  [[noreturn]] void resume() {
    Fiber& f = *all_[static_cast<std::size_t>(current_)];
    enter_(current_);
    leave_for(f.stack.get(), kStack);
    if (f.begun) _longjmp(f.here, 1);
    f.begun = true;
    ucontext_t begin;
    getcontext(&begin);
    begin.uc_stack.ss_sp = f.stack.get();
    begin.uc_stack.ss_size = kStack;
    begin.uc_link = nullptr;
    makecontext(&begin, &Fibers::main, 0);
    setcontext(&begin);
    std::abort();
  }

  // A fiber outlives its body: the next block's is another one.
  static void main() {
    Fibers& all = mine();
    const auto self = static_cast<std::size_t>(all.current_);
    all.arrived(nullptr);
    for (;;) {
      all.body_();
      all.progress();
      Fiber& f = *all.all_[self];
      f.done = true;
      if (_setjmp(f.here) == 0) {
        if (--all.left_ == 0) {
          all.leave_for(all.caller_stack_, all.caller_size_);
          _longjmp(all.caller_, 1);
        }
        all.next();
        all.resume();
      }
      all.arrived(&f);
    }
  }

  // The address sanitizer keeps a shadow of each stack.
#if defined(__SANITIZE_ADDRESS__)
  void leave_for(const void* stack, std::size_t size) {
    __sanitizer_start_switch_fiber(nullptr, stack, size);
  }
  void arrived(const Fiber*) {
    const void* from = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &from, &size);
    if (caller_stack_ == nullptr) {  // the first switch of all is from there
      caller_stack_ = from;
      caller_size_ = size;
    }
  }
#else
  void leave_for(const void*, std::size_t) {}
  void arrived(const Fiber*) {}
#endif

  std::vector<std::unique_ptr<Fiber>> all_;
  std::function<void(int)> enter_;
  std::function<void()> body_;
  std::jmp_buf caller_;
  const void* caller_stack_ = nullptr;
  std::size_t caller_size_ = 0;
  bool ascending_ = false;
  int count_ = 0, left_ = 0, step_ = 1, current_ = 0;
  int idle_ = 0;  // fibers that went on in vain since the last one that did not
};

// As std::barrier.
class FiberBarrier {
 public:
  explicit FiberBarrier(int count) : expected_(count) {}
  void arrive_and_wait() {
    const unsigned mine = phase_;
    ++arrived_;
    complete();
    while (phase_ == mine) Fibers::mine().yield();
  }
  void arrive_and_drop() {
    --expected_;
    complete();
  }

 private:
  void complete() {
    if (arrived_ < expected_) return;
    arrived_ = 0;
    ++phase_;
    Fibers::mine().progress();
  }
  int expected_, arrived_ = 0;
  unsigned phase_ = 0;
};

}  // namespace rollmill
