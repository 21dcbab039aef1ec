// One rank of tests/core/dist/torchrun_test.py: exercises every collective, or fails in a chosen
// way.
//   dist_probe sums            checks sums and gathers against what every rank can work out alone
//   dist_probe die RANK        that rank leaves by SIGKILL before the second collective
//   dist_probe late RANK S     that rank sleeps S seconds there
// Exit code 0 when all is right, the Error's code when it throws one, 1 for a wrong result.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "core/base/error.h"
#include "core/dist/process_group.h"

namespace rollmill {
namespace {

int wrong(const char* what) {
  std::printf("wrong: %s\n", what);
  return 1;
}

// Three values whose float32 sum depends on the order: rank order must be kept.
float part(int rank) { return rank == 0 ? 1.0f : rank == 1 ? 0x1p-24f : 0x1p-24f; }

template <class T>
int check_sum(ProcessGroup& group, std::int64_t n) {
  std::vector<T> x(static_cast<std::size_t>(n)), expected(x.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    x[at] = static_cast<T>((group.rank() + 1) * (i % 1000));
    const int w = group.world_size();
    expected[at] = static_cast<T>(w * (w + 1) / 2 * (i % 1000));
  }
  group.all_reduce_sum(x.data(), n, "sum");
  return x == expected ? 0 : wrong("sum");
}

int check_all(ProcessGroup& group) {
  const int world = group.world_size();
  float x = part(group.rank()), expected = part(0);
  for (int r = 1; r < world; ++r) expected += part(r);
  group.all_reduce_sum(&x, 1, "order");
  if (std::memcmp(&x, &expected, sizeof x) != 0) return wrong("order of a sum");
  if (check_sum<float>(group, 10007) != 0 || check_sum<double>(group, 33) != 0) return 1;
  if (check_sum<float>(group, (std::int64_t{4} << 20) + 1) != 0)
    return 1;  // the backend's own algorithm
  const auto text = [](int r) {
    return std::string(static_cast<std::size_t>(r) * 1000, static_cast<char>('a' + r));
  };
  const auto all = group.all_gather(text(group.rank()), "gather");
  for (int r = 0; r < world; ++r) {
    if (all[static_cast<std::size_t>(r)] != text(r)) return wrong("gather");
  }
  group.barrier("end");
  return 0;
}

int run(int argc, char** argv) {
  const LaunchInfo launch = read_launch_info();
  const auto group = make_process_group(launch, false);
  if (group->world_size() != launch.world_size || group->backend() != "gloo") return wrong("group");
  group->barrier("start");
  const std::string mode = argv[1];
  if (mode == "sums") return check_all(*group);
  if (argc > 2 && std::atoi(argv[2]) == group->rank()) {
    if (mode == "die") std::raise(SIGKILL);
    std::this_thread::sleep_for(std::chrono::seconds(std::atoi(argv[3])));
  }
  return check_all(*group);
}

}  // namespace
}  // namespace rollmill

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    return rollmill::run(argc, argv);
  } catch (const rollmill::Error& e) {
    std::printf("rollmill: error: %s\n", e.what());
    std::fflush(stdout);
    return static_cast<int>(e.code());
  }
}
