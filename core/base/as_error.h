// Exceptions of any kind as what a user is told: the one place that gives those of the standard library a code and words.
#pragma once

#include <exception>

#include "core/base/error.h"

namespace rollmill {

// An Error as it is; file system errors, lack of memory and what nobody expected as one with code kIo.
Error as_error(const std::exception& exception);

}  // namespace rollmill
