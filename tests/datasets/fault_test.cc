// Faults of disk and file: every damaged shard is an Error of code 3, every failed write one of code 4, never a crash.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <random>

#include "core/io/atomic_file.h"
#include "datasets/reader.h"
#include "datasets/verify.h"
#include "tests/core/io/temp_dir.h"
#include "tests/datasets/sample.h"

// HDF5 forgets some of its own memory after a close that failed; only LeakSanitizer reads this.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::sample_shard;
using testing::sample_spec;
using testing::TempDir;

// Runs f in a child that leaves through exit(), atexit handlers included; its code, or 128 + signal.
template <typename F>
int in_child(F&& f) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int code = 0;
    try {
      f();
    } catch (const Error& error) {
      code = static_cast<int>(error.code());
    }
    ::exit(code);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void overwrite(const std::string& path, std::string_view bytes) {
  FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  std::fclose(file);
}

TEST(Fault, TruncationAtEveryKiBIsCode3) {
  const TempDir dir;
  const DatasetSpec spec = sample_spec();
  write_shard(dir.path(), 0, spec, sample_shard(spec, 0, 300));
  const std::string good = read_file(dir / "shard-000000.h5", 1 << 30);
  ASSERT_GT(good.size(), 100u << 10);
  for (std::size_t size = 0; size < good.size(); size += 1024) {
    overwrite(dir / "cut.h5", std::string_view(good).substr(0, size));
    EXPECT_EQ(exit_code_of([&] { load_shard(dir / "cut.h5", spec.columns); }), 3) << size;
  }
}

// A flipped bit is refused or, where it hits unused space or an attribute, changes nothing in the columns.
TEST(Fault, BitFlipsNeverCrashNorChangeData) {
  const TempDir dir;
  const DatasetSpec spec = sample_spec();
  const ShardInfo info = write_shard(dir.path(), 0, spec, sample_shard(spec, 0, 200));
  const std::string good = read_file(dir / info.file, 1 << 30);
  std::mt19937_64 random(1);
  int refused = 0;
  constexpr int kTrials = 600;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::string bad = good;
    // Two of three trials hit the first 16 KiB, where the metadata is densest.
    const std::size_t at =
        random() % (trial % 3 ? std::min<std::size_t>(bad.size(), 16384) : bad.size());
    bad[at] = static_cast<char>(bad[at] ^ (1 << (random() % 8)));
    overwrite(dir / "bad.h5", bad);
    EXPECT_EQ(exit_code_of([&] { load_shard(dir / "bad.h5", spec.columns, {}, info.sha256); }), 3);
    const int code = in_child([&] {
      ::alarm(60);
      if (load_shard(dir / "bad.h5", spec.columns).content_hash() != info.content) ::_exit(99);
    });
    ASSERT_TRUE(code == 0 || code == 3) << "code " << code << " at byte " << at;
    refused += code == 3;
  }
  EXPECT_GT(refused, kTrials / 10);
  RecordProperty("refused", refused);
}

void limit_file_size(std::uint64_t bytes) {
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(Fault, FullDiskIsCode4AndLeavesNothing) {
  const DatasetSpec spec = sample_spec();
  const ShardData data = sample_shard(spec, 0, 20'000);  // about 13 MB
  for (const bool compress : {false, true}) {
    for (const std::uint64_t bytes : {0u, 100u, 5000u, 20'000u, 1u << 20}) {
      if (compress && bytes > 50'000) continue;  // it would fit
      const TempDir dir;
      EXPECT_EQ(in_child([&] {
                  limit_file_size(bytes);
                  write_shard(dir.path(), 0, spec, data, {compress});
                }),
                4)
          << bytes << " compress " << compress;
      EXPECT_EQ(dir.entries(), 0u) << bytes;
    }
  }
}

TEST(Fault, FullDiskSurfacesThroughTheQueue) {
  const TempDir dir;
  EXPECT_EQ(in_child([&] {
              limit_file_size(1 << 20);
              const DatasetSpec spec = sample_spec();
              AsyncShardWriter writer(dir.path(), spec);
              for (int i = 0; i < 10; ++i) writer.push(i, sample_shard(spec, 0, 20'000));
              writer.finish();
            }),
            4);
  EXPECT_EQ(dir.entries(), 0u);
}

TEST(Fault, FewFileDescriptorsSuffice) {
  const TempDir dir;
  EXPECT_EQ(in_child([&] {
              const rlimit limit{16, 16};
              ::setrlimit(RLIMIT_NOFILE, &limit);
              testing::write_sample(dir.path(), 40, 5);
              if (!verify_dataset(dir.path()).ok()) ::_exit(99);
            }),
            0);
}

bool has_shard(const std::string& dir) {
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (shard_index(entry.path().filename().string()) >= 0) return true;
  }
  return false;
}

// Killed at random moments: whatever has a final name is whole and what the manifest lists verifies.
TEST(Fault, KilledWriterLeavesNoPartialShard) {
  const DatasetSpec spec = sample_spec(2000);
  std::mt19937 random(7);
  int with_shards = 0;
  for (int trial = 0; trial < 30; ++trial) {
    const TempDir dir;
    const pid_t pid = ::fork();
    if (pid == 0) {
      Manifest manifest;
      manifest.spec = spec;
      write_manifest(dir.path(), manifest);
      AsyncShardWriter writer(dir.path(), spec);
      for (int i = 0;; ++i) {
        writer.push(i, sample_shard(spec, i, 2000));
        append_shards(dir.path(), manifest, writer.take_written());
      }
    }
    // On a slow disk no shard may be there yet: half of the trials wait for one.
    for (int k = 0; trial % 2 == 0 && k < 5000 && !has_shard(dir.path()); ++k) ::usleep(1'000);
    ::usleep(20'000 + random() % 80'000);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    if (!has_manifest(dir.path())) continue;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      const std::int64_t index = shard_index(entry.path().filename().string());
      if (index < 0) continue;
      ++with_shards;
      EXPECT_EQ(load_shard(entry.path().string(), spec.columns).content_hash(),
                sample_shard(spec, index, 2000).content_hash());
    }
    Manifest manifest = read_manifest(dir.path());
    reconcile(dir.path(), manifest);
    EXPECT_TRUE(verify_dataset(dir.path()).ok());
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos);
    }
  }
  EXPECT_GT(with_shards, 0);
}

}  // namespace
}  // namespace rollmill
