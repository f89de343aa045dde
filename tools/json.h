// Json, whole.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/json_fwd.h"
