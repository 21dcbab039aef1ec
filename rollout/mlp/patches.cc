#include "rollout/mlp/patches.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "rollout/mlp/dense.h"

namespace rollmill {
namespace {

constexpr int kHashShift = 55;
constexpr std::size_t kSlots = std::size_t{1} << (64 - kHashShift);
static_assert(kSlots > 2 * kPatchRows);

// body.operator()<words>() for the usual numbers of words, else for 0: any.
template <class Body>
void with_words(int words, Body&& body) {
  switch (words) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    default: return body.template operator()<0>();
  }
}

}  // namespace

PatchIds::PatchIds(const ConvLayer& layer)
    : positions_(layer.positions()),
      words_((layer.patch() + 63) / 64),
      sights_(ConvSights::shared(layer)),
      images_(std::size_t{kPatchRows} * static_cast<std::size_t>(positions_) *
              static_cast<std::size_t>(words_)),
      ids_(std::size_t{kPatchRows} * static_cast<std::size_t>(positions_)),
      by_position_(ids_.size()),
      first_(static_cast<std::size_t>(positions_) + 1),
      slots_(kSlots) {}

void PatchIds::add(const TileInput& input, int rows) {
  RM_ASSERT(input.sparse() && rows_ + rows <= kPatchRows);
  for (int r = 0; r < rows; ++r, ++rows_)
    with_words(words_, [&]<int kWords>() { add_row<kWords>(input, r); });
}

template <int kWords>
void PatchIds::add_row(const TileInput& input, int row) {
  const int words = kWords > 0 ? kWords : words_;
  const std::int64_t apart = std::int64_t{kPatchRows} * words;
  std::uint64_t* image = images_.data() + std::int64_t{rows_} * words;
  for (int p = 0; p < positions_; ++p) std::fill_n(image + p * apart, words, 0u);
  for (std::int32_t one = input.begin()[row]; one < input.begin()[row + 1]; ++one) {
    const std::int32_t* first = sights_->first.data() + input.ones()[one];
    for (std::int32_t k = first[0]; k < first[1]; ++k) {
      const auto [patch, position] = sights_->sights[static_cast<std::size_t>(k)];
      const int word = words == 1 ? 0 : patch / 64;
      image[position * apart + word] |= std::uint64_t{1} << (patch % 64);
    }
  }
}

void PatchIds::name() {
  patches_.clear();
  for (int p = 0; p < positions_; ++p) {
    first_[static_cast<std::size_t>(p)] = static_cast<std::int32_t>(patches_.size()) / words_;
    with_words(words_, [&]<int kWords>() { name_position<kWords>(p); });
  }
  first_.back() = static_cast<std::int32_t>(patches_.size()) / words_;
  // A line of a row at a time.
  for (int p = 0; p < positions_; p += 16) {
    const int last = std::min(p + 16, positions_);
    for (int r = 0; r < rows_; ++r) {
      for (int q = p; q < last; ++q)
        ids_[static_cast<std::size_t>(r * positions_ + q)] = at_position(q)[r];
    }
  }
}

// Always by hash: whether a patch is that of the row before is hard to foretell.
template <int kWords>
void PatchIds::name_position(int position) {
  const int words = kWords > 0 ? kWords : words_;
  const std::uint64_t* image = images_.data() + std::int64_t{position} * kPatchRows * words;
  std::int32_t* ids = by_position_.data() + std::int64_t{position} * kPatchRows;
  std::int32_t next = first(position);
  std::fill(slots_.begin(), slots_.end(), -1);
  const auto same = [&](std::int32_t id) {
    const std::uint64_t* known = patches_.data() + std::int64_t{id} * words;
    std::uint64_t other = 0;
    for (int w = 0; w < words; ++w) other |= image[w] ^ known[w];
    return other == 0;
  };
  for (int r = 0; r < rows_; ++r, image += words) {
    std::uint64_t hash = 0;
    for (int w = 0; w < words; ++w) hash = (hash ^ image[w]) * 0x9E3779B97F4A7C15u;
    std::size_t slot = hash >> kHashShift;
    while (slots_[slot] >= 0 && !same(slots_[slot])) slot = (slot + 1) % kSlots;
    if (slots_[slot] < 0) {
      slots_[slot] = next++;
      patches_.insert(patches_.end(), image, image + words);
    }
    ids[r] = slots_[slot];
  }
}

PatchSums::PatchSums(const Network& net, const PatchIds& patches, AlignedVector<float>& room)
    : patches_(patches),
      layer_(net.conv.front()),
      dense_(net.dense.front()),
      activation_(net.activation),
      sums_(room) {
  RM_ASSERT(net.by_patch);
  for (int r = 0; r <= kTileRows; ++r) begin_[r] = r * layer_.positions();
}

void PatchSums::prepare(const float* params) {
  const int channels = layer_.channels, width = dense_.width, size = patches_.size();
  features_.resize(static_cast<std::size_t>(size) * static_cast<std::size_t>(channels));
  const auto sums = static_cast<std::size_t>(size) * static_cast<std::size_t>(width);
  if (sums_.size() < sums) sums_.resize(sums);
  for (int id = 0; id < size; ++id) {
    float* h = features_.data() + std::int64_t{id} * channels;
    std::copy_n(params + layer_.bias, channels, h);
    patches_.for_ones(id, [&](int k) {
      add_numbers(params + layer_.weight + std::int64_t{k} * channels, channels, h);
    });
  }
  activate(activation_, features_.data(), std::int64_t{size} * channels);
  for (int p = 0; p < patches_.positions(); ++p) {
    const int first = patches_.first(p);
    dense_forward(features(first), channels, channels,
                  params + dense_.weight + std::int64_t{p} * channels * width, nullptr, width,
                  sums_.data() + std::int64_t{first} * width, width, patches_.first(p + 1) - first);
  }
}

void PatchSums::forward(const float* params, int row, int rows, float* y) const {
  RM_ASSERT(row + rows <= patches_.rows());
  sparse_forward(patches_.of_row(row), begin_, sums_.data(), params + dense_.bias, dense_.width, y,
                 dense_.width, rows);
}

void PatchWindow::prepare(const float* params) {
  actor.prepare(params);
  if (critic) critic->prepare(params);
}

PatchWindow::PatchWindow(const MlpLayout& layout, std::shared_ptr<PatchRoom> shared)
    : room(std::move(shared)),
      ids(layout.actor.conv.front()),
      actor(layout.actor, ids, room->actor) {
  if (!layout.critic.dense.empty())
    critic = std::make_unique<PatchSums>(layout.critic, ids, room->critic);
}

}  // namespace rollmill
