// Errors that the outside world can cause. Library code throws Error with what happened, where, and what to do;
// only cli/ turns it into a line and an exit code. Bugs are not errors: see assert.h.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace rollmill {

// Process exit codes, one per class of trouble (docs/formats.md lists them for users).
enum class ExitCode : int {
  kDone = 0,
  kUsage = 2,         // command line or config
  kBadData = 3,       // a dataset, checkpoint or policy that is damaged or does not fit
  kIo = 4,            // disk full, unwritable, busy
  kPeer = 5,          // another rank or the rendezvous
  kNumerical = 6,     // NaN or infinity that cannot be skipped
  kDevice = 7,        // no GPU, out of device memory, CUDA error
  kPreempted = 75,    // stopped by SIGTERM after a checkpoint: resumable
  kInterrupted = 130  // Ctrl-C after a checkpoint: resumable
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }
  // Whether another rank reports it: this one ends with the same code, in silence.
  bool reported() const noexcept { return reported_; }
  void set_reported() noexcept { reported_ = true; }

 private:
  ExitCode code_;
  bool reported_ = false;
};

[[noreturn]] inline void fail_usage(const std::string& m) { throw Error(ExitCode::kUsage, m); }
[[noreturn]] inline void fail_data(const std::string& m) { throw Error(ExitCode::kBadData, m); }
[[noreturn]] inline void fail_io(const std::string& m) { throw Error(ExitCode::kIo, m); }
[[noreturn]] inline void fail_peer(const std::string& m) { throw Error(ExitCode::kPeer, m); }
[[noreturn]] inline void fail_numerical(const std::string& m) {
  throw Error(ExitCode::kNumerical, m);
}
[[noreturn]] inline void fail_device(const std::string& m) { throw Error(ExitCode::kDevice, m); }

}  // namespace rollmill
