// How much of the returns the value function foresaw.
#pragma once

#include "rollout/buffer.h"

namespace rollmill {

class ProcessGroup;
class ThreadPool;

// 1 - Var(return - value) / Var(return) over a rollout on the host, of all ranks; NaN where all returns are equal. Float64
// sums of each step and group of environments, merged in step, group and rank order: the same on any number of threads.
// Collective.
double explained_variance(const RolloutBuffer& buffer, int groups, ThreadPool& pool,
                          ProcessGroup& group);

}  // namespace rollmill
