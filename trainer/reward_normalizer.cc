#include "trainer/reward_normalizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/assert.h"
#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "envs/env.h"
#include "trainer/state_arrays.h"

namespace rollmill {
namespace {

// Environments that one task follows through the rollout; parts of this size are merged in order.
constexpr int kChunk = 256;

}  // namespace

float RewardNormalizer::scale() const {
  return static_cast<float>(1.0 / std::sqrt(moments_.variance() + 1e-8));
}

Moments RewardNormalizer::chunk_moments(const RolloutBuffer& b, int begin, int end) {
  Moments all;
  for (int t = 0; t < b.horizon; ++t) {
    const std::int64_t at = t * b.stride;
    double sum = 0, m2 = 0;
    for (int i = begin; i < end; ++i) {
      double& own = sums_[static_cast<std::size_t>(i)];
      const bool fresh = t > 0 && b.ends[at - b.stride + i] != kRunning;
      own = (fresh ? 0.0 : static_cast<double>(gamma_) * own) +
            static_cast<double>(b.rewards[at + i]);
      sum += own;
    }
    const double count = end - begin, mean = sum / count;
    for (int i = begin; i < end; ++i) {
      const double away = sums_[static_cast<std::size_t>(i)] - mean;
      m2 += away * away;
    }
    all.merge({count, mean, m2});
  }
  // Episodes that ended with the rollout start anew in the next.
  for (int i = begin; i < end; ++i) {
    if (b.ends[(b.horizon - 1) * b.stride + i] != kRunning)
      sums_[static_cast<std::size_t>(i)] = 0.0;
  }
  return all;
}

void RewardNormalizer::update(const RolloutBuffer& b, int groups, ThreadPool& pool,
                              ProcessGroup& group) {
  RM_ASSERT(b.num_envs % groups == 0 && static_cast<std::size_t>(b.num_envs) == sums_.size());
  const int envs = b.num_envs / groups, chunks = (envs + kChunk - 1) / kChunk;
  std::vector<Moments> parts(static_cast<std::size_t>(chunks * groups));
  pool.run(chunks * groups, [&](int task) {
    const int first = task / chunks * envs, begin = task % chunks * kChunk;
    parts[static_cast<std::size_t>(task)] =
        chunk_moments(b, first + begin, first + std::min(begin + kChunk, envs));
  });
  std::vector<Moments> mine(static_cast<std::size_t>(groups));
  for (std::size_t p = 0; p < parts.size(); ++p)
    mine[p / static_cast<std::size_t>(chunks)].merge(parts[p]);
  const std::string bytes(reinterpret_cast<const char*>(mine.data()),
                          mine.size() * sizeof(Moments));
  for (const std::string& part : group.all_gather(bytes, "reward statistics")) {
    for (std::size_t at = 0; at < part.size(); at += sizeof(Moments)) {
      Moments m;
      std::memcpy(&m, part.data() + at, sizeof(Moments));
      moments_.merge(m);
    }
  }
}

void RewardNormalizer::save(H5Group& root) const {
  const double moments[3] = {moments_.count, moments_.mean, moments_.m2};
  write_array<double>(root, "reward_moments", moments);
  write_array<double>(root, "reward_sums", sums_);
}

RewardNormalizer RewardNormalizer::read(const H5Group& root, const std::string& path, int num_envs,
                                        float gamma) {
  RewardNormalizer r(num_envs, gamma);
  const std::vector<double> m = read_array<double>(root, "reward_moments", 3, path);
  r.sums_ = read_array<double>(root, "reward_sums", r.sums_.size(), path);
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::all_of(m.begin(), m.end(), finite) || m[0] < 0 || m[2] < 0 ||
      !std::all_of(r.sums_.begin(), r.sums_.end(), finite)) {
    fail_data(path + ": the reward statistics are no finite numbers; the checkpoint is damaged");
  }
  r.moments_ = {m[0], m[1], m[2]};
  return r;
}

}  // namespace rollmill
