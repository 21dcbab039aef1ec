// A block's threads as fibers of the calling thread: one runs until a barrier keeps it, then the next. Some fifty times as fast as a
// host thread each, and it finds what threads would only show by chance:
//
//   barriers left out     from barrier to barrier threads run one after the other, in some blocks in ascending order, in others in
//                         descending: whoever reads too early does so in one of them
//   barriers in a branch  a barrier of the block where some of its threads meet others' says where, and ends the test; so does one
//                         that nobody else can reach any more
//
// The thread sanitizer wants real threads (tests/cuda/emulation.h).
#pragma once

#include <bit>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <source_location>
#include <vector>

#include <ucontext.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace rollmill {

// Of functions whose frames are left by a jump: AddressSanitizer would leave what it wrote around their locals.
#define RM_LEFT_BY_JUMP __attribute__((no_sanitize_address, noinline))

class Fibers {
 public:
  // Those of the calling thread.
  static Fibers& mine() {
    static thread_local Fibers fibers;
    return fibers;
  }

  // body() by fibers 0 to count - 1; enter(i): before fiber i goes on.
  RM_LEFT_BY_JUMP void run(int count, std::function<void(int)> enter, std::function<void()> body) {
    while (static_cast<int>(all_.size()) < count) all_.push_back(std::make_unique<Fiber>());
    enter_ = std::move(enter);
    body_ = std::move(body);
    count_ = left_ = count;
    // No regular turns: kernels take blocks by regular turns, too, and one of them would always go the same way.
    const bool ascending = std::popcount(++blocks_) % 2 == 0;
    step_ = ascending ? 1 : count - 1;
    first_ = current_ = ascending ? 0 : count - 1;
    idle_ = 0;
    again_ = false;
    for (int i = 0; i < count; ++i) fiber(i).done = false;
    if (_setjmp(caller_) == 0) resume(&caller_fake_);
    arrived(&caller_fake_);
  }

  // Called by a fiber that waits: others go on, and some time it does.
  void yield() {
    if (++idle_ > count_) fail("a barrier is reached by only some of the threads that should meet");
    leave(next());
  }
  // Something happened that a fiber may wait for.
  void progress() { idle_ = 0; }
  // Called by the fiber that all the block waited for: the first one goes on, and then each in its turn.
  void begin_again() { leave(first()); }
  // The same by one that ends.
  void begin_again_after() { again_ = true; }

  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
  }

 private:
  static constexpr std::size_t kStack = 256 * 1024, kGuard = 4096;

  struct Fiber {
    Fiber() {
      void* room = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (room == MAP_FAILED || mprotect(room, kGuard, PROT_NONE) != 0)
        fail("no memory for the stacks of a block");
      stack = static_cast<char*>(room) + kGuard;
    }
    ~Fiber() { munmap(stack - kGuard, kGuard + kStack); }
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    char* stack;
    std::jmp_buf here;
    void* fake = nullptr;  // AddressSanitizer's
    bool begun = false, done = false;
  };
  Fiber& fiber(int i) { return *all_[static_cast<std::size_t>(i)]; }

  int next() {
    int i = current_;
    do {
      i = (i + step_) % count_;
    } while (fiber(i).done);
    return i;
  }
  int first() {
    while (fiber(first_).done) first_ = (first_ + step_) % count_;
    return first_;
  }

  // The current fiber waits here while another goes on.
  RM_LEFT_BY_JUMP void leave(int other) {
    if (other == current_) return;
    Fiber& self = fiber(current_);
    current_ = other;
    if (_setjmp(self.here) == 0) resume(&self.fake);
    arrived(&self.fake);
  }

  // Never returns: whoever left goes on where it was. fake: of who leaves.
  RM_LEFT_BY_JUMP [[noreturn]] void resume(void** fake) {
    Fiber& f = fiber(current_);
    enter_(current_);
    leave_for(fake, f.stack, kStack);
    if (f.begun) _longjmp(f.here, 1);
    f.begun = true;
    ucontext_t begin;
    getcontext(&begin);
    begin.uc_stack.ss_sp = f.stack;
    begin.uc_stack.ss_size = kStack;
    begin.uc_link = nullptr;
    makecontext(&begin, &Fibers::main, 0);
    setcontext(&begin);
    std::abort();
  }

  // A fiber outlives its body: the next block's is another one.
  RM_LEFT_BY_JUMP static void main() {
    Fibers& all = mine();
    Fiber& self = all.fiber(all.current_);
    all.arrived(&self.fake);
    for (;;) {
      all.body_();
      all.progress();
      self.done = true;
      if (_setjmp(self.here) == 0) {
        if (--all.left_ == 0) {
          all.leave_for(&self.fake, all.caller_stack_, all.caller_size_);
          _longjmp(all.caller_, 1);
        }
        all.current_ = all.again_ ? all.first() : all.next();
        all.again_ = false;
        all.resume(&self.fake);
      }
      all.arrived(&self.fake);
    }
  }

  // The address sanitizer keeps a shadow of each stack.
#if defined(__SANITIZE_ADDRESS__)
  void leave_for(void** fake, const void* stack, std::size_t size) {
    __sanitizer_start_switch_fiber(fake, stack, size);
  }
  void arrived(void** fake) {
    const void* from = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(*fake, &from, &size);
    if (caller_stack_ == nullptr) {  // the first switch of all is from there
      caller_stack_ = from;
      caller_size_ = size;
    }
  }
#else
  void leave_for(void**, const void*, std::size_t) {}
  void arrived(void**) {}
#endif

  std::vector<std::unique_ptr<Fiber>> all_;
  std::function<void(int)> enter_;
  std::function<void()> body_;
  std::jmp_buf caller_;
  void* caller_fake_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_size_ = 0;
  unsigned blocks_ = 0;
  int count_ = 0, left_ = 0, step_ = 1, current_ = 0;
  int first_ = 0;       // in the order of turns, of those that have not ended
  int idle_ = 0;        // fibers that went on in vain since the last one that did not
  bool again_ = false;  // begin_again_after()
};

// As std::barrier. of_block: all threads meet there, at one place of the text.
class FiberBarrier {
 public:
  explicit FiberBarrier(int count, bool of_block = false) : expected_(count), of_block_(of_block) {}

  void arrive_and_wait(std::source_location at = std::source_location::current()) {
    if (of_block_) expect_place(at);
    const unsigned mine = phase_;
    ++arrived_;
    if (complete()) {
      if (of_block_) Fibers::mine().begin_again();
      return;
    }
    while (phase_ == mine) Fibers::mine().yield();
  }
  void arrive_and_drop() {
    --expected_;
    if (arrived_ > 0 && complete() && of_block_) Fibers::mine().begin_again_after();
  }

 private:
  void expect_place(const std::source_location& at) {
    if (arrived_ == 0) place_ = at;
    if (place_.line() == at.line() && std::strcmp(place_.file_name(), at.file_name()) == 0) return;
    std::fprintf(stderr, "barriers of a block meet: %s:%u and %s:%u\n", place_.file_name(),
                 place_.line(), at.file_name(), at.line());
    std::abort();
  }
  bool complete() {
    if (arrived_ < expected_) return false;
    arrived_ = 0;
    ++phase_;
    Fibers::mine().progress();
    return true;
  }

  int expected_, arrived_ = 0;
  bool of_block_;
  unsigned phase_ = 0;
  std::source_location place_;
};

}  // namespace rollmill
