#include "core/io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "core/io/dir_lock.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::TempDir;

// Runs f in a child and returns its exit code, or 128 + signal.
template <typename F>
int in_child(F&& f) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      f();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(AtomicFile, WritesReplacesAndReads) {
  const TempDir dir;
  write_file_atomic(dir / "a", std::string_view("one"));
  write_file_atomic(dir / "a", std::string_view("two"));
  EXPECT_EQ(read_file(dir / "a", 3), "two");
  EXPECT_EQ(file_bytes(dir / "a"), 3u);
  EXPECT_EQ(dir.entries(), 1u);
  EXPECT_EQ(exit_code_of([&] { read_file(dir / "a", 2); }), 3);
  EXPECT_EQ(exit_code_of([&] { read_file(dir / "b", 9); }), 3);
  EXPECT_EQ(exit_code_of([&] { read_file(dir.path(), 9); }), 3);
}

TEST(AtomicFile, FifoDoesNotHang) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(exit_code_of([&] { read_file(dir / "pipe", 9); }), 3);
}

TEST(AtomicFile, FullDiskKeepsTheOldFile) {
  const TempDir dir;
  write_file_atomic(dir / "a", std::string_view("old"));
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    write_file_atomic(dir / "a", std::string(100'000, 'x'));
  });
  EXPECT_EQ(code, 4);
  EXPECT_EQ(read_file(dir / "a", 100), "old");
  EXPECT_EQ(dir.entries(), 1u);
}

TEST(AtomicFile, UnwritableFolderFailsWithCode4) {
  const TempDir dir;
  EXPECT_EQ(exit_code_of([&] { write_file_atomic(dir / "no/such/file", std::string_view("x")); }),
            4);
  EXPECT_EQ(exit_code_of([&] { check_writable(dir / "absent"); }), 4);
  write_file_atomic(dir / "file", std::string_view("x"));
  EXPECT_EQ(exit_code_of([&] { make_dirs(dir / "file/sub"); }), 4);
  EXPECT_NO_THROW(check_writable(dir.path()));
  EXPECT_GT(free_bytes(dir.path()), 0u);
}

TEST(AtomicFile, KilledWriterLeavesOnlyALeftover) {
  const TempDir dir;
  in_child([&] {
    const AtomicPath target(dir / "data");
    FILE* file = std::fopen(target.tmp().c_str(), "w");
    std::fputs("half", file);
    std::fflush(file);
    ::raise(SIGKILL);
  });
  EXPECT_FALSE(file_exists(dir / "data"));
  EXPECT_EQ(dir.entries(), 1u);
  make_dirs(dir / "folder.tmp-1");  // init lives: not ours to remove
  make_dirs(dir / "name.tmp-12x");  // not a leftover's name
  EXPECT_EQ(remove_leftovers(dir.path()), 1);
  EXPECT_EQ(dir.entries(), 2u);
}

TEST(AtomicFile, UncommittedPathIsRemoved) {
  const TempDir dir;
  {
    const AtomicPath target(dir / "data");
    FILE* file = std::fopen(target.tmp().c_str(), "w");
    std::fclose(file);
    EXPECT_EQ(dir.entries(), 1u);
  }
  EXPECT_EQ(dir.entries(), 0u);
}

TEST(DirLock, SecondHolderIsRefusedWithNames) {
  const TempDir dir;
  {
    const DirLock lock(dir.path(), "generate");
    std::string message;
    EXPECT_EQ(exit_code_of([&] { DirLock second(dir.path(), "train"); }, &message), 4);
    EXPECT_NE(message.find("generate"), std::string::npos) << message;
    EXPECT_NE(message.find("pid " + std::to_string(::getpid())), std::string::npos) << message;
    EXPECT_EQ(in_child([&] { DirLock second(dir.path(), "train"); }), 4);
  }
  EXPECT_EQ(dir.entries(), 0u);
  EXPECT_NO_THROW(DirLock(dir.path(), "train"));
}

TEST(DirLock, LockOfAKilledHolderIsTakenOver) {
  const TempDir dir;
  EXPECT_EQ(in_child([&] {
              const DirLock lock(dir.path(), "generate");
              ::raise(SIGKILL);
            }),
            128 + SIGKILL);
  EXPECT_TRUE(file_exists(dir / "lock.json"));
  EXPECT_NO_THROW(DirLock(dir.path(), "generate"));
}

TEST(DirLock, WhoAsksSeesWhetherItIsHeld) {
  const TempDir dir;
  EXPECT_FALSE(is_held(dir.path()));
  {
    const DirLock lock(dir.path(), "train");
    EXPECT_TRUE(is_held(dir.path()));
    EXPECT_FALSE(is_held(dir.path(), "lock.other.json"));
  }
  EXPECT_FALSE(is_held(dir.path()));
  in_child([&] {
    const DirLock lock(dir.path(), "train");
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(file_exists(dir / "lock.json"));
  EXPECT_FALSE(is_held(dir.path()));
}

// What is_held() does to the lock, drawn out: nobody is refused because somebody looks.
TEST(DirLock, IsTakenWhileSomebodyAsks) {
  const TempDir dir;
  write_file_atomic(dir / "lock.json", std::string_view(""));
  const int asking = ::open((dir / "lock.json").c_str(), O_RDONLY);
  ASSERT_EQ(::flock(asking, LOCK_SH | LOCK_NB), 0);
  std::jthread done([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    ::close(asking);
  });
  EXPECT_NO_THROW(DirLock(dir.path(), "train"));
}

}  // namespace
}  // namespace rollmill
