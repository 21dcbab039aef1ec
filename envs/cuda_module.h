// The C symbol of librollmill_cuda.so through which environments are made on a GPU; see
// core/device/cuda_module.h.
#pragma once

#include "envs/batch.h"

extern "C" {
// A batch on a GPU, owned by the caller; null when the module was built without that environment.
// Throws rollmill::Error.
rollmill::EnvBatch* rollmill_make_cuda_batch(const char* id, const rollmill::BatchConfig* config,
                                             int device);
}
