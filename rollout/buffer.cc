#include "rollout/buffer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <type_traits>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/base/error.h"
#include "rollout/column_kernels.h"
#include "rollout/rollout_fields.h"

namespace rollmill {

namespace {

constexpr std::size_t aligned_bytes(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

void check_memory(std::size_t wanted, const std::string& what, const std::string& cure) {
  std::ifstream in("/proc/meminfo");
  std::string word;
  std::size_t kib = 0;
  while (in >> word) {
    if (word == "MemAvailable:" && in >> kib && wanted / 1024 > kib) {
      fail_io("not enough memory: " + what + " takes " + std::to_string(wanted >> 20) + " MiB, " +
              std::to_string(kib >> 10) + " MiB are free; " + cure);
    }
  }
}

struct HostRollout::Storage {
  AlignedVector<std::uint32_t> bytes;
};

void count_frames(const RolloutBuffer& b, int t, const std::uint32_t* steps, int begin, int end) {
  std::uint8_t* frames = b.frame_slot(t);
  if (frames == nullptr) return;
  for (int i = begin; i < end; ++i) frames[i] = earlier_frames(steps[i], b.frame_stack);
}

void keep_memory(const RolloutBuffer& b, int t, const std::uint32_t* steps, int begin, int end) {
  for (int k = 0; k < b.sequences(); ++k) {
    if (b.sequence_start(k) != t) continue;
    for (int c = 0; c < b.memory_columns; ++c) {
      const float* from = b.current_memory() + c * b.stride;
      float* to = b.memory_slot(k) + c * b.stride;
      for (int i = begin; i < end; ++i) to[i] = steps[i] == 0 ? 0.0f : from[i];
    }
  }
}

void continue_rollout(const RolloutBuffer& from, const RolloutBuffer& to) {
  const auto slot = static_cast<std::size_t>(from.slot_words()) * sizeof(float);
  const int first = 1 - from.frame_stack;
  std::memmove(to.observation_slot(first), from.observation_slot(from.horizon + first),
               static_cast<std::size_t>(from.frame_stack) * slot);
  if (from.mask_columns > 0) {
    std::memcpy(to.mask_slot(0), from.mask_slot(from.horizon),
                static_cast<std::size_t>(from.mask_columns * from.stride) * sizeof(Word));
  }
}

void advance_rollout(const RolloutBuffer& b) { continue_rollout(b, b); }

HostRollout::HostRollout(const EnvSpec& spec, int horizon, int num_envs, int frame_stack,
                         const RolloutMemory& memory)
    : storage_(std::make_unique<Storage>()) {
  RM_ASSERT(horizon >= 1 && num_envs >= 1);
  RM_ASSERT(frame_stack >= 1 && frame_stack <= kMaxFrameStack);
  set_rollout_shape(buffer_, spec, horizon, num_envs, padded_columns(num_envs), frame_stack);
  set_memory_shape(buffer_, memory);
  // Twice over the manifest: how much there is, then where each column lies.
  std::size_t size = 0;
  visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t count) {
    size += aligned_bytes(count * sizeof(*field));
  });
  check_memory(size, "a rollout of this size", "lower env.num_envs or ppo.horizon");
  storage_->bytes.resize(size / 4);
  auto* at = reinterpret_cast<std::byte*>(storage_->bytes.data());
  visit_rollout_fields(buffer_, [&](auto*& field, std::int64_t count) {
    field = reinterpret_cast<std::remove_reference_t<decltype(field)>>(at);
    at += aligned_bytes(count * sizeof(*field));
  });
}

HostRollout::~HostRollout() = default;

std::size_t HostRollout::bytes() const { return storage_->bytes.size() * 4; }

}  // namespace rollmill
