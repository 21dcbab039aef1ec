// Rollmill's own float32 mathematics: one source for host and device, identical bits on each.
// Environments call these, never <cmath>, whose results differ between libraries and from CUDA's.
#pragma once

#include "core/math/basic.h"
#include "core/math/exp_log.h"
#include "core/math/hyperbolic.h"
#include "core/math/trig.h"
