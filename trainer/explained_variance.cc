#include "trainer/explained_variance.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "rollout/normalizer.h"

namespace rollmill {
namespace {

// Of returns, and of what the values miss of them.
struct Spread {
  Moments target, error;
  void merge(const Spread& o) {
    target.merge(o.target);
    error.merge(o.error);
  }
};

// Of value(0), ..., value(count - 1): mean first, so that nothing cancels.
template <class Value>
Moments moments_of(int count, Value&& value) {
  Moments m;
  m.count = count;
  for (int i = 0; i < count; ++i) m.mean += value(i);
  m.mean /= count;
  for (int i = 0; i < count; ++i) m.m2 += (value(i) - m.mean) * (value(i) - m.mean);
  return m;
}

}  // namespace

double explained_variance(const RolloutBuffer& b, int groups, ThreadPool& pool,
                          ProcessGroup& group) {
  const int envs = b.num_envs / groups;
  std::vector<Spread> parts(static_cast<std::size_t>(groups * b.horizon));
  pool.run(b.horizon, [&](int t) {
    for (int k = 0; k < groups; ++k) {
      const float* target = b.returns + t * b.stride + k * envs;
      const float* value = b.values + t * b.stride + k * envs;
      parts[static_cast<std::size_t>(k * b.horizon + t)] = {
          moments_of(envs, [&](int i) { return static_cast<double>(target[i]); }),
          moments_of(envs, [&](int i) {
            return static_cast<double>(target[i]) - static_cast<double>(value[i]);
          })};
    }
  });
  std::vector<Spread> mine(static_cast<std::size_t>(groups));
  for (std::size_t p = 0; p < parts.size(); ++p)
    mine[p / static_cast<std::size_t>(b.horizon)].merge(parts[p]);
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
