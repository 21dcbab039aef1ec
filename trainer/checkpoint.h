// Checkpoints of a training run (docs/formats.md): one folder a checkpoint, complete or absent.
//   RUN/checkpoints/step_000000123456/  MANIFEST.json  state-rank0.h5 ...  policy.safetensors
// Written as step_N.tmp: every rank its state file, rank 0 the policy; a barrier; rank 0 writes the manifest with every
// file's SHA-256, renames the folder, syncs, points `latest` at it and prunes. Readers never see a partial checkpoint.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/trainer.h"

namespace rollmill {

// Collective: every rank calls it at the same update. Returns the checkpoint's folder. State that is the same on all ranks is
// in rank 0's file only; ranks whose weights differ although they should not: Error(kPeer).
std::string save_checkpoint(const std::string& run_dir, Trainer& trainer);

// Collective. Loads the newest checkpoint whose manifest and hashes verify into the trainer and returns its folder;
// damaged ones are reported in `warnings` and skipped. No checkpoint at all: returns "". Some, but none good: Error
// (kBadData), never a start from scratch unasked. A checkpoint of another environment, shape or rank count: Error.
std::string load_newest_checkpoint(const std::string& run_dir, Trainer& trainer,
                                   std::string& warnings);

}  // namespace rollmill
