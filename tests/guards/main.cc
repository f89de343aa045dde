// sluice_guards: runs the calm cluster in the shapes below and prints what was counted, as JSON.
#include <gnu/libc-version.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/guards/calm_run.h"

namespace sluice::guards {
namespace {

using Json = nlohmann::ordered_json;

void be_behind(Shape& shape) {
  shape.warm_up = 16384;
  shape.window = 0;
  shape.away_for = 131072;
  shape.batch_bytes_max = 400u << 10;
}

/// Warm-ups are long enough for every buffer to have its size; windows hold many commit rounds.
std::vector<Shape> all_shapes() {
  const Shape one{.outstanding = 1, .warm_up = 1200, .window = 1600};
  const Shape some{.outstanding = 16, .warm_up = 4096, .window = 16384};
  const Shape many{.outstanding = 256, .warm_up = 4096, .window = 32768};
  std::vector<Shape> shapes;
  for (Shape shape : {one, some, many}) {
    for (const std::uint32_t entry_bytes : {100u, 1024u}) {
      shape.entry_bytes = entry_bytes;
      shape.numbered = false;
      shapes.push_back(shape);
      shape.numbered = true;
      shapes.push_back(shape);
    }
  }
  // Requests that come at different moments: chunks, answers and acknowledgements of several.
  Shape crowd{.clients = 16, .outstanding = 256, .warm_up = 49152, .window = 131072};
  shapes.push_back(crowd);
  // Many small batches a commit round.
  shapes.push_back({.groups = 1000, .outstanding = 4096, .entry_bytes = 256, .warm_up = 65536,
                    .window = 131072});
  // Segments that end and are used again.
  Shape rolling{.outstanding = 256, .entry_bytes = 1024, .warm_up = 16384, .window = 16384};
  rolling.trim_every = 2048;
  rolling.segment_bytes = 5u << 20;
  shapes.push_back(rolling);
  // A follower that was away for more than any memory holds, and catches up under load. Batches that
  // are large beside what is read at a time.
  Shape behind{.outstanding = 400, .entry_bytes = 1024};
  be_behind(behind);
  shapes.push_back(behind);
  behind.groups = 2;
  shapes.push_back(behind);
  shapes.push_back({.warm_up = 200, .away_for = 7000, .slow = true});
  return shapes;
}

/// A shape that is not in the list, by its name: for those who look for something. Empty if the name
/// is none.
std::vector<Shape> shape_of(const std::string& name) {
  Shape shape{.warm_up = 16384, .window = 16384};
  const int read =
      std::sscanf(name.c_str(), "%ux%u", &shape.outstanding, &shape.entry_bytes);
  const auto number_after = [&name](const char* word, std::uint32_t& number) {
    const std::size_t at = name.find(word);
    if (at != std::string::npos) number = static_cast<std::uint32_t>(std::atoi(&name[at] + 4));
  };
  number_after("-of-", shape.clients);
  number_after("-in-", shape.groups);
  shape.numbered = name.ends_with("-numbered");
  if (name.ends_with("-behind")) be_behind(shape);
  const bool sound = read == 2 && shape.clients > 0 && shape.groups > 0 && shape.outstanding >= shape.clients &&
                     shape.outstanding % shape.clients == 0 && shape.name() == name;
  return sound ? std::vector<Shape>{shape} : std::vector<Shape>{};
}

Json counts_of(const Counts& counts) {
  Json json;
  for (const auto& field : Counts::fields()) json[field.name] = counts.*field.value;
  return json;
}

/// What the number of instructions depends on besides the sources.
int describe_build() {
  const Json build = {{"compiler", __VERSION__},
                      {"build_type", SLUICE_BUILD_TYPE},
                      {"c_library", gnu_get_libc_version()},
                      {"avx2", bool(__builtin_cpu_supports("avx2"))},
                      {"callgrind", Meter::has_callgrind()}};
  std::puts(build.dump(2).c_str());
  return 0;
}

struct Options {
  std::string only;          // this shape; empty: all
  std::uint64_t warm_up = 0, window = 0;  // entries; 0: as the shape has it
  std::uint64_t segment_bytes = 0;        // 0: likewise
  std::uint64_t seed = 1;
  Party collect = Party::kNone;
};

std::vector<Shape> shapes_for(const Options& options) {
  std::vector<Shape> shapes = all_shapes();
  if (!options.only.empty()) {
    std::erase_if(shapes, [&](const Shape& shape) { return shape.name() != options.only; });
    if (shapes.empty()) shapes = shape_of(options.only);
  }
  for (Shape& shape : shapes) {
    shape.seed = options.seed;
    if (options.warm_up != 0) shape.warm_up = options.warm_up;
    if (options.window != 0) shape.window = options.window;
    if (options.segment_bytes != 0) shape.segment_bytes = options.segment_bytes;
  }
  return shapes;
}

int run(const Options& options) {
  const std::vector<Shape> shapes = shapes_for(options);
  if (shapes.empty()) {
    std::fprintf(stderr, "sluice_guards: no such shape: %s\n", options.only.c_str());
    return 2;
  }
  Json all;
  for (const Shape& shape : shapes) {
    const RunResult result = run_calmly(shape, options.collect);
    if (!result.failure.empty()) {
      std::fprintf(stderr, "sluice_guards: %s: %s\n", shape.name().c_str(),
                   result.failure.c_str());
      return 1;
    }
    all[shape.name()] = {{"entries", result.entries},
                         {"payload_bytes", result.payload_bytes},
                         {"lacked_bytes", result.lacked_bytes},
                         {"leader", counts_of(result.leader)},
                         {"followers", counts_of(result.followers)},
                         {"clients", counts_of(result.clients)}};
  }
  std::puts(all.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace sluice::guards

int main(int argc, char** argv) {
  using sluice::guards::Party;
  CLI::App app("Counts what the engine does in a calm, simulated cluster; prints JSON");
  sluice::guards::Options options;
  bool build = false;
  const std::map<std::string, Party> parties = {
      {"leader", Party::kLeader}, {"followers", Party::kFollowers}, {"clients", Party::kClients}};
  app.add_option("--shape", options.only, "this one alone: 256x100, 16x1024-numbered, ...");
  app.add_option("--warm-up", options.warm_up, "entries before those that count");
  app.add_option("--window", options.window, "entries that count");
  app.add_option("--segment-bytes", options.segment_bytes, "of the nodes");
  app.add_option("--seed", options.seed, "another course of events")->capture_default_str();
  app.add_option("--collect", options.collect, "whose instructions callgrind collects")
      ->transform(CLI::CheckedTransformer(parties));
  app.add_flag("--trace-allocations", sluice::guards::Meter::trace_allocations,
               "print the stack of each allocation that counts");
  app.add_flag("--build", build, "print what was built, and how, instead");
  CLI11_PARSE(app, argc, argv);
  if (build) return sluice::guards::describe_build();
  return sluice::guards::run(options);
}
