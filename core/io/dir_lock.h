// One job per output folder. The folder's lock.json names the holder (job, host, pid, start time) and is held with
// flock(2) for the life of the object; a holder that died releases it by itself.
// Where the file system cannot lock (some NFS), the names in the file decide: a process that is gone from this host has
// left a stale lock, which is taken over; a live one, or one on another host, keeps it.
#pragma once

#include <string>

namespace rollmill {

class DirLock {
 public:
  // The folder must exist. Throws Error kIo, naming job, host and pid, when another process holds it. `name`: of the lock
  // file, where a folder has several parts that are held one by one.
  DirLock(const std::string& dir, const std::string& job_kind,
          const std::string& name = "lock.json");
  ~DirLock();
  DirLock(DirLock&& other) noexcept;
  DirLock& operator=(DirLock&&) = delete;

 private:
  std::string path_;
  int fd_ = -1;
};

// Whether some process holds the folder, as far as this one can tell. Takes nothing away from a process that is about to.
bool is_held(const std::string& dir, const std::string& name = "lock.json");

}  // namespace rollmill
