#include "trainer/explained_variance.h"

#include <cstring>
#include <limits>
#include <string>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"

namespace rollmill {

std::vector<Spread> spreads_of(const RolloutBuffer& b, int groups, ThreadPool& pool) {
  const int envs = b.num_envs / groups, chunks = spread_chunks(envs);
  std::vector<Spread> parts(static_cast<std::size_t>(groups * b.horizon * chunks));
  pool.run(b.horizon, [&](int t) {
    for (int k = 0; k < groups; ++k) {
      const float* target = b.returns + t * b.stride + k * envs;
      const float* value = b.values + t * b.stride + k * envs;
      for (int c = 0; c < chunks; ++c)
        parts[static_cast<std::size_t>((k * b.horizon + t) * chunks + c)] =
            spread_of_chunk(target, value, envs, c);
    }
  });
  return parts;
}

double explained_variance(const std::vector<Spread>& parts, int groups, ProcessGroup& group) {
  std::vector<Spread> mine(static_cast<std::size_t>(groups));
  const std::size_t each = parts.size() / static_cast<std::size_t>(groups);
  for (std::size_t p = 0; p < parts.size(); ++p) mine[p / each].merge(parts[p]);
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(Spread));
  Spread total;
  for (const std::string& theirs : group.all_gather(bytes, "value statistics")) {
    for (std::size_t at = 0; at < theirs.size(); at += sizeof(Spread)) {
      Spread one;
      std::memcpy(&one, theirs.data() + at, sizeof one);
      total.merge(one);
    }
  }
  if (!(total.target.m2 > 0)) return std::numeric_limits<double>::quiet_NaN();
  return 1.0 - total.error.m2 / total.target.m2;
}

}  // namespace rollmill
