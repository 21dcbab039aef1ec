// What tests of off-policy learning on emulated devices share: the parts of a machine of host threads. After tests/cuda/emulation.h.
#pragma once

#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "envs/registry.h"
#include "rollout/unpack.h"
#include "tests/cuda/device_run.h"
#include "trainer/fused/layer_kernels.cuh"
#include "trainer/replay/device_off_policy.h"

namespace rollmill::testing {

// launch() of a ReplayMachine, with the blocks and threads of a GPU.
struct EmulatedLaunch {
  template <class... Parameters, class... Arguments>
  void operator()(const char*, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
                  std::size_t shared_floats, Arguments... arguments) const {
    emulate(static_cast<unsigned>(blocks), 1, threads, shared_floats,
            [&] { kernel(static_cast<Parameters>(arguments)...); });
  }
};

// What a machine is made of, as CudaParts (trainer/replay/replay_cuda.cuh).
struct EmulatedParts {
  explicit EmulatedParts(const DeviceOffPolicyConfig& c)
      : pool(1),
        batch(find_env(c.env_id).make_cpu(c.batch, &pool)),
        elements(batch->spec().observed) {
    const MlpLayout& layout = c.weights->layout;
    const EnvSpec& spec = batch->spec();
    choices.assign(spec.choices.begin(), spec.choices.end());
    policy.actor = device_net(layout.actor);
    policy.critic = device_net(layout.critic);
    policy.unpack = {spec.observed.kind, spec.observed.elements, elements.column_of.data(),
                     elements.choice_of.data()};
    policy.frame_stack = 1;
    policy.observation_columns = spec.observed.columns;
    policy.observations = spec.observed.elements;
    policy.choices = choices.data();
    policy.choice_columns = static_cast<int>(spec.choices.size());
    policy.reals = spec.real_actions();
    policy.distribution = layout.shape.distribution;
    policy.mask_columns = spec.mask_columns;
    policy.activation = layout.shape.activation;
    policy.trunk = layout.shape.trunk;
    policy.outputs = layout.shape.outputs();
    set_widths(policy);
    policy.tile_rows = 4;  // more tiles than one
    bounds.resize(static_cast<std::size_t>(4 * policy.reals));
    const auto row = [&](int k) { return bounds.data() + k * policy.reals; };
    for (int a = 0; a < policy.reals; ++a) {
      const FieldSpec& f = spec.action[static_cast<std::size_t>(a)];
      row(0)[a] = static_cast<float>(0.5 * (f.low + f.high));
      row(1)[a] = static_cast<float>(0.5 * (f.high - f.low));
      row(2)[a] = static_cast<float>(f.low);
      row(3)[a] = static_cast<float>(f.high);
    }
    policy.middle = row(0);
    policy.half_range = row(1);
    policy.low = row(2);
    policy.high = row(3);
  }
  ThreadPool pool;
  std::unique_ptr<EnvBatch> batch;
  ChoiceElements elements;
  std::vector<std::int32_t> choices;
  std::vector<float> bounds;
  DevicePolicy policy{};
};

}  // namespace rollmill::testing
