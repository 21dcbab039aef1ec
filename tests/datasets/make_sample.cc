// Usage: make_sample DIR SHARDS EPISODES_PER_SHARD [gzip]. Writes the sample dataset for check_shard.py.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "datasets/card.h"
#include "tests/datasets/sample.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  try {
    rollmill::make_dirs(argv[1]);
    rollmill::testing::write_sample(argv[1], std::atoi(argv[2]), std::atoll(argv[3]),
                                    argc > 4 && std::strcmp(argv[4], "gzip") == 0);
    rollmill::write_card(argv[1]);
  } catch (const rollmill::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}
