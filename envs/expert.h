// The optional scripted expert of an environment: a function of the observation alone,
//   RM_HD static Action::Value expert(Strided<const float> observation, const Params&);
#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "envs/describe.h"

namespace rollmill {

using ExpertFunction = void (*)(const std::vector<double>& params, const float* observations,
                                std::int64_t stride, int begin, int end, void* actions);

template <class Env>
concept HasExpert = requires(Strided<const float> o, const typename Env::Params& p) {
  { Env::expert(o, p) } -> std::same_as<typename Env::Action::Value>;
};

template <class Env>
ExpertFunction expert_of() {
  if constexpr (HasExpert<Env>) {
    return [](const std::vector<double>& values, const float* observations, std::int64_t stride,
              int begin, int end, void* actions) {
      const typename Env::Params params = make_params<Env>(values);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto action = Env::expert(Strided<const float>{observations + i, stride}, params);
        if constexpr (Env::Action::kDiscrete) {
          static_cast<std::int32_t*>(actions)[i] = action;
        } else {
          for (int k = 0; k < Env::Action::kSize; ++k)
            static_cast<float*>(actions)[k * stride + i] = action[k];
        }
      }
    };
  } else {
    return nullptr;
  }
}

}  // namespace rollmill
