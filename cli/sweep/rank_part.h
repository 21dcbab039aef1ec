// A sweep under a launcher that sets torchrun's variables: each rank trains its part of the trials, as with --part, in processes of
// their own.
#pragma once

#include <memory>

#include "cli/sweep/sweep_folder.h"
#include "core/dist/process_group.h"

namespace rollmill {

// The part of this rank. Throws usage errors.
SweepPart rank_part(const LaunchInfo& launch, const SweepPlan& plan);

// Removes what the launcher said from this process's environment: the trainings that it starts are no ranks. Where the ranks of a
// machine share its GPUs and the recipe wants one, they get this rank's. Throws usage errors.
void leave_launcher(const LaunchInfo& launch, const SweepPlan& plan);

// The whole sweep, as soon as all of its parts are done; null where others are not, or another rank has it.
std::unique_ptr<SweepFolder> whole_sweep(const SweepPlan& plan, std::unique_ptr<SweepFolder> part);

}  // namespace rollmill
