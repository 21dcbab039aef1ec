// What a training job (trainer/train_job.cc) and the checkpoints need of a learning algorithm. One class an algorithm,
// readable top to bottom; what they share they hold (TrainRun, kernels, replay), they do not inherit it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "trainer/train_run.h"

namespace rollmill {

class H5Group;

class Trainer {
 public:
  virtual ~Trainer() = default;

  // Some experience and what is learnt from it: one line of metrics.jsonl. Collective.
  virtual UpdateReport step() = 0;

  virtual TrainRun& run() = 0;
  virtual EnvBatch& batch() = 0;  // this rank's environments
  // The policy as it would be saved now.
  virtual PolicyWeights& weights() = 0;
  // The first observation in what is learned from that is NaN or infinite, in words; "" where there is none, or none that this
  // process can see. (Looks at all of them: for messages.)
  virtual std::string observation_not_finite() { return ""; }
  // Whether save() would write the same on every rank: then rank 0's file has it for all.
  virtual bool same_on_all_ranks() const { return false; }

  // The algorithm's own state: what is neither in the policy's file nor in TrainRun nor in the environments.
  virtual void save(H5Group& root) = 0;
  // In two phases, so that a checkpoint that does not fit changes nothing: reads and checks all of that state, throwing
  // Error(kBadData) with `path` in front, and returns what puts it in place, which cannot fail. It is called when the policy,
  // the environments and the run are already restored.
  virtual std::function<void()> read(const H5Group& root, const std::string& path) = 0;

  bool finished() { return run().finished(); }
  const EnvSpec& spec() { return run().spec; }
  const TrainOptions& options() { return run().options; }
  const TrainProgress& progress() { return run().progress; }
  const Curriculum& curriculum() { return run().curriculum; }
  ProcessGroup& group() { return run().group; }
};

// By options.algorithm. A fresh run: initial weights from the seed, environments reset. local_rank picks this process's GPU
// when the device is "cuda" without a number. Collective.
std::unique_ptr<Trainer> make_trainer(const TrainOptions& options, ProcessGroup& group,
                                      int local_rank = 0);

}  // namespace rollmill
