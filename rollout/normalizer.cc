#include "rollout/normalizer.h"

#include "core/base/assert.h"

namespace rollmill {

ObservationNormalizer::ObservationNormalizer(int size, bool enabled, float clip)
    : enabled_(enabled), clip_(clip), moments_(static_cast<std::size_t>(size)) {
  refresh();
}

void ObservationNormalizer::set_moments(std::vector<Moments> moments) {
  RM_ASSERT(moments.size() == moments_.size());
  moments_ = std::move(moments);
  refresh();
}

void ObservationNormalizer::merge(const std::vector<Moments>& batch) {
  RM_ASSERT(batch.size() == moments_.size());
  for (std::size_t k = 0; k < batch.size(); ++k) moments_[k].merge(batch[k]);
  refresh();
}

void ObservationNormalizer::refresh() {
  shift_.assign(moments_.size(), 0.0f);
  scale_.assign(moments_.size(), 1.0f);
  for (std::size_t k = 0; k < moments_.size(); ++k) {
    if (moments_[k].count == 0) continue;
    shift_[k] = static_cast<float>(moments_[k].mean);
    scale_[k] = static_cast<float>(1.0 / std::sqrt(moments_[k].variance() + 1e-8));
  }
}

}  // namespace rollmill
