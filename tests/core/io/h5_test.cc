#include "core/io/h5.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>

#include "core/io/atomic_file.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::TempDir;

std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) * 0.37f - 11.0f;
  return values;
}

void write_sample(const std::string& path, H5Filter filter) {
  H5File file = H5File::create(path);
  const auto values = ramp(3 * 200'003);
  file.root().write<float>("x", {200'003, 3}, values, filter);
  file.root().create_group("g").write<std::int64_t>("n", {2}, std::vector<std::int64_t>{-5, 7},
                                                    filter);
  const std::uint8_t flags[] = {0, 1, 1};
  file.root()
      .create_dataset("flags", DType::kBool, {3}, filter)
      .write_all(std::as_bytes(std::span(flags)));
  file.root().create_dataset("empty", DType::kF32, {0, 4}, filter).write_all({});
  file.root().set_string("text", "grüße");
  file.root().set_strings("list", {"a", "", "ccc"});
  file.root().set_int64("i", -3);
  file.root().set_uint64("u", ~std::uint64_t{0});
  file.root().set_double("d", 0.1);
  file.close();
}

class H5Filters : public ::testing::TestWithParam<H5Filter> {};
INSTANTIATE_TEST_SUITE_P(All, H5Filters,
                         ::testing::Values(H5Filter::kNone, H5Filter::kFletcher32,
                                           H5Filter::kGzip1Shuffle));

// HDF5's own reading pipeline verifies the chunks and checksums that we wrote around it.
TEST_P(H5Filters, RoundTrip) {
  const TempDir dir;
  write_sample(dir / "a.h5", GetParam());
  H5File file = H5File::open_untrusted(dir / "a.h5");
  H5Group& root = file.root();
  EXPECT_EQ(root.names(), (std::vector<std::string>{"empty", "flags", "g", "x"}));
  {
    const H5Dataset x = root.open_dataset("x");
    EXPECT_EQ(x.shape(), (std::vector<std::uint64_t>{200'003, 3}));
    EXPECT_GE(x.chunk_rows() * x.row_bytes(), 256u << 10);
    EXPECT_LE(x.chunk_rows() * x.row_bytes(), 1u << 20);
    EXPECT_EQ(x.read_vector<float>(), ramp(3 * 200'003));
    std::vector<float> part(3 * 2);
    x.read_rows(150'000, 150'002, std::as_writable_bytes(std::span(part)));
    EXPECT_EQ(part[0], ramp(450'001).back());
    EXPECT_EQ(exit_code_of([&] { x.read_vector<double>(); }), 3);
  }
  EXPECT_EQ(root.open_dataset("g/n").read_vector<std::int64_t>(),
            (std::vector<std::int64_t>{-5, 7}));
  EXPECT_EQ(root.open_dataset("flags").dtype(), DType::kBool);
  EXPECT_EQ(root.open_dataset("empty").shape(), (std::vector<std::uint64_t>{0, 4}));
  EXPECT_EQ(root.get_string("text"), "grüße");
  EXPECT_EQ(root.get_strings("list"), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(root.get_int64("i"), -3);
  EXPECT_EQ(root.get_uint64("u"), ~std::uint64_t{0});
  EXPECT_EQ(root.get_double("d"), 0.1);
  EXPECT_EQ(exit_code_of([&] { root.get_string("absent"); }), 3);
  EXPECT_EQ(exit_code_of([&] { root.get_int64("text"); }), 3);
  file.close();
}

TEST_P(H5Filters, SameContentSameBytes) {
  const TempDir dir;
  write_sample(dir / "a.h5", GetParam());
  write_sample(dir / "b.h5", GetParam());
  EXPECT_EQ(sha256_file(dir / "a.h5"), sha256_file(dir / "b.h5"));
}

TEST(H5, FlippedBitInAChunkIsFound) {
  const TempDir dir;
  write_sample(dir / "a.h5", H5Filter::kFletcher32);
  std::string bytes = read_file(dir / "a.h5", 1 << 30);
  bytes[bytes.size() / 2] ^= 0x10;
  write_file_atomic(dir / "a.h5", bytes);
  EXPECT_EQ(exit_code_of([&] {
              H5File file = H5File::open_untrusted(dir / "a.h5");
              file.root().open_dataset("x").read_all();
            }),
            3);
}

// Makes the next forked processes of this program stand still or spin: as one does that needs a lock of a thread that it lacks.
class StuckForks {
 public:
  enum class Kind { kStill, kSpinning };
  StuckForks(Kind kind, int count) : left_(shared()) {
    kind_ = kind;
    left_ = count;
    static const bool registered = ::pthread_atfork(nullptr, nullptr, in_child) == 0;
    EXPECT_TRUE(registered);
  }
  ~StuckForks() { left_ = 0; }
  int left() const { return left_; }

 private:
  // Of this process and its children.
  static std::atomic<int>& shared() {
    static void* memory = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *static_cast<std::atomic<int>*>(memory);
  }
  static void in_child() {
    if (shared() <= 0) return;
    --shared();
    if (kind_ == Kind::kStill) {
      for (;;) ::pause();
    }
    // As soon as it has its limits.
    ::signal(SIGALRM, [](int) {
      rlimit cpu{};
      ::getrlimit(RLIMIT_CPU, &cpu);
      while (cpu.rlim_cur != RLIM_INFINITY) {}
    });
    const itimerval soon{{0, 50}, {0, 50}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
  }
  static inline Kind kind_;
  std::atomic<int>& left_;
};

TEST(H5, AForkThatStandsStillIsTriedAgain) {
  const TempDir dir;
  write_sample(dir / "a.h5", H5Filter::kNone);
  H5Limits limits;
  limits.patience = std::chrono::seconds(1);
  const auto open = [&] { H5File::open_untrusted(dir / "a.h5", limits); };
  {
    const StuckForks forks(StuckForks::Kind::kStill, 2);
    EXPECT_EQ(exit_code_of(open), 0);
    EXPECT_EQ(forks.left(), 0);
  }
  {
    const StuckForks forks(StuckForks::Kind::kStill, 9);
    std::string message;
    EXPECT_EQ(exit_code_of(open, &message), 3);
    EXPECT_EQ(forks.left(), 6);
    EXPECT_NE(message.find("makes no headway"), message.npos) << message;
  }
  EXPECT_EQ(exit_code_of(open), 0);
}

TEST(H5, AForkThatUsesUpItsTimeIsTriedAgain) {
  const TempDir dir;
  write_sample(dir / "a.h5", H5Filter::kGzip1Shuffle);
  const StuckForks forks(StuckForks::Kind::kSpinning, 1);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(exit_code_of([&] { H5File::open_untrusted(dir / "a.h5"); }), 0);
  EXPECT_EQ(forks.left(), 0);
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));  // it did spin
}

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

// A terminal or a scheduler sends to all processes of a job: that must not make a good file a damaged one.
TEST(H5, SignalsToTheWholeGroupDoNotSpoilAFile) {
  const TempDir dir;
  write_sample(dir / "a.h5", H5Filter::kGzip1Shuffle);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setpgid(0, 0);
    for (const int number : kStopSignals) ::signal(number, [](int) {});
    ::_exit(exit_code_of([&] {
      std::jthread sender([](const std::stop_token& stop) {
        for (int k = 0; !stop.stop_requested(); ++k) {
          ::kill(0, kStopSignals[k % 4]);
          std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
      });
      for (int k = 0; k < 20; ++k) H5File::open_untrusted(dir / "a.h5");
    }));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(H5, NoFileNoFolderNotHdf5) {
  const TempDir dir;
  write_file_atomic(dir / "text", std::string_view("not hdf5"));
  write_file_atomic(dir / "nothing", std::string_view(""));
  for (const char* name : {"absent", "text", "nothing", "."}) {
    EXPECT_EQ(exit_code_of([&] { H5File::open_untrusted(dir / name); }), 3) << name;
  }
  EXPECT_EQ(exit_code_of([&] { H5File::create(dir / "no/such/a.h5"); }), 4);
}

TEST(H5, FileOpenWithObjectsFailsToClose) {
  const TempDir dir;
  H5File file = H5File::create(dir / "a.h5");
  const H5Group group = file.root().create_group("g");
  EXPECT_EQ(exit_code_of([&] { file.close(); }), 4);
}

// Files that only the C API can make.
class Hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    H5File::create(dir_ / "init.h5").close();  // sets the library up
    file_ = H5Fcreate((dir_ / "bad.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(file_, 0);
  }
  void make_dataset(hid_t plist, std::vector<hsize_t> dims, hid_t type = H5T_IEEE_F32LE) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file_, "x", type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ASSERT_GE(dataset, 0);
    H5Dclose(dataset);
    H5Sclose(space);
  }
  void expect_refused(const std::string& why) {
    ASSERT_GE(H5Fclose(file_), 0);
    std::string message;
    EXPECT_EQ(exit_code_of([&] { H5File::open_untrusted(dir_ / "bad.h5"); }, &message), 3);
    EXPECT_NE(message.find(why), std::string::npos) << message;
  }
  TempDir dir_;
  hid_t file_ = -1;
};

TEST_F(Hostile, SoftLink) {
  H5Lcreate_soft("/", file_, "loop", H5P_DEFAULT, H5P_DEFAULT);
  expect_refused("/loop: a soft");
}

TEST_F(Hostile, ExternalLink) {
  H5Lcreate_external("other.h5", "/", file_, "out", H5P_DEFAULT, H5P_DEFAULT);
  expect_refused("/out: a soft, external");
}

TEST_F(Hostile, HardLinkLoop) {
  const hid_t group = H5Gcreate2(file_, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(file_, "g", group, "again", H5P_DEFAULT, H5P_DEFAULT);
  H5Gclose(group);
  expect_refused("two names");
}

TEST_F(Hostile, ExternalStorage) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(plist, "/etc/hostname", 0, 16);
  make_dataset(plist, {4});
  H5Pclose(plist);
  expect_refused("external storage");
}

TEST_F(Hostile, VirtualDataset) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t four = 4;
  const hid_t space = H5Screate_simple(1, &four, nullptr);
  H5Pset_virtual(plist, space, "other.h5", "x", space);
  make_dataset(plist, {4});
  H5Sclose(space);
  H5Pclose(plist);
  expect_refused("virtual");
}

TEST_F(Hostile, DeclaredButNotStored) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk[] = {1024, 1024};
  H5Pset_chunk(plist, 2, chunk);
  make_dataset(plist, {hsize_t{1} << 45, 3072});
  H5Pclose(plist);
  expect_refused("declared");
}

TEST_F(Hostile, HugeChunk) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = hsize_t{1} << 29;
  H5Pset_chunk(plist, 1, &chunk);
  make_dataset(plist, {hsize_t{1} << 30});
  H5Pclose(plist);
  expect_refused("a chunk of");
}

TEST_F(Hostile, UnknownFilter) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 4;
  H5Pset_chunk(plist, 1, &chunk);
  H5Pset_filter(plist, H5Z_FILTER_NBIT, H5Z_FLAG_OPTIONAL, 0, nullptr);
  make_dataset(plist, {4}, H5T_STD_I32LE);
  H5Pclose(plist);
  expect_refused("filter 5");
}

TEST_F(Hostile, VariableStrings) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  make_dataset(H5P_DEFAULT, {4}, type);
  H5Tclose(type);
  expect_refused("element type");
}

}  // namespace
}  // namespace rollmill
