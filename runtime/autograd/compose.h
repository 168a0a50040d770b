// Runs ops that are compositions of others, whose errors are their own.
#pragma once

#include <string>
#include <string_view>

#include "ferrule/op.h"

namespace ferrule {

// Runs `parts`, the definition of c's op in terms of others. What a part finds
// wrong is an error of the op that was called (see error_of_part).
Results compose(OpCall& c, Results (*parts)(OpCall&));

// The message of an error in the composition `name`: the part of it that failed
// is named after it. "[scatter] index 7 ..." is "[one_hot] scatter: index 7
// ..." of one_hot. Messages that no op's name begins stay as they are.
std::string error_of_part(std::string_view name, std::string_view message);

// Throws an error of a part as one of the composition `name`.
[[noreturn]] void fail_as(std::string_view name, const Error& error);

}  // namespace ferrule
