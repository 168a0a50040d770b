// Parses op signatures (the grammar stands in include/ferrule/op.h).
#pragma once

#include "ferrule/op.h"

namespace ferrule {

// Throws ValueError that names the op and the piece that is wrong.
Schema parse_schema(const OpDef& op);

}  // namespace ferrule
