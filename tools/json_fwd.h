// Json, for headers that only name it. Who makes or reads one includes tools/json.h: the library is
// one of the largest headers that the commands use.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace sluice::tools {

/// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

}  // namespace sluice::tools
