// Work that rank 0 does for everybody: its answer, or its error, becomes every rank's.
#pragma once

#include <exception>
#include <string>

#include "core/base/as_error.h"
#include "core/dist/process_group.h"

namespace rollmill {

// Collective. body() runs on rank 0 and returns a text that all ranks get. What it throws is thrown on all ranks, with the
// same exit code; only rank 0 reports it.
template <class Body>
std::string from_rank_zero(ProcessGroup& group, const char* what, Body&& body) {
  std::string answer;
  std::exception_ptr mine;
  if (group.rank() == 0) {
    try {
      answer = "0 " + body();
    } catch (const std::exception& e) {
      mine = std::current_exception();
      const Error error = as_error(e);
      answer = std::to_string(static_cast<int>(error.code())) + " " + error.what();
    }
  }
  answer = group.all_gather(answer, what).front();
  if (mine) std::rethrow_exception(mine);
  const int code = std::stoi(answer);
  const std::string text = answer.substr(answer.find(' ') + 1);
  if (code == 0) return text;
  Error error(static_cast<ExitCode>(code), text);
  error.set_reported();
  throw error;
}

}  // namespace rollmill
