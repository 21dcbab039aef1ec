// device = "check": two batches of the same environment and configuration in lock step, usually the
// CPU runtime and the CUDA one. After every call all that they hold and wrote is compared bit for
// bit (NaNs count as equal: which NaN comes out is not the same everywhere); the first difference
// is an Error(kNumerical) that names environment, step and field. To the caller it is the first
// batch: host memory. Made for finding errors, not for speed.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/device/buffer.h"
#include "envs/batch.h"

namespace rollmill {

class CheckBatch final : public EnvBatch {
 public:
  // `expected` is a host batch; `actual` reads and writes `memory`. Both were made from equal
  // configurations.
  CheckBatch(std::unique_ptr<EnvBatch> expected, std::unique_ptr<EnvBatch> actual, Memory& memory);

  const EnvSpec& spec() const override { return expected_->spec(); }
  int num_envs() const override { return expected_->num_envs(); }
  std::int64_t stride() const override { return expected_->stride(); }
  bool on_device() const override { return false; }
  EpisodeColumns episodes() const override { return expected_->episodes(); }

  void reset(float* observations, Word* masks = nullptr) override;
  void step(const StepBuffers& buffers) override { step_range(buffers, 0, num_envs()); }
  // Any number of threads; they take turns.
  void step_range(const StepBuffers& buffers, int begin, int end) override;
  void observe(float* observations, Word* masks = nullptr) override;
  void act_expert(const float* observations, int begin, int end, void* actions) const override {
    expected_->act_expert(observations, begin, end, actions);
  }
  void set_world(const World& world) override;
  std::vector<double> params_of(int env) const override { return expected_->params_of(env); }
  std::uint32_t level_of(int env) const override { return expected_->level_of(env); }

  std::size_t snapshot_bytes() const override { return expected_->snapshot_bytes(); }
  void save(std::byte* out) const override { expected_->save(out); }
  void load(const std::byte* in) override;
  std::vector<std::uint32_t> save_environment(int env) const override {
    return expected_->save_environment(env);
  }
  void load_environment(int env, const std::vector<std::uint32_t>& words) override;
  std::vector<std::uint32_t> state_words(int env) const override {
    return expected_->state_words(env);
  }
  void set_state_words(int env, const std::vector<std::uint32_t>& words) override;
  Faults take_faults() override { return expected_->take_faults(); }
  std::int64_t bytes_per_environment() const override { return expected_->bytes_per_environment(); }

 private:
  struct Field;
  void compare(const std::vector<Field>& fields, int begin, int end, const char* call) const;
  std::vector<Field> state_fields();
  std::vector<Field> step_fields(const StepBuffers& buffers);
  void add_columns(std::vector<Field>& fields, const char* what, const float* expected,
                   const float* actual) const;
  void add_masks(std::vector<Field>& fields, const std::string& what, const Word* expected,
                 const Word* actual) const;
  StepBuffers device_buffers() const;
  void copy_actions(const StepBuffers& buffers, int begin, int end);
  [[noreturn]] void report(const Field& field, int env, const char* call) const;

  std::unique_ptr<EnvBatch> expected_, actual_;
  std::mutex mutex_;
  std::int64_t calls_ = 0;
  Buffer device_;                // actual's actions and results, one after the other
  std::vector<std::byte> host_;  // their copy
  std::vector<std::uint32_t> expected_words_, actual_words_;  // snapshots
  std::vector<std::uint32_t> episode_, step_;                 // of each environment before the call
};

}  // namespace rollmill
