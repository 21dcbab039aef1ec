#include "datasets/verify.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "datasets/reader.h"

namespace rollmill {

namespace {

// Empty when the shard is good. A file with a wrong sha256 is not parsed (DatasetReader::load).
std::string shard_problem(const DatasetReader& reader, std::size_t index) {
  const ShardInfo& info = reader.manifest().shards[index];
  const std::string path = reader.dir() + "/" + info.file;
  if (!file_exists(path)) return "missing";
  const std::uint64_t size = file_bytes(path);
  if (size < info.bytes)
    return "truncated: " + std::to_string(size) + " of " + std::to_string(info.bytes) + " bytes";
  if (size > info.bytes)
    return "has " + std::to_string(size) + " bytes, " + std::to_string(info.bytes) +
           " were written";
  if (reader.load(index).content_hash() != info.content)
    return "the hash of its content does not match";
  return {};
}

void check_strays(const DatasetReader& reader, VerifyReport& report) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(reader.dir(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (shard_index(name) >= 0 && reader.manifest().find(name) == nullptr)
      report.problems.push_back({name, "not in the manifest"});
  }
  if (error)
    fail_io("cannot list " + reader.dir() + ": " + error.message() +
            "; check that the folder may be read");
}

}  // namespace

VerifyReport verify_dataset(const std::string& dir) {
  VerifyReport report;
  try {
    const DatasetReader reader(dir);
    const Manifest& manifest = reader.manifest();
    report.shards = static_cast<std::int64_t>(manifest.shards.size());
    report.episodes = manifest.episodes();
    report.steps = manifest.steps();
    report.finished = manifest.state == DatasetState::kDone;
    report.content_hash = manifest.content_hash();
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
      report.bytes += manifest.shards[i].bytes;
      std::string what;
      try {
        what = shard_problem(reader, i);
      } catch (const Error& error) {
        if (error.code() != ExitCode::kBadData) throw;
        what = error.what();
      }
      const std::string path = dir + "/" + manifest.shards[i].file + ": ";
      if (what.starts_with(path)) what.erase(0, path.size());  // the report names the file itself
      if (!what.empty()) report.problems.push_back({manifest.shards[i].file, what});
    }
    // While a job runs, or after it was killed, a shard may be on disk that the manifest does not list yet.
    if (report.finished) check_strays(reader, report);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kBadData) throw;
    report.problems.push_back({"MANIFEST.json", error.what()});
  }
  return report;
}

}  // namespace rollmill
