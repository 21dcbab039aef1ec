// The registry entry of an environment on the CPU runtime. Included by one generated source for each environment: it compiles
// the whole step loop.
#pragma once

#include <memory>

#include "envs/batch_cpu.h"
#include "envs/view.h"

namespace rollmill {

template <class Env>
EnvEntry cpu_entry() {
  return {Env::info.id, describe<Env>,
          [](const BatchConfig& config, ThreadPool* pool) -> std::unique_ptr<EnvBatch> {
            return std::make_unique<CpuBatch<Env>>(config, pool);
          },
          render_of<Env>(), text_of<Env>()};
}

}  // namespace rollmill
